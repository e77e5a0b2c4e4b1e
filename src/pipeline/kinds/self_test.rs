//! `self-test`: whether a device computes correctly.

use serde::{Deserialize, Serialize};

use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::{HasMetrics, StageKind};
use surgcam_frames::metrics::SelfTestCheck;

/// Compares what the device computes with values that are compiled in. The result is never kept in
/// the user's store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SelfTestStage {}

impl StageKind for SelfTestStage {
    const NAME: &'static str = "self-test";
    const VERSION: u32 = 1;

    type Inputs<S> = NoInputs;
}

impl HasMetrics for SelfTestStage {
    type Metrics = Vec<SelfTestCheck>;
}
