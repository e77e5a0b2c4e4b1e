//! What an adapter reads: frames, labels and boxes in the data set's own terms, before classes and
//! pictures are looked up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::boxes::{BoxEnds, BoxesByFrame};
use super::folder::{DataFolder, list_files};
use surgcam_engine::error::{Error, Result};

/// Reads one layout. A line that cannot be used is a problem of its sequence; a file that cannot be
/// read is an error.
pub trait Adapter: Sync {
    /// `seq_2` or `video03`: letters, digits and `_` alone, for exports make folders of it.
    fn sequence_name(&self, sequence: u32) -> String;

    /// `frame010` or `000030`: letters, digits and `_` alone.
    fn frame_name(&self, frame: u32) -> String;

    /// The sequences in use, rising, each read when the one before it was taken.
    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>>;

    /// Below the root, every file of labels and boxes of the sequences in use, for the digest of
    /// the data.
    fn label_files(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for &sequence in &folder.sequences {
            files.push(folder.label_file(sequence, &self.sequence_name(sequence))?);
            if let Some(boxes) = folder.box_file(sequence) {
                list_files(folder.root, &boxes, &mut files)?;
            }
        }
        Ok(files)
    }

    /// Below the root, every picture that can be a frame of the sequences in use, for the digest of
    /// the data. Other files may be among them, but none that is there may be missing.
    fn pictures(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        folder.files_beside_frames()
    }
}

pub type RawSequences<'a> = Box<dyn Iterator<Item = Result<RawSequence>> + 'a>;

/// A line that cannot be used is an error in `problems`, not the end.
#[derive(Debug, Default)]
pub struct RawSequence {
    pub number: u32,
    /// The file that says which tools are annotated, with its line where it has a header.
    pub place: String,
    pub frames: Vec<RawFrame>,
    /// `None`: there is no box file.
    pub boxes: Option<BoxesByFrame>,
    /// Names of tools (and perhaps the tissue) that boxes can annotate, whether there is one or
    /// not.
    pub annotated: BTreeSet<String>,
    /// `[width, height]` of the pixels that boxes count in; `None`: those of the picture.
    pub box_space: Option<[u32; 2]>,
    pub box_ends: BoxEnds,
    pub problems: Vec<Error>,
}

#[derive(Debug, Clone, Default)]
pub struct RawFrame {
    pub number: u32,
    /// Names of the tools that the label file marks.
    pub tools: Vec<String>,
    /// `file:line` of its label.
    pub place: String,
    /// Below the root; `None`: where the recipe's pattern says.
    pub picture: Option<PathBuf>,
    /// `None`: the recipe's, of the whole sequence.
    pub split: Option<Split>,
    /// `[width, height]` of the picture as its label file has it; `None`: the file does not say.
    pub picture_size: Option<[u32; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Train,
    Validation,
}
