//! The entries of an index: frames with their labels and boxes, pictures, and the frames that were
//! left out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::names;
use crate::vision::geometry::Box2;
use crate::vision::regions::ScoredBox;
use surgcam_engine::error::Error;
use surgcam_engine::store::digest::Digest;

/// A box of a frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledBox {
    /// The index of the class in the label space.
    pub class: usize,
    /// In pixels of `Frame::box_space`.
    pub bounds: Box2,
}

/// A frame with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// `seq_2` or `video03`.
    #[serde(deserialize_with = "names::deserialize")]
    pub sequence: String,
    /// `frame010` or `000030`.
    #[serde(deserialize_with = "names::deserialize")]
    pub name: String,
    pub train: bool,
    pub validation: bool,
    /// The indices of the classes that are present, rising. The tissue is always among them.
    pub labels: Vec<usize>,
    /// `None`: nobody annotated boxes in this frame.
    pub boxes: Option<Vec<LabelledBox>>,
    /// `[width, height]` of the picture in whose pixels the boxes are.
    pub box_space: [u32; 2],
    /// The boxes of a detector, if an extraction uses them. They are not in the files of an index
    /// and are added after reading one.
    #[serde(skip)]
    pub detected: Vec<DetectedBox>,
}

/// A box of a detector in pixels of the resized frame, with the detector's score as its confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectedBox {
    pub class: usize,
    pub scored: ScoredBox,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Below the root of the data set.
    pub path: PathBuf,
    pub digest: Digest,
}

/// A frame that could not be used, and why. It may also be something else to report about a place
/// in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkippedFrame {
    pub place: String,
    pub problem: String,
}

/// The place and the problem of an error.
pub fn skipped_frame(error: &Error) -> SkippedFrame {
    SkippedFrame {
        place: error.place().unwrap_or_default().to_string(),
        problem: error.what().to_string(),
    }
}
