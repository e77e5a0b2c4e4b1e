//! `measure`: how fast one way of extraction is.

use serde::{Deserialize, Serialize};

use super::frame_inputs::FrameInputs;
use crate::settings::{ExtractionSettings, MeasuredMachine};
use surgcam_engine::plan::kind::{HasMetrics, StageKind};
use surgcam_frames::metrics::Speed;

/// The speed of one way of extraction at batch 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeasureStage {
    pub extraction: ExtractionSettings,
    pub frames: usize,
    /// Timing ends after this number of seconds, even with fewer frames.
    pub seconds: f64,
    pub warm_up: usize,
    /// Speed depends on the machine, so the machine is part of the key.
    pub machine: MeasuredMachine,
}

impl StageKind for MeasureStage {
    const NAME: &'static str = "measure";
    const VERSION: u32 = 3;
    const IS_ALONE: bool = true;

    type Inputs<S> = FrameInputs<S>;
}

impl HasMetrics for MeasureStage {
    type Metrics = Option<Speed>;
}
