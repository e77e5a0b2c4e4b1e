//! Values that are one of a few words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// ResNets by torchvision's names; `resnet10` has one basic block a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    ResNet10,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
}

/// The layer of the backbone that a feature map comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeatureLayer {
    Layer3,
    Layer4,
}

/// How regions become features (METHOD 6), with two yardsticks and a detector's boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Localization and naive feature extraction: a forward pass for every box.
    LnFe,
    /// Localization-aided: the box's part of a feature map.
    LFe,
    /// Single-pass localization-aided: the hot cells of a feature map.
    SlFe,
    /// Yardstick: LN-FE on the ground truth's boxes, the conventional pipeline with a perfect
    /// detector.
    GroundTruthBoxes,
    /// The conventional pipeline: LN-FE on boxes that another program's detector found.
    DetectorBoxes,
    /// Yardstick: one region, the whole frame.
    WholeFrame,
}

impl Mode {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Mode::LnFe => "ln-fe",
            Mode::LFe => "l-fe",
            Mode::SlFe => "sl-fe",
            Mode::GroundTruthBoxes => "ground-truth-boxes",
            Mode::DetectorBoxes => "detector-boxes",
            Mode::WholeFrame => "whole-frame",
        }
    }

    /// Whether regions come from heat maps, so that T_ROI and the present classes matter.
    pub fn is_localised(self) -> bool {
        matches!(self, Mode::LnFe | Mode::LFe | Mode::SlFe)
    }

    /// Whether a region's features come from the feature maps of the whole frame, cell by cell.
    pub fn takes_cells(self) -> bool {
        matches!(self, Mode::LFe | Mode::SlFe)
    }

    /// Whether it is there to compare other modes with: it knows the true boxes, or looks for none.
    pub fn is_yardstick(self) -> bool {
        matches!(self, Mode::GroundTruthBoxes | Mode::WholeFrame)
    }

    /// Whether boxes are cut out of the picture and sent through the network.
    pub fn cuts_out(self) -> bool {
        matches!(self, Mode::LnFe | Mode::GroundTruthBoxes | Mode::DetectorBoxes)
    }
}

/// Whose mean and variance normalise the maps that L-FE and SL-FE take their cells from (METHOD 6,
/// "Batch statistics").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormStatistics {
    /// The running ones, which training gathered.
    #[default]
    Running,
    /// Those of the single frame.
    Frame,
}

impl BatchNormStatistics {
    pub fn name(self) -> &'static str {
        match self {
            BatchNormStatistics::Running => "running",
            BatchNormStatistics::Frame => "frame",
        }
    }

    pub fn is_default(&self) -> bool {
        *self == BatchNormStatistics::default()
    }
}

/// How channels weigh in a heat map (METHOD 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CamMethod {
    #[serde(rename = "grad-cam")]
    GradCam,
    #[serde(rename = "grad-cam++")]
    GradCamPlusPlus,
    #[serde(rename = "hires-cam")]
    HiResCam,
    #[serde(rename = "layer-cam")]
    LayerCam,
}

/// What the network counts in, in evaluation and extraction. What it finds is kept in f32 whatever
/// it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    Bf16,
    F16,
}

impl Precision {
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }
}

/// Whether a model is trained, or its weights are taken as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Training {
    Full,
    None,
}

/// What a network counts in while it is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrainingPrecision {
    #[default]
    F32,
    /// Mixed: convolutions and what lies between them in bf16; weights, their gradients and the
    /// loss in f32. No loss needs scaling, for bf16 has f32's range.
    Bf16,
}

impl TrainingPrecision {
    pub fn is_default(&self) -> bool {
        *self == TrainingPrecision::default()
    }
}

/// What a head learns from features.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HeadTask {
    /// The frame's labels, in closed form: a first judgement of features.
    Probe,
    /// What happens, in words.
    Caption,
    /// What each instrument does to the tissue.
    Interaction,
}

/// The losses of interaction graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InteractionLoss {
    SoftMargin,
    CrossEntropy,
    ClassBalanced,
    CogTree,
}

impl InteractionLoss {
    pub fn name(self) -> &'static str {
        match self {
            InteractionLoss::SoftMargin => "soft-margin",
            InteractionLoss::CrossEntropy => "cross-entropy",
            InteractionLoss::ClassBalanced => "class-balanced",
            InteractionLoss::CogTree => "cog-tree",
        }
    }
}

/// A table that an experiment asks for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    Classification,
    Localization,
    Extraction,
}

impl Table {
    /// All tables, in the order in which they are shown.
    pub const ALL: [Table; 3] = [Table::Classification, Table::Localization, Table::Extraction];

    pub fn name(self) -> &'static str {
        match self {
            Table::Classification => "classification",
            Table::Localization => "localization",
            Table::Extraction => "extraction",
        }
    }
}
