//! `deletion-insertion`: whether the hottest pixels are those that a class's probability hangs on.

use serde::{Deserialize, Serialize};

use crate::settings::{Architecture, Normalization};
use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{HasMetrics, StageKind};
use surgcam_frames::metrics::DeletionInsertionMetrics;

/// Deletion and insertion curves (RISE) of heat maps, on some of the validation frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeletionInsertionStage {
    pub architecture: Architecture,
    pub normalization: Normalization,
    /// At most so many, evenly chosen.
    pub frames: usize,
    /// In how many steps all pixels are removed or inserted.
    pub steps: usize,
}

inputs! {
    pub struct DeletionInsertionInputs<S> {
        checkpoint: S,
        pack: S,
        index: S,
        heat_maps: S,
    }
}

impl StageKind for DeletionInsertionStage {
    const NAME: &'static str = "deletion-insertion";
    const VERSION: u32 = 1;

    type Inputs<S> = DeletionInsertionInputs<S>;
}

impl HasMetrics for DeletionInsertionStage {
    type Metrics = DeletionInsertionMetrics;
}
