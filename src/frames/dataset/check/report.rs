//! The result of a check: numbers for people and for scripts.

use serde::Serialize;

use crate::dataset::adapters::Layout;
use crate::dataset::frame::{Frame, SkippedFrame};
use surgcam_engine::error::Error;

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub root: String,
    pub layout: Layout,
    pub frames_pattern: String,
    pub labels: Vec<String>,
    pub frame_step: u32,
    /// Nothing is wrong. There may be notes.
    pub is_sound: bool,
    pub frames: PerSplit,
    pub frames_with_boxes: PerSplit,
    pub boxes: PerSplit,
    pub captions: PerSplit,
    pub interactions: PerSplit,
    pub sequences: Vec<SequenceCount>,
    pub classes: Vec<ClassCount>,
    pub picture_sizes: Vec<PictureSize>,
    /// Pictures that have the same content as an earlier one, in any split.
    pub same_pictures: usize,
    pub problems: Vec<Problem>,
    /// Boxes that were cut at the edge of their picture, or that are listed twice.
    pub changed_boxes: Vec<SkippedFrame>,
    pub notes: Vec<String>,
}

/// A frame may be for both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PerSplit {
    pub train: usize,
    pub validation: usize,
}

impl PerSplit {
    pub(super) fn add(&mut self, frame: &Frame, count: usize) {
        self.train += if frame.train { count } else { 0 };
        self.validation += if frame.validation { count } else { 0 };
    }

    pub fn total(&self) -> usize {
        self.train + self.validation
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct SequenceCount {
    pub name: String,
    pub frames: PerSplit,
}

#[derive(Debug, Clone, Serialize)]
pub struct ClassCount {
    pub name: String,
    pub is_tissue: bool,
    /// The frames that show it.
    pub frames: PerSplit,
    pub boxes: PerSplit,
}

#[derive(Debug, Clone, Serialize)]
pub struct PictureSize {
    pub width: u32,
    pub height: u32,
    pub pictures: usize,
}

/// Something that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    pub kind: Kind,
    /// A file, or `file:line`.
    pub place: String,
    pub problem: String,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Pictures at another rate, or with other numbers, than the labels say.
    FrameRate,
    /// Frames, labels and boxes that cannot be used.
    Labels,
    /// Captions and interactions that cannot be used.
    Annotations,
    /// Pictures that are broken.
    Pictures,
    /// The same content in both splits.
    Duplicates,
    /// The same sequence in both splits.
    SameSequence,
}

pub(super) fn problem(kind: Kind, error: &Error) -> Problem {
    Problem {
        kind,
        place: error.place().unwrap_or_default().to_string(),
        problem: error.what().to_string(),
        hint: error.hint_text().map(str::to_string),
    }
}
