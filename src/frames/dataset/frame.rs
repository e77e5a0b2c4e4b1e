//! What an index is made of: frames with their labels and boxes, their pictures, and what is told
//! of those left out.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::names;
use crate::vision::geometry::Box2;
use crate::vision::regions::ScoredBox;
use surgcam_engine::error::Error;
use surgcam_engine::store::digest::Digest;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledBox {
    pub class: usize,
    /// In pixels of `Frame::box_space`.
    pub bounds: Box2,
}

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
    /// Indices of the classes that are there, rising; the tissue always is.
    pub labels: Vec<usize>,
    /// `None`: nobody annotated boxes in this frame.
    pub boxes: Option<Vec<LabelledBox>>,
    /// `[width, height]` of the pixels that the boxes count in.
    pub box_space: [u32; 2],
    /// What a detector found, where an extraction uses it. Not in an index: who reads an index
    /// attaches it.
    #[serde(skip)]
    pub detected: Vec<DetectedBox>,
}

/// A box of a detector, in pixels of the frame as the network sees it, with the detector's score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectedBox {
    pub class: usize,
    pub scored: ScoredBox,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Below the data set's root.
    pub path: PathBuf,
    pub digest: Digest,
}

/// A frame that could not be used, and why; or what else is to be told of a place in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SkippedFrame {
    pub place: String,
    pub problem: String,
}

pub fn skipped_frame(error: &Error) -> SkippedFrame {
    SkippedFrame {
        place: error.place().unwrap_or_default().to_string(),
        problem: error.what().to_string(),
    }
}
