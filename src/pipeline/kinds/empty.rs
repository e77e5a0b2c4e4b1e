//! `empty`: nothing.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{OutputOf, StageKind};

/// Makes nothing. It serves to measure what the orchestrator itself costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EmptyStage {
    pub number: usize,
}

inputs! {
    pub struct EmptyInputs<S> {
        /// A stage that is made before it.
        before: Option<S>,
    }
}

impl StageKind for EmptyStage {
    const NAME: &'static str = "empty";
    const VERSION: u32 = 1;

    type Inputs<S> = EmptyInputs<S>;
}

impl EmptyStage {
    /// A file without content.
    pub const NOTHING: OutputOf<Self> = OutputOf::new("nothing");
}
