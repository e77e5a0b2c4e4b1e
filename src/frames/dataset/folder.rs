//! A data set's folder and what of it is wanted: what an adapter is given to read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::pattern::Pattern;
use surgcam_engine::error::{AtPath, Error, Result};

#[derive(Debug)]
pub struct DataFolder<'a> {
    pub root: &'a Path,
    /// Those in use.
    pub sequences: BTreeSet<u32>,
    /// Those that the recipe has both for training and for validation: the data set's own splits
    /// may decide.
    pub undecided: BTreeSet<u32>,
    pub frames: &'a Pattern,
    /// Of several the first that exists.
    pub labels: &'a [Pattern],
    /// Of several the first that exists, none where none does.
    pub boxes: &'a [Pattern],
    pub frame_step: u32,
}

impl DataFolder<'_> {
    /// Below the root. `name` is the sequence's.
    pub fn label_file(&self, sequence: u32, name: &str) -> Result<PathBuf> {
        first_existing(self.root, self.labels, sequence).ok_or_else(|| {
            let tried: Vec<String> = self.labels.iter().map(|pattern| pattern.fill(sequence, 0)).collect();
            Error::failure(format!("{name} has no tool file (looked for {})", tried.join(", ")))
                .at_path(self.root)
                .hint("check `root`, `train` and `validation` of the data recipe, or give its `labels` pattern")
        })
    }

    /// Below the root, all that exist, at least one.
    pub fn all_label_files(&self, sequence: u32, name: &str) -> Result<Vec<PathBuf>> {
        self.label_file(sequence, name)?;
        let files = self.labels.iter().map(|pattern| PathBuf::from(pattern.fill(sequence, 0)));
        Ok(files.filter(|relative| is_there(&self.root.join(relative))).collect())
    }

    /// The sequence of files whose names do not say it: the one in use, where it is a single one.
    pub fn only_sequence(&self) -> Option<u32> {
        self.sequences.first().copied().filter(|_| self.sequences.len() == 1)
    }

    /// Below the root.
    pub fn box_file(&self, sequence: u32) -> Option<PathBuf> {
        first_existing(self.root, self.boxes, sequence)
    }

    /// All files of the folders that the pattern of frames names.
    pub fn files_beside_frames(&self) -> Result<Vec<PathBuf>> {
        let folder_of = |&sequence: &u32| {
            let picture = PathBuf::from(self.frames.fill(sequence, 0));
            picture.parent().unwrap_or(Path::new("")).to_path_buf()
        };
        // Once each, for all sequences may lie in one.
        let folders: BTreeSet<PathBuf> = self.sequences.iter().map(folder_of).collect();
        let mut files = Vec::new();
        for folder in folders.iter().filter(|folder| self.root.join(folder).is_dir()) {
            list_files(self.root, folder, &mut files)?;
        }
        Ok(files)
    }
}

/// Whether anything lies there. A link that leads nowhere does: whoever made it meant something,
/// and is told when it is read.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Of several patterns the first whose file or folder exists, below `root`.
pub(super) fn first_existing(root: &Path, patterns: &[Pattern], sequence: u32) -> Option<PathBuf> {
    patterns
        .iter()
        .map(|pattern| PathBuf::from(pattern.fill(sequence, 0)))
        .find(|relative| is_there(&root.join(relative)))
}

/// A file, or the files of a folder (not of its folders), sorted. What is neither is refused where
/// it is hashed.
pub(super) fn list_files(root: &Path, relative: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
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
