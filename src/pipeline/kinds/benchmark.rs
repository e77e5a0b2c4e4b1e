//! `benchmark`: what each step costs.

use serde::{Deserialize, Serialize};

use crate::settings::Architecture;
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::{HasMetrics, PathOf, StageKind};
use surgcam_frames::metrics::StepSpeed;
use surgcam_values::Precision;

/// Measures the steps of extraction and training on this machine. The result is never kept in the
/// user's store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BenchmarkStage {
    pub architecture: Architecture,
    /// `[height, width]`.
    pub image_size: [u32; 2],
    pub precision: Precision,
    /// The batch size that is measured beside batches of 1.
    pub batch: usize,
    /// The number of frames in a training step.
    pub training_batch: usize,
    /// Each figure is measured once in every round, so that a slow minute of the machine affects
    /// all of them.
    pub rounds: usize,
    /// How long each figure is measured in each round.
    pub seconds: f64,
    /// The names of the steps to measure. If it is empty, all are measured.
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
