//! The trait of adapters, and what they read: frames, labels and boxes in the data set's own terms,
//! before classes and pictures are looked up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::boxes::{BoxEnds, BoxesByFrame};
use super::folder::{DataFolder, list_files};
use surgcam_engine::error::{Error, Result};

/// Reads one layout. A line that cannot be used is a problem of its sequence. A file that cannot be
/// read is an error.
pub trait Adapter: Sync {
    /// The name of a sequence, such as `seq_2` or `video03`. It has only letters, digits and `_`,
    /// because exports make folders of it.
    fn sequence_name(&self, sequence: u32) -> String;

    /// The name of a frame, such as `frame010` or `000030`. It has only letters, digits and `_`.
    fn frame_name(&self, frame: u32) -> String;

    /// The sequences in use in rising order. Each is read when it is asked for.
    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>>;

    /// Every file of labels and boxes of the sequences in use, below the root. The digest of the
    /// data covers them.
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

    /// Every picture that can be a frame of the sequences in use, below the root. The digest of the
    /// data covers them. Other files may be among them, but no picture may be missing.
    fn pictures(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        folder.files_beside_frames()
    }
}

pub type RawSequences<'a> = Box<dyn Iterator<Item = Result<RawSequence>> + 'a>;

/// A sequence as its files have it.
#[derive(Debug, Default)]
pub struct RawSequence {
    pub number: u32,
    /// The file that says which tools are annotated, with the line of its header if it has one.
    pub place: String,
    pub frames: Vec<RawFrame>,
    /// `None`: there is no box file.
    pub boxes: Option<BoxesByFrame>,
    /// The names of the tools, and perhaps of the tissue, that boxes can annotate, whether there is
    /// such a box or not.
    pub annotated: BTreeSet<String>,
    /// `[width, height]` of the picture in whose pixels boxes are. `None`: that of the frame's
    /// picture.
    pub box_space: Option<[u32; 2]>,
    pub box_ends: BoxEnds,
    /// The lines and frames that cannot be used, each with its place.
    pub problems: Vec<Error>,
}

/// A frame as its label file has it.
#[derive(Debug, Clone, Default)]
pub struct RawFrame {
    pub number: u32,
    /// The names of the tools that the label file marks as present.
    pub tools: Vec<String>,
    /// `file:line` of the label.
    pub place: String,
    /// The picture below the root. `None`: it lies where the recipe's pattern says.
    pub picture: Option<PathBuf>,
    /// `None`: the recipe decides for the whole sequence.
    pub split: Option<Split>,
    /// `[width, height]` of the picture, as the label file says it. `None`: it does not.
    pub picture_size: Option<[u32; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Train,
    Validation,
}
