//! Where the files of a data set lie below its root. Patterns of a recipe say it, so that a data
//! set with other file names does not need other code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::adapters::Layout;
use super::folder::{DataFolder, first_existing, is_there, list_files};
use super::label_file::LABEL_FILE_BYTES;
use super::pattern::Pattern;
use surgcam_engine::error::{Error, Result};

/// Where things lie below the root of a data set, and which sequences are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceLayout {
    pub layout: Layout,
    /// The numbers of the sequences to train on.
    pub train: Vec<u32>,
    /// The numbers of the sequences to validate on.
    pub validation: Vec<u32>,
    /// The picture of a frame.
    pub frames: Pattern,
    /// Label files. Most layouts read the first one that exists.
    pub labels: Vec<Pattern>,
    /// Box files. The first one that exists is read.
    pub boxes: Vec<Pattern>,
    /// Caption files. All that exist are read, and the first caption of a frame counts.
    pub captions: Vec<Pattern>,
    /// Interaction files. The first one that exists is read.
    pub interactions: Vec<Pattern>,
    /// By how much the frame number in label files grows from one picture to the next. It is 25 if
    /// labels count at 25 fps and pictures lie at 1 fps.
    pub frame_step: u32,
    /// The interaction that each verb of CholecT50's files stands for.
    // Left out where it is empty, so that the keys of other data sets stay as they were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verbs: BTreeMap<String, String>,
}

impl SourceLayout {
    /// The sequences in use.
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

    /// What an adapter is given to read.
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

    /// Every file below `root` that can change the index, the annotations or the pictures, sorted.
    /// The digest of the data covers these files.
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
        // The pictures of each folder are sorted already, and this sort is fast on sorted runs.
        files.sort();
        files.dedup();
        Ok(files)
    }
}

/// Refuses a file that is too large before it is hashed, which would take minutes.
fn check_size(file: &Path) -> Result<()> {
    match file.metadata() {
        Ok(metadata) if metadata.len() > LABEL_FILE_BYTES => Err(Error::failure(format!(
            "is larger than {LABEL_FILE_BYTES} bytes, more than a label file may have"
        ))
        .at_path(file)),
        // If something else is wrong with the file, the error comes when it is read.
        _ => Ok(()),
    }
}
