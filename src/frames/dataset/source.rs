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

    /// The sequences that a pattern has a path of their own for. If it does not name the sequence,
    /// the first one stands for all.
    pub(super) fn sequences_of(&self, pattern: &Pattern) -> BTreeSet<u32> {
        if pattern.has_sequence() {
            return self.sequences();
        }
        self.train.iter().chain(&self.validation).min().copied().into_iter().collect()
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
        let validation: BTreeSet<u32> = self.validation.iter().copied().collect();
        DataFolder {
            root,
            sequences: self.sequences(),
            undecided: self
                .train
                .iter()
                .copied()
                .filter(|sequence| validation.contains(sequence))
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
        for annotations in self.annotation_files(root) {
            list_files(root, &annotations, &mut files)?;
        }
        files.iter().try_for_each(|file| check_size(&root.join(file)))?;
        files.append(&mut self.layout.adapter().pictures(&folder)?);
        // The pictures of each folder are sorted already, and this sort is fast on sorted runs.
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The files and folders of captions and interactions that are read, below the root.
    fn annotation_files(&self, root: &Path) -> BTreeSet<PathBuf> {
        let captions = self.captions.iter().flat_map(|pattern| {
            let sequences = self.sequences_of(pattern).into_iter();
            sequences.map(move |sequence| PathBuf::from(pattern.fill(sequence, 0)))
        });
        let captions = captions.filter(|relative| is_there(&root.join(relative)));
        let sequences = self.sequences().into_iter();
        let interactions =
            sequences.filter_map(|sequence| first_existing(root, &self.interactions, sequence));
        captions.chain(interactions).collect()
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
