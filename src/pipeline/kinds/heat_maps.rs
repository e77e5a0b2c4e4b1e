//! `heat-maps`: which regions of a frame a classifier relies on.

use serde::{Deserialize, Serialize};

use super::frame_inputs::{FRAMES_PASS, FrameInputs};
use crate::settings::{Architecture, CamSettings, Normalization};
use surgcam_engine::plan::kind::{OutputOf, StageKind};

/// The logits and the present classes of every frame, and the heat maps of these classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeatMapsStage {
    pub architecture: Architecture,
    pub normalization: Normalization,
    pub cam: CamSettings,
}

impl StageKind for HeatMapsStage {
    const NAME: &'static str = "heat-maps";
    const VERSION: u32 = 4;
    const PASS: Option<&'static str> = Some(FRAMES_PASS);

    type Inputs<S> = FrameInputs<S>;
}

impl HeatMapsStage {
    /// One safetensors file for each sequence.
    pub const HEAT_MAPS: OutputOf<Self> = OutputOf::new("heat-maps");
}
