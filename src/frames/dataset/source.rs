//! Where the files of a data set lie below its root: by patterns of a recipe, so that other names
//! need no other code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::adapters::Layout;
use super::folder::{DataFolder, first_existing, is_there, list_files};
use super::label_file::LABEL_FILE_BYTES;
use super::pattern::Pattern;
use surgcam_engine::error::{Error, Result};

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
    /// One frame in the folder is so many in the tool file (25 for frames at 1 fps of a 25 fps
    /// video).
    pub frame_step: u32,
    /// The interaction that each verb of CholecT50's files stands for.
    // Left out where it is empty, so that the keys of other data sets stay as they were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verbs: BTreeMap<String, String>,
}

impl SourceLayout {
    /// The sequences in use, rising, each once.
    pub fn sequences(&self) -> BTreeSet<u32> {
        self.train.iter().chain(&self.validation).copied().collect()
    }

    /// The same for one of its sequences alone.
    pub(super) fn of_sequence(&self, sequence: u32) -> Self {
        let only = |sequences: &[u32]| {
            sequences.iter().copied().filter(|number| *number == sequence).collect()
        };
        SourceLayout {
            train: only(&self.train),
            validation: only(&self.validation),
            ..self.clone()
        }
    }

    /// What an adapter is given of it.
    pub(super) fn folder<'a>(&'a self, root: &'a Path) -> DataFolder<'a> {
        DataFolder {
            root,
            sequences: self.sequences(),
            undecided: self
                .train
                .iter()
                .filter(|sequence| self.validation.contains(sequence))
                .copied()
                .collect(),
            frames: &self.frames,
            labels: &self.labels,
            boxes: &self.boxes,
            frame_step: self.frame_step,
        }
    }

    pub(super) fn sequence_name(&self, sequence: u32) -> String {
        self.layout.adapter().sequence_name(sequence)
    }

    pub(super) fn frame_name(&self, frame: u32) -> String {
        self.layout.adapter().frame_name(frame)
    }

    /// Every file below `root` that can change the index, the annotations or the pictures, sorted:
    /// what the data's digest covers.
    pub fn source_files(&self, root: &Path) -> Result<Vec<PathBuf>> {
        let folder = self.folder(root);
        let mut files = self.layout.adapter().label_files(&folder)?;
        for &sequence in &folder.sequences {
            let captions =
                self.captions.iter().map(|pattern| PathBuf::from(pattern.fill(sequence, 0)));
            let annotations = captions.filter(|relative| is_there(&root.join(relative)));
            for annotation in annotations.chain(first_existing(root, &self.interactions, sequence))
            {
                list_files(root, &annotation, &mut files)?;
            }
        }
        files.iter().try_for_each(|file| check_size(&root.join(file)))?;
        files.append(&mut self.layout.adapter().pictures(&folder)?);
        // The pictures of one folder after the other are sorted already, which this sort makes use
        // of.
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// A file that is too large is refused before it is hashed, which would take minutes.
fn check_size(file: &Path) -> Result<()> {
    match file.metadata() {
        Ok(metadata) if metadata.len() > LABEL_FILE_BYTES => Err(Error::failure(format!(
            "is larger than {LABEL_FILE_BYTES} bytes, more than a label file may have"
        ))
        .at_path(file)),
        // Whoever reads it tells what is wrong with it.
        _ => Ok(()),
    }
}
