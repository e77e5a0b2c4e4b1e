//! `evaluate`: how well a classifier tells the labels of the validation frames.

use serde::{Deserialize, Serialize};

use super::frame_inputs::FrameInputs;
use crate::settings::{Architecture, Normalization};
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, StageKind};
use surgcam_frames::metrics::Classification;

/// Classifies the validation frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluateStage {
    pub architecture: Architecture,
    pub normalization: Normalization,
}

impl StageKind for EvaluateStage {
    const NAME: &'static str = "evaluate";
    const VERSION: u32 = 4;

    type Inputs<S> = FrameInputs<S>;
}

impl HasMetrics for EvaluateStage {
    type Metrics = Classification;
}

impl EvaluateStage {
    /// The probability of each class in every validation frame, for scores of single sequences and
    /// for the comparison of two models on the same frames.
    pub const PREDICTIONS: OutputOf<Self> = OutputOf::new("predictions.parquet");
}
