//! The numbers that tables are made of, one JSON file a stage.

use serde::{Deserialize, Serialize};

use crate::dataset::index::SkippedFrame;
use crate::language::scores::CaptionScores;
use surgcam_values::Precision;

/// `index` and `pack`: frames that were left out because of `on_bad_frame = "skip"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub skipped: Vec<SkippedFrame>,
    /// Captions and interactions, whose frames stay.
    #[serde(default)]
    pub skipped_annotations: Vec<SkippedFrame>,
    /// Boxes that were cut at the edge of their picture, or that are listed twice; their frames
    /// stay, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mended_boxes: Vec<SkippedFrame>,
}

/// `evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    pub frames: usize,
    /// Share of frames whose every label is right.
    pub accuracy: f64,
    pub mean_average_precision: Option<f64>,
    /// By class index; none where no frame has the class.
    pub average_precision: Vec<Option<f64>>,
}

/// `score`: the boxes, and the control with another frame's ground truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalizationMetrics {
    /// Validation frames, and those of them that have ground truth.
    pub validation_frames: usize,
    pub scored_frames: usize,
    pub boxes: Localization,
    pub control: Localization,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Localization {
    pub mean_iou: Option<f64>,
    pub mean_iou_without_tissue: Option<f64>,
    /// By class index.
    pub iou_per_class: Vec<Option<f64>>,
    pub detection_map: Option<f64>,
    pub ap_per_class: Vec<Option<f64>>,
    /// Empty in the metrics of version 1 of the stage.
    #[serde(default)]
    pub detection: DetectionMetrics,
}

/// How well boxes are detected, as pycocotools judges it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DetectionMetrics {
    /// Over the classes that have true boxes.
    pub mean: Option<Detection>,
    /// By class index; none where the class has no true box.
    pub per_class: Vec<Option<Detection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// At IoU 0.5, as are recall and F1.
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
    pub average_precision_at_50: f64,
    /// The mean over the ten IoUs from 0.5 to 0.95.
    pub average_precision_50_to_95: f64,
}

/// `heat-score`: the heat maps, and the control with another frame's ground truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatScoreMetrics {
    /// As in [`LocalizationMetrics`].
    pub validation_frames: usize,
    pub scored_frames: usize,
    pub heat: HeatLocalization,
    pub control: HeatLocalization,
}

/// Where the heat of present classes lies; means over the classes that have frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatLocalization {
    pub energy_in_box: Option<f64>,
    pub pointing_game: Option<f64>,
    /// By class index, as all below.
    pub energy_in_box_per_class: Vec<Option<f64>>,
    pub pointing_game_per_class: Vec<Option<f64>>,
    /// Frames where the class is present and has a true box.
    pub frames_per_class: Vec<usize>,
}

/// `deletion-insertion`: the heat maps, and the control with another frame's heat map of the class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletionInsertionMetrics {
    /// Validation frames that were looked at.
    pub frames: usize,
    pub heat: CurveAreas,
    pub control: CurveAreas,
}

/// Areas under the curves of a class's probability; means over the classes that have frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveAreas {
    pub deletion: Option<f64>,
    pub insertion: Option<f64>,
    /// By class index, as all below.
    pub deletion_per_class: Vec<Option<f64>>,
    pub insertion_per_class: Vec<Option<f64>>,
    /// Frames where the class is present, and for the control those with another such frame.
    pub frames_per_class: Vec<usize>,
}

/// `probe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub train_frames: usize,
    pub validation_frames: usize,
    pub mean_average_precision: Option<f64>,
    pub average_precision: Vec<Option<f64>>,
}

/// `caption`. `null` where the train or the validation frames have no caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionMetrics {
    pub train_captions: usize,
    pub captions: usize,
    /// Words that the captioner knows.
    pub words: usize,
    pub scores: CaptionScores,
}

/// `interact`. `null` where the train or the validation frames have no interaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteractionMetrics {
    /// Annotated instruments.
    pub train_edges: usize,
    pub edges: usize,
    /// Those that no region of their class shows.
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

/// `measure`: at batch 1, decoding not included. `null` where no frame has what the mode needs
/// (boxes that nobody annotated).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    pub frames: usize,
    pub frames_per_second: f64,
    pub p50_milliseconds: f64,
    pub p95_milliseconds: f64,
    pub forward_passes_per_frame: f64,
    pub regions_per_frame: f64,
    /// Whether others used the machine meanwhile, for it could not be had alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_alone: bool,
}

/// `benchmark`: one step, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpeed {
    pub step: String,
    /// Frames, or pictures, that are worked on together.
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
    /// In words, for there are several forms.
    pub tolerance: String,
    pub passed: bool,
}

/// `extract`, beside its features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractionSummary {
    pub frames: usize,
    pub regions: usize,
    pub forward_passes: usize,
    /// (frame, class) pairs where a present class has no region.
    pub classes_without_region: usize,
}
