//! L-FE, localisation-aided feature extraction: boxes from heat maps, and the part of a feature map
//! that lies in each.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::pooling::{FEATURES, cells_of_box, pool_part};
use surgcam_pipeline::settings::ExtractionSettings;
use tch::Device;

use super::{ExtractionMode, FrameInput, RegionFeatures, needed_regions};
use crate::fetching;
use crate::regions::{FoundRegions, FrameSpace, Region};

/// The layers that boxes of different sizes take.
const LAYERS: [usize; 3] = [2, 3, 4];

pub struct LFe;

impl ExtractionMode for LFe {
    fn fetch(
        &self,
        batch: &[FrameInput],
        settings: &ExtractionSettings,
        device: Device,
    ) -> Result<()> {
        let maps =
            batch.iter().map(|input| input.needed_maps(settings)).collect::<Result<Vec<_>>>()?;
        LAYERS.into_iter().for_each(|layer| fetching::fetch_feature_maps(&maps, layer, device));
        Ok(())
    }

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
        input: &FrameInput,
        regions: &[Region],
        space: FrameSpace,
        settings: &ExtractionSettings,
    ) -> Result<RegionFeatures> {
        let maps = input.needed_maps(settings)?;
        let mut features = Vec::with_capacity(regions.len() * FEATURES);
        for region in regions {
            let map = maps.cells(layer_of_box(&region.bounds, space));
            let (rows, columns) = cells_of_box(&region.bounds, space.image_size, &map);
            pool_part(&map, rows, columns, settings.pool, &mut features);
        }
        Ok(RegionFeatures::Read(features))
    }
}

/// The layer whose map a box's part is taken from: the smaller the box, the finer the map.
fn layer_of_box(bounds: &Box2, space: FrameSpace) -> usize {
    let [height, width] = space.image_size;
    let picture_area = i64::from(height) * i64::from(width);
    if bounds.area() * 16 < picture_area {
        2
    } else if bounds.area() * 4 < picture_area {
        3
    } else {
        4
    }
}
