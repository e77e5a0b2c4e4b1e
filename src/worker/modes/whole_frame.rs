//! The yardstick without localisation: one region, the whole frame.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::ExtractionSettings;
use tch::Device;

use super::{ExtractionMode, FrameInput, RegionFeatures};
use crate::regions::{FoundRegions, FrameSpace, Region};

pub struct WholeFrame;

impl ExtractionMode for WholeFrame {
    fn fetch(
        &self,
        batch: &[FrameInput],
        settings: &ExtractionSettings,
        _device: Device,
    ) -> Result<()> {
        for input in batch {
            input.needed_activations()?.pooled_layer4(settings.pool);
        }
        Ok(())
    }

    fn find_regions(
        &self,
        _input: &FrameInput,
        space: FrameSpace,
        _settings: &ExtractionSettings,
    ) -> Result<Arc<FoundRegions>> {
        let region = Region {
            class: space.classes - 1,
            index: 0,
            bounds: space.whole_frame(),
            confidence: 1.0,
        };
        Ok(Arc::new(FoundRegions { regions: vec![region], empty_classes: 0 }))
    }

    fn read_features(
        &self,
        input: &FrameInput,
        _regions: &[Region],
        _space: FrameSpace,
        settings: &ExtractionSettings,
    ) -> Result<RegionFeatures> {
        Ok(RegionFeatures::Read(input.needed_activations()?.pooled_layer4(settings.pool)))
    }
}
