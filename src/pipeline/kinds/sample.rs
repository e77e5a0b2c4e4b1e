//! `sample`: drawn scenes in the form of a data set.

use serde::{Deserialize, Serialize};

use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::{OutputOf, StageKind};
use surgcam_frames::dataset::sample::SampleData;

/// Draws the sample data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleStage {
    pub sample: SampleData,
}

impl StageKind for SampleStage {
    const NAME: &'static str = "sample";
    const VERSION: u32 = 2;

    type Inputs<S> = NoInputs;
}

impl SampleStage {
    /// A folder with the layout of a data set.
    pub const SAMPLE: OutputOf<Self> = OutputOf::new("sample");
}
