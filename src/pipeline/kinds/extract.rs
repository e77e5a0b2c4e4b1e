//! `extract`: features.

use serde::{Deserialize, Serialize};

use super::frame_inputs::{FRAMES_PASS, FrameInputs};
use crate::settings::ExtractionSettings;
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, StageKind};
use surgcam_frames::metrics::ExtractionSummary;

/// Features of every frame's regions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExtractStage {
    pub extraction: ExtractionSettings,
}

impl StageKind for ExtractStage {
    const NAME: &'static str = "extract";
    const VERSION: u32 = 5;
    const PASS: Option<&'static str> = Some(FRAMES_PASS);

    type Inputs<S> = FrameInputs<S>;
}

impl HasMetrics for ExtractStage {
    type Metrics = ExtractionSummary;
}

impl ExtractStage {
    /// One npy file for each sequence, a Parquet index, and a summary.
    pub const FEATURES: OutputOf<Self> = OutputOf::new("features");
}
