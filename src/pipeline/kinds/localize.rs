//! `localize`: heat maps become boxes.

use serde::{Deserialize, Serialize};

use surgcam_engine::inputs;
use surgcam_engine::plan::kind::{OutputOf, StageKind};

/// Boxes at one T_ROI.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalizeStage {
    pub roi_threshold: f64,
    pub minimum_area: u32,
    /// `[height, width]` that the coordinates of boxes refer to.
    pub image_size: [u32; 2],
}

inputs! {
    pub struct LocalizeInputs<S> {
        heat_maps: S,
    }
}

impl StageKind for LocalizeStage {
    const NAME: &'static str = "localize";
    const VERSION: u32 = 1;

    type Inputs<S> = LocalizeInputs<S>;
}

impl LocalizeStage {
    /// A Parquet file of boxes.
    pub const BOXES: OutputOf<Self> = OutputOf::new("boxes.parquet");
}
