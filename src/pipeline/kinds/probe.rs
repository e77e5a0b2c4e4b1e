//! `probe`: how well labels can be predicted from features.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, StageKind};
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
    const VERSION: u32 = 4;

    type Inputs<S> = ProbeInputs<S>;
}

impl HasMetrics for ProbeStage {
    type Metrics = Probe;
}

impl ProbeStage {
    /// The score of each class in every validation frame. It is absent if no frame has a region.
    pub const PREDICTIONS: OutputOf<Self> = OutputOf::new("predictions.parquet");
}
