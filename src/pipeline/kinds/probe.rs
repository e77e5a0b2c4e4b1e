//! `probe`: what features tell of the labels.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, StageKind};
use surgcam_frames::metrics::Probe;

/// How well a ridge regression tells the labels from the features.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeStage {
    pub ridge: f64,
    pub classes: usize,
    /// The control: frames with other frames' features.
    pub shuffled: bool,
}

inputs! {
    pub struct ProbeInputs<S> {
        features: S,
        index: S,
        /// It knows which frames were left out.
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
