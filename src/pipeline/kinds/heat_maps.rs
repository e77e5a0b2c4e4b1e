//! `heat-maps`: where a classifier looks.

use serde::{Deserialize, Serialize};

use super::frame_inputs::{FRAMES_PASS, FrameInputs};
use crate::settings::{Architecture, CamSettings, Normalization};
use surgcam_engine::plan::kind::{OutputOf, StageKind};

/// Logits, present classes and their heat maps of every frame.
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
    /// One safetensors file a sequence.
    pub const HEAT_MAPS: OutputOf<Self> = OutputOf::new("heat-maps");
}
