//! The metrics of each kind of stage: the numbers that tables are made of. A stage writes them as
//! one JSON file. The name of the stage is the first word of each description.

use serde::{Deserialize, Serialize};

use crate::dataset::index::SkippedFrame;
use crate::language::scores::CaptionScores;
use surgcam_values::Precision;

/// `index` and `pack`: frames that were left out because of `on_bad_frame = "skip"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub skipped: Vec<SkippedFrame>,
    /// Captions and interactions that could not be used. Their frames are used.
    #[serde(default)]
    pub skipped_annotations: Vec<SkippedFrame>,
    /// Boxes that were cut at the edge of their picture, or that are listed twice. Their frames are
    /// used. They are stored under the name that earlier versions gave them.
    #[serde(default, rename = "mended_boxes", skip_serializing_if = "Vec::is_empty")]
    pub corrected_boxes: Vec<SkippedFrame>,
}

/// `evaluate`: how well a classifier finds the classes in validation frames (METHOD 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    pub frames: usize,
    /// The share of frames in which every label is right.
    pub accuracy: f64,
    pub mean_average_precision: Option<f64>,
    /// By class index. `None`: no frame has the class.
    pub average_precision: Vec<Option<f64>>,
}

/// `score`: how well boxes meet the ground truth, and a control with the ground truth of other
/// frames (METHOD 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalizationMetrics {
    pub validation_frames: usize,
    /// The validation frames that have ground truth.
    pub scored_frames: usize,
    pub boxes: Localization,
    pub control: Localization,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Localization {
    /// The mean over all pairs of a frame and a class that are counted.
    pub mean_iou: Option<f64>,
    pub mean_iou_without_tissue: Option<f64>,
    /// By class index, as is `ap_per_class`. `None`: the class was never counted.
    pub iou_per_class: Vec<Option<f64>>,
    /// The mean average precision over the classes that have ground truth.
    pub detection_map: Option<f64>,
    pub ap_per_class: Vec<Option<f64>>,
    /// Version 1 of the stage did not write this.
    #[serde(default)]
    pub detection: DetectionMetrics,
}

/// How well boxes are detected, as pycocotools judges it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DetectionMetrics {
    /// The mean over the classes that have true boxes.
    pub mean: Option<Detection>,
    /// By class index. `None`: the class has no true box.
    pub per_class: Vec<Option<Detection>>,
}

/// How well the boxes of a class are detected.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// At an IoU of 0.5, as are recall and F1.
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    pub average_precision_at_50: f64,
    /// The mean over the ten IoUs from 0.5 to 0.95.
    pub average_precision_50_to_95: f64,
}

/// `heat-score`: how well heat maps meet the ground truth, and a control with the ground truth of
/// other frames (METHOD 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatScoreMetrics {
    pub validation_frames: usize,
    /// The validation frames that have ground truth.
    pub scored_frames: usize,
    pub heat: HeatLocalization,
    pub control: HeatLocalization,
}

/// Where the heat of present classes lies. `None`: the class has no such frame. The first two
/// numbers are means over the classes that have frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatLocalization {
    pub energy_in_box: Option<f64>,
    pub pointing_game: Option<f64>,
    /// By class index, as are the lists below.
    pub energy_in_box_per_class: Vec<Option<f64>>,
    pub pointing_game_per_class: Vec<Option<f64>>,
    /// In how many frames the class is present and has a true box.
    pub frames_per_class: Vec<usize>,
}

/// `deletion-insertion`: how the probability of a class changes when pixels are deleted or inserted
/// in the order of its heat map, and a control with the heat maps of other frames (METHOD 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletionInsertionMetrics {
    /// How many validation frames were used.
    pub frames: usize,
    pub heat: CurveAreas,
    pub control: CurveAreas,
}

/// The areas under the curves of a class's probability. `None`: the class has no such frame. The
/// first two numbers are means over the classes that have frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveAreas {
    pub deletion: Option<f64>,
    pub insertion: Option<f64>,
    /// By class index, as are the lists below.
    pub deletion_per_class: Vec<Option<f64>>,
    pub insertion_per_class: Vec<Option<f64>>,
    /// In how many frames the class is present. The control needs another such frame.
    pub frames_per_class: Vec<usize>,
}

/// `probe`: how well a linear classifier on the features of regions finds the classes (METHOD 8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub train_frames: usize,
    pub validation_frames: usize,
    pub mean_average_precision: Option<f64>,
    pub average_precision: Vec<Option<f64>>,
}

/// `caption`: how good the captions are (METHOD 8). The file has `null` if the train or the
/// validation frames have no caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionMetrics {
    pub train_captions: usize,
    pub captions: usize,
    /// How many words the captioner knows.
    pub words: usize,
    pub scores: CaptionScores,
}

/// `interact`: how well interactions are found (METHOD 8). The file has `null` if the train or the
/// validation frames have no interaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteractionMetrics {
    /// How many annotated instruments there are.
    pub train_edges: usize,
    pub edges: usize,
    /// How many of `edges` have no region of their class.
    pub without_region: usize,
    pub accuracy: f64,
    pub mean_average_precision: f64,
    pub recall: f64,
    pub per_interaction: Vec<OneInteraction>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneInteraction {
    pub interaction: String,
    pub edges: usize,
    pub average_precision: Option<f64>,
    pub recall: Option<f64>,
}

/// `measure`: the speed of extraction, frame by frame and without decoding. The file has `null` if
/// no frame has what the mode needs, such as annotated boxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    pub frames: usize,
    pub frames_per_second: f64,
    pub p50_milliseconds: f64,
    pub p95_milliseconds: f64,
    pub forward_passes_per_frame: f64,
    pub regions_per_frame: f64,
    /// Whether other stages may have used the machine during the measurement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_alone: bool,
}

/// `benchmark`: the speed of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpeed {
    pub step: String,
    /// How many frames are computed together.
    pub batch: usize,
    pub p50_milliseconds_per_frame: f64,
    pub p95_milliseconds_per_frame: f64,
    pub repetitions: usize,
    /// As in [`Speed`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_alone: bool,
}

/// `self-test`: one comparison of many values with those of an independent implementation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelfTestCheck {
    pub check: String,
    pub precision: Precision,
    /// How many values, vectors or boxes were compared.
    pub compared: usize,
    pub largest_difference: f64,
    /// In words, because tolerances have several forms.
    pub tolerance: String,
    pub passed: bool,
}

/// `extract`: what was extracted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractionSummary {
    pub frames: usize,
    pub regions: usize,
    pub forward_passes: usize,
    /// How often a class is present in a frame but has no region there.
    pub classes_without_region: usize,
}
