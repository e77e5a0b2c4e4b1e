//! `heat-score`: how good heat maps are, before any threshold.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, StageKind};
use surgcam_frames::metrics::HeatScoreMetrics;

/// Compares heat maps with the true boxes of the validation frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeatScoreStage {
    /// `[height, width]` that heat maps are enlarged to, and that the coordinates of boxes refer
    /// to.
    pub image_size: [u32; 2],
    pub classes: usize,
}

inputs! {
    pub struct HeatScoreInputs<S> {
        heat_maps: S,
        index: S,
        /// It tells which frames were left out.
        pack: S,
    }
}

impl StageKind for HeatScoreStage {
    const NAME: &'static str = "heat-score";
    const VERSION: u32 = 1;

    type Inputs<S> = HeatScoreInputs<S>;
}

impl HasMetrics for HeatScoreStage {
    type Metrics = HeatScoreMetrics;
}
