//! Parameters that several kinds of stages share. They describe the network, the frames that it
//! sees, regions, and the machine.

use serde::{Deserialize, Serialize};

use surgcam_values::{
    Backbone, BatchNormStatistics, CamMethod, FeatureLayer, Mode, Pool, Precision, Present,
};

/// The network's shape.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    pub backbone: Backbone,
    pub classes: usize,
    /// How many frames a temporal classifier sees together. Absent for a classifier of single
    /// frames, so that its stages keep their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_length: Option<usize>,
}

impl Architecture {
    /// As many frames as recipes allow.
    pub const LONGEST_CLIP: usize = 64;

    /// The architecture of a classifier of single frames.
    pub const fn of_frames(backbone: Backbone, classes: usize) -> Self {
        Architecture { backbone, classes, clip_length: None }
    }

    /// How many frames the classifier sees together to tell the labels of the last one.
    pub fn frames_in_a_clip(&self) -> usize {
        self.clip_length.unwrap_or(1)
    }
}

/// The mean and the standard deviation of each channel, for frames with values in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

/// The settings of ReduceLROnPlateau, with `mode="min"` and a relative threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    pub factor: f64,
    pub patience: u32,
    pub threshold: f64,
}

/// What heat maps depend on besides the network and the frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CamSettings {
    pub method: CamMethod,
    pub layer: FeatureLayer,
    pub present: Present,
}

/// What decides the features of a frame's regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractionSettings {
    pub mode: Mode,
    /// Only modes that localise have it.
    pub regions: Option<RegionSettings>,
    pub architecture: Architecture,
    pub normalization: Normalization,
    pub pool: Pool,
    pub precision: Precision,
    /// The statistics that normalise the maps that cells are taken from. Running statistics are not
    /// serialised, so that features keep the key that they had before there was a choice.
    #[serde(default, skip_serializing_if = "BatchNormStatistics::is_default")]
    pub batch_norm: BatchNormStatistics,
    /// `[height, width]` that cut-out boxes are resized to. Only modes that cut out boxes have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_size: Option<[u32; 2]>,
    /// The layer whose map of such a picture is pooled. Absent for layer 4, so that what was
    /// extracted before there was a choice keeps its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_layer: Option<FeatureLayer>,
}

/// What decides where the regions of a localising mode are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionSettings {
    pub cam: CamSettings,
    pub roi_threshold: f64,
    /// Only modes with boxes have it.
    pub minimum_area: Option<u32>,
    /// Only SL-FE has it.
    pub feature_layer: Option<FeatureLayer>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredMachine {
    pub host: String,
    /// "cpu" or the GPU's name, with its driver.
    pub device: String,
    pub threads: usize,
    pub libtorch: String,
}
