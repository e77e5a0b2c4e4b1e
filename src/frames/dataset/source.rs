//! Where the files of a data set lie below its root: by patterns of a recipe, so that other names need no other code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::index::Layout;
use super::label_file::LABEL_FILE_BYTES;
use super::names;
use super::pattern::Pattern;
use surgcam_engine::error::{AtPath, Error, Result};

/// Where things lie below a data set's root, and which of it is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceLayout {
    pub layout: Layout,
    /// EndoVis18's sequences or Cholec80's videos.
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
    pub frames: Pattern,
    /// Tool files; of several patterns the first that exists.
    pub labels: Vec<Pattern>,
    /// Box files; of several patterns the first that exists, none where none does.
    pub boxes: Vec<Pattern>,
    /// Caption files; all that exist, of several captions of a frame the earlier pattern's.
    pub captions: Vec<Pattern>,
    /// Interaction files; of several patterns the first that exists, none where none does.
    pub interactions: Vec<Pattern>,
    /// One frame in the folder is so many in the tool file (25 for frames at 1 fps of a 25 fps video).
    pub frame_step: u32,
}

impl SourceLayout {
    /// The sequences in use, rising, each once.
    pub fn sequences(&self) -> BTreeSet<u32> {
        self.train.iter().chain(&self.validation).copied().collect()
    }

    pub(super) fn sequence_name(&self, sequence: u32) -> String {
        names::of_sequence(self.layout, sequence)
    }

    pub(super) fn frame_name(&self, frame: u32) -> String {
        names::of_frame(self.layout, frame)
    }

    /// Every file below `root` that can change the index, the annotations or the pictures, sorted: what the data's digest covers.
    pub fn source_files(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let (mut files, mut pictures) = (Vec::new(), Vec::new());
        for sequence in self.sequences() {
            files.push(self.label_file(root, sequence)?);
            if let Some(boxes) = first_existing(root, &self.boxes, sequence) {
                list_files(root, &boxes, &mut files)?;
            }
            let captions = self.captions.iter().map(|pattern| PathBuf::from(pattern.fill(sequence, 0)));
            let annotations = captions.filter(|relative| is_there(&root.join(relative)));
            for annotation in annotations.chain(first_existing(root, &self.interactions, sequence)) {
                list_files(root, &annotation, &mut files)?;
            }
            let picture = PathBuf::from(self.frames.fill(sequence, 0));
            let folder = picture.parent().unwrap_or(Path::new(""));
            if root.join(folder).is_dir() {
                list_files(root, folder, &mut pictures)?;
            }
        }
        files.iter().try_for_each(|file| check_size(&root.join(file)))?;
        files.append(&mut pictures);
        // The pictures of one folder after the other are sorted already, which this sort makes use of.
        files.sort();
        files.dedup();
        Ok(files)
    }

    pub(super) fn label_file(&self, root: &Path, sequence: u32) -> Result<PathBuf> {
        first_existing(root, &self.labels, sequence).ok_or_else(|| {
            let tried: Vec<String> = self.labels.iter().map(|pattern| pattern.fill(sequence, 0)).collect();
            Error::failure(format!("{} has no tool file (looked for {})", self.sequence_name(sequence), tried.join(", ")))
                .at_path(root)
                .hint("check `root`, `train` and `validation` of the data recipe, or give its `labels` pattern")
        })
    }
}

/// Whether anything lies there. A link that leads nowhere does: whoever made it meant something, and is told when it is read.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Of several patterns the first whose file or folder exists, below `root`.
pub(super) fn first_existing(root: &Path, patterns: &[Pattern], sequence: u32) -> Option<PathBuf> {
    patterns.iter().map(|pattern| PathBuf::from(pattern.fill(sequence, 0))).find(|relative| is_there(&root.join(relative)))
}

/// A file that is too large is refused before it is hashed, which would take minutes.
fn check_size(file: &Path) -> Result<()> {
    match file.metadata() {
        Ok(metadata) if metadata.len() > LABEL_FILE_BYTES => {
            Err(Error::failure(format!("is larger than {LABEL_FILE_BYTES} bytes, more than a label file may have")).at_path(file))
        }
        // Whoever reads it tells what is wrong with it.
        _ => Ok(()),
    }
}

/// A file, or the files of a folder (not of its folders), sorted. What is neither is refused where it is hashed.
fn list_files(root: &Path, relative: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = root.join(relative);
    if !path.is_dir() {
        files.push(relative.to_path_buf());
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in walkdir::WalkDir::new(&path).min_depth(1).max_depth(1) {
        let entry = entry.at_path("list", &path)?;
        if entry.file_type().is_file() || entry.path().is_file() {
            names.push(entry.file_name().to_os_string());
        }
    }
    // Names are compared byte by byte, paths by their parts, which takes ten times as long.
    names.sort_unstable();
    files.extend(names.iter().map(|name| relative.join(name)));
    Ok(())
}
