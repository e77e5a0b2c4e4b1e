//! `score`: how good boxes are.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, StageKind};
use surgcam_frames::metrics::LocalizationMetrics;

/// Compares boxes with the true boxes of the validation frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScoreStage {
    pub image_size: [u32; 2],
    pub classes: usize,
}

inputs! {
    pub struct ScoreInputs<S> {
        boxes: S,
        index: S,
        /// It tells which frames were left out.
        pack: S,
    }
}

impl StageKind for ScoreStage {
    const NAME: &'static str = "score";
    const VERSION: u32 = 2;

    type Inputs<S> = ScoreInputs<S>;
}

impl HasMetrics for ScoreStage {
    type Metrics = LocalizationMetrics;
}
