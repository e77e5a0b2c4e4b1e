//! LN-FE, localisation and naive feature extraction: boxes from heat maps, and a forward pass for
//! each of them.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::ExtractionSettings;

use super::{ExtractionMode, FrameInput, needed_regions};
use crate::regions::{FoundRegions, FrameSpace};

pub struct LnFe;

impl ExtractionMode for LnFe {
    fn find_regions(
        &self,
        input: &FrameInput,
        space: FrameSpace,
        settings: &ExtractionSettings,
    ) -> Result<Arc<FoundRegions>> {
        Ok(input.needed_heat_maps()?.boxes(space, needed_regions(settings)?))
    }
}
