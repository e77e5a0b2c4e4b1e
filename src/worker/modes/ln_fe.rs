//! LN-FE, localisation and naive feature extraction: boxes from heat maps, and a forward pass for
//! each of them.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::ExtractionSettings;

use super::{ExtractionMode, FrameInput, RegionFeatures, needed_regions};
use crate::regions::{FoundRegions, FrameSpace, Region};

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

    fn read_features(
        &self,
        _input: &FrameInput,
        _regions: &[Region],
        _space: FrameSpace,
        _settings: &ExtractionSettings,
    ) -> Result<RegionFeatures> {
        Ok(RegionFeatures::OfCrops)
    }
}
