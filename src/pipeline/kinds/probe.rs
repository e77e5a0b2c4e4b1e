//! `probe`: how well labels can be predicted from features.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, StageKind};
use surgcam_frames::metrics::Probe;

/// Fits a ridge regression from features to labels, and scores its predictions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeStage {
    pub ridge: f64,
    pub classes: usize,
    /// Whether this is the control, in which frames have other frames' features.
    pub shuffled: bool,
}

inputs! {
    pub struct ProbeInputs<S> {
        features: S,
        index: S,
        /// It tells which frames were left out.
        pack: S,
    }
}

impl StageKind for ProbeStage {
    const NAME: &'static str = "probe";
    const VERSION: u32 = 3;

    type Inputs<S> = ProbeInputs<S>;
}

impl HasMetrics for ProbeStage {
    type Metrics = Probe;
}
