//! SL-FE, single-pass localisation-aided feature extraction: the hot cells of a feature map, one
//! region for each present class.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_frames::vision::pooling::FEATURES;
use surgcam_pipeline::settings::{ExtractionSettings, RegionSettings};
use surgcam_values::FeatureLayer;
use tch::Device;

use super::{ExtractionMode, FrameInput, RegionFeatures, needed_regions};
use crate::fetching::{self, Cells};
use crate::heat_maps::FoundHotCells;
use crate::regions::{FoundRegions, FrameSpace, Region};

pub struct SlFe;

impl ExtractionMode for SlFe {
    fn fetch(&self, batch: &[FrameInput], settings: &ExtractionSettings, device: Device) -> Result<()> {
        let frames = batch.iter().map(|input| Ok((input.needed_activations()?, input.needed_heat_maps()?))).collect::<Result<Vec<_>>>()?;
        let regions = needed_regions(settings)?;
        let cells = Cells { layer: hot_layer(regions), roi_threshold: regions.roi_threshold };
        fetching::fetch_hot_cells(&frames, cells, settings.pool, device);
        Ok(())
    }

    fn find_regions(&self, input: &FrameInput, space: FrameSpace, settings: &ExtractionSettings) -> Result<Arc<FoundRegions>> {
        let present = &input.needed_heat_maps()?.present;
        let hot_cells = hot_cells(input, needed_regions(settings)?)?;
        let mut found = FoundRegions::default();
        for (&class, hot) in present.iter().zip(hot_cells.iter()) {
            match hot {
                Some(_) => found.regions.push(Region { class, index: 0, bounds: space.whole_frame(), confidence: 1.0 }),
                None => found.empty_classes += 1,
            }
        }
        Ok(Arc::new(found))
    }

    fn read_features(
        &self,
        input: &FrameInput,
        regions: &[Region],
        _space: FrameSpace,
        settings: &ExtractionSettings,
    ) -> Result<RegionFeatures> {
        let activations = input.needed_activations()?;
        let region_settings = needed_regions(settings)?;
        let layer = hot_layer(region_settings);
        let mut features = Vec::with_capacity(regions.len() * FEATURES);
        for hot in hot_cells(input, region_settings)?.iter().flatten() {
            hot.pool(|| activations.cells(layer), settings.pool, &mut features);
        }
        Ok(RegionFeatures::Read(features))
    }
}

/// Where the cells are taken from: layer 3 or 4.
fn hot_layer(regions: &RegionSettings) -> usize {
    if regions.feature_layer == Some(FeatureLayer::Layer3) { 3 } else { 4 }
}

/// Found once for each layer and T_ROI, by whichever step asks first.
fn hot_cells(input: &FrameInput, regions: &RegionSettings) -> Result<Arc<FoundHotCells>> {
    let (activations, layer) = (input.needed_activations()?, hot_layer(regions));
    Ok(input.needed_heat_maps()?.hot_cells(layer, regions.roi_threshold, || activations.cells(layer)))
}
