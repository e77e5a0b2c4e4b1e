//! `caption`: a head that says in words what happens.

use serde::{Deserialize, Serialize};

use crate::head_settings::{
    CaptionSearch, HeadTraining, JointTraining, ONE_CORE_WIDTH, SelfCritical, TransformerSettings,
};
use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, StageKind};
use surgcam_frames::metrics::CaptionMetrics;

/// Trains a captioner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionStage {
    pub training: HeadTraining,
    pub transformer: TransformerSettings,
    pub warm_up_steps: usize,
    pub label_smoothing: f64,
    /// Words that occur less often in the train captions count as unknown.
    pub minimum_frequency: usize,
    pub search: CaptionSearch,
    pub self_critical: Option<SelfCritical>,
    pub joint: Option<JointTraining>,
}

inputs! {
    pub struct CaptionInputs<S> {
        features: S,
        index: S,
        /// It tells which frames were left out.
        pack: S,
        annotations: S,
        /// In joint training, the backbone that it starts from.
        checkpoint: Option<S>,
    }
}

impl StageKind for CaptionStage {
    const NAME: &'static str = "caption";
    const VERSION: u32 = 3;

    type Inputs<S> = CaptionInputs<S>;
}

impl HasMetrics for CaptionStage {
    type Metrics = Option<CaptionMetrics>;
}

impl CaptionStage {
    /// The trained head. If its task is not annotated, the folder has no settings.
    pub const HEAD: OutputOf<Self> = OutputOf::new("head");
    /// The caption of each validation frame, beside the reference.
    pub const CAPTIONS: OutputOf<Self> = OutputOf::new("captions.jsonl");
    /// The loss, the score and the time of every epoch.
    pub const HISTORY: OutputOf<Self> = OutputOf::new("history.parquet");
    pub const HISTORY_CSV: OutputOf<Self> = OutputOf::new("history.csv");

    pub fn needs_one_core(&self) -> bool {
        self.transformer.width <= ONE_CORE_WIDTH && self.joint.is_none()
    }
}
