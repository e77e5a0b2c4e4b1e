//! SL-FE, single-pass localisation-aided feature extraction: the hot cells of a feature map, one
//! region for each present class.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_frames::vision::pooling::FEATURES;
use surgcam_pipeline::settings::ExtractionSettings;
use surgcam_values::FeatureLayer;
use tch::Device;

use super::{ExtractionMode, FrameInput, RegionFeatures, needed_regions};
use crate::fetching;
use crate::heat_maps::{Cells, FoundHotCells};
use crate::regions::{FoundRegions, FrameSpace, Region};

pub struct SlFe;

impl ExtractionMode for SlFe {
    fn fetch(
        &self,
        batch: &[FrameInput],
        settings: &ExtractionSettings,
        device: Device,
    ) -> Result<()> {
        let frames = batch
            .iter()
            .map(|input| Ok((input.needed_maps(settings)?, input.needed_heat_maps()?)))
            .collect::<Result<Vec<_>>>()?;
        fetching::fetch_hot_cells(&frames, wanted_cells(settings)?, settings.pool, device);
        Ok(())
    }

    fn find_regions(
        &self,
        input: &FrameInput,
        space: FrameSpace,
        settings: &ExtractionSettings,
    ) -> Result<Arc<FoundRegions>> {
        let present = &input.needed_heat_maps()?.present;
        let hot_cells = hot_cells(input, settings)?;
        let mut found = FoundRegions::default();
        for (&class, hot) in present.iter().zip(hot_cells.iter()) {
            match hot {
                Some(_) => found.regions.push(Region {
                    class,
                    index: 0,
                    bounds: space.whole_frame(),
                    confidence: 1.0,
                }),
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
        let (maps, layer) = (input.needed_maps(settings)?, wanted_cells(settings)?.layer);
        let mut features = Vec::with_capacity(regions.len() * FEATURES);
        for hot in hot_cells(input, settings)?.iter().flatten() {
            hot.pool(|| maps.cells(layer), settings.pool, &mut features);
        }
        Ok(RegionFeatures::Read(features))
    }
}

/// Where the cells are taken from: layer 3 or 4.
fn wanted_cells(settings: &ExtractionSettings) -> Result<Cells> {
    let regions = needed_regions(settings)?;
    let layer = if regions.feature_layer == Some(FeatureLayer::Layer3) { 3 } else { 4 };
    Ok(Cells { statistics: settings.batch_norm, layer, roi_threshold: regions.roi_threshold })
}

/// Found once for each layer, T_ROI and statistics, by whichever step asks first.
fn hot_cells(input: &FrameInput, settings: &ExtractionSettings) -> Result<Arc<FoundHotCells>> {
    let (maps, cells) = (input.needed_maps(settings)?, wanted_cells(settings)?);
    Ok(input.needed_heat_maps()?.hot_cells(cells, || maps.cells(cells.layer)))
}
