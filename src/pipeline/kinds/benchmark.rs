//! `benchmark`: what each step costs.

use serde::{Deserialize, Serialize};

use crate::settings::Architecture;
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::{HasMetrics, PathOf, StageKind};
use surgcam_frames::metrics::StepSpeed;
use surgcam_values::Precision;

/// Measures the steps of extraction and training on this machine; never kept in a store of its
/// user's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BenchmarkStage {
    pub architecture: Architecture,
    /// `[height, width]`.
    pub image_size: [u32; 2],
    pub precision: Precision,
    /// Beside batch 1.
    pub batch: usize,
    /// Frames of a training step.
    pub training_batch: usize,
    /// Each figure is measured once in a round, so that a slow minute of the machine falls on all
    /// of them.
    pub rounds: usize,
    /// Of each figure in each round.
    pub seconds: f64,
    /// Names of steps; all where empty.
    pub only: Vec<String>,
}

impl StageKind for BenchmarkStage {
    const NAME: &'static str = "benchmark";
    const VERSION: u32 = 1;
    const IS_ALONE: bool = true;

    type Inputs<S> = NoInputs;
}

impl HasMetrics for BenchmarkStage {
    type Metrics = Vec<StepSpeed>;
}

impl BenchmarkStage {
    /// A folder of pictures.
    pub const ROOT: PathOf<Self> = PathOf::new("root");
}
