//! `measure-tasks`: how fast heads are.

use serde::{Deserialize, Serialize};

use crate::head_settings::HeadUse;
use crate::settings::{ExtractionSettings, MeasuredMachine};
use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, StageKind};
use surgcam_frames::metrics::Speed;

/// The speed from packed pixels to caption and graph, at batch 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeasureTasksStage {
    pub extraction: ExtractionSettings,
    pub heads: HeadUse,
    pub frames: usize,
    pub seconds: f64,
    pub warm_up: usize,
    pub machine: MeasuredMachine,
}

inputs! {
    pub struct MeasureTasksInputs<S> {
        checkpoint: S,
        pack: S,
        index: S,
        /// The boxes of a detector, where the extraction uses them.
        detections: Option<S>,
        /// A captioner, where there is one.
        caption: Option<S>,
        /// An interaction graph, where there is one.
        interact: Option<S>,
    }
}

impl StageKind for MeasureTasksStage {
    const NAME: &'static str = "measure-tasks";
    const VERSION: u32 = 3;
    const IS_ALONE: bool = true;

    type Inputs<S> = MeasureTasksInputs<S>;
}

impl HasMetrics for MeasureTasksStage {
    type Metrics = Option<Speed>;
}
