//! `interact`: a head that tells what each instrument does.

use serde::{Deserialize, Serialize};

use crate::head_settings::{GraphSettings, HeadTraining, ONE_CORE_WIDTH};
use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, OutputOf, StageKind};
use surgcam_frames::metrics::InteractionMetrics;
use surgcam_values::InteractionLoss;

/// Trains an interaction graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteractStage {
    pub training: HeadTraining,
    pub graph: GraphSettings,
    pub loss: InteractionLoss,
}

inputs! {
    pub struct InteractInputs<S> {
        features: S,
        index: S,
        /// It tells which frames were left out.
        pack: S,
        annotations: S,
        /// For the CogTree loss, a head that was trained with cross-entropy.
        biased: Option<S>,
    }
}

impl StageKind for InteractStage {
    const NAME: &'static str = "interact";
    const VERSION: u32 = 4;

    type Inputs<S> = InteractInputs<S>;
}

impl HasMetrics for InteractStage {
    type Metrics = Option<InteractionMetrics>;
}

impl InteractStage {
    /// The trained head. If its task is not annotated, the folder has no settings.
    pub const HEAD: OutputOf<Self> = OutputOf::new("head");
    /// The loss, the score and the time of every epoch.
    pub const HISTORY: OutputOf<Self> = OutputOf::new("history.parquet");
    pub const HISTORY_CSV: OutputOf<Self> = OutputOf::new("history.csv");

    pub fn needs_one_core(&self) -> bool {
        self.graph.width <= ONE_CORE_WIDTH
    }
}
