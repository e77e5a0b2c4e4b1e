//! The heat maps of a frame, and the regions that come from them: boxes and hot cells.
//!
//! Nothing here uses the device, so several threads can work on different frames.

use std::cell::OnceCell;
use std::sync::Arc;

use rayon::prelude::*;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::pooling::{CellMap, HotCells};
use surgcam_frames::vision::regions::{BoxRule, bounds_of_boxes, mean_inside, used_regions};
use surgcam_pipeline::settings::RegionSettings;
use surgcam_values::BatchNormStatistics;

use crate::regions::{FoundRegions, FrameSpace, Region};
use crate::remembered::Remembered;

/// The present classes of a frame and their heat maps.
pub struct FrameHeatMaps {
    pub present: Vec<usize>,
    /// `[height, width]` of the layer that they come from.
    pub map_size: [usize; 2],
    pub maps: Vec<HeatMap>,
    /// At the size of the picture, made when a mode needs boxes.
    full: OnceCell<Vec<HeatMap>>,
    /// The boxes, for each rule that was asked for.
    boxes: Remembered<BoxRule, FoundRegions>,
    hot_cells: Remembered<Cells, FoundHotCells>,
}

/// Cells of a layer's map that are hotter than T_ROI.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cells {
    /// The statistics that normalise the map. They do not change which cells are hot, but the
    /// values in the cells.
    pub statistics: BatchNormStatistics,
    pub layer: usize,
    pub roi_threshold: f64,
}

/// The hot cells of each present class; `None` where no cell is hot.
pub type FoundHotCells = Vec<Option<HotCells>>;

impl FrameHeatMaps {
    pub fn new(present: Vec<usize>, map_size: [usize; 2], maps: Vec<HeatMap>) -> Self {
        FrameHeatMaps {
            present,
            map_size,
            maps,
            full: OnceCell::new(),
            boxes: Remembered::default(),
            hot_cells: Remembered::default(),
        }
    }

    /// The boxes of all present classes as regions.
    pub fn boxes(&self, space: FrameSpace, settings: &RegionSettings) -> Arc<FoundRegions> {
        let rule = BoxRule {
            roi_threshold: settings.roi_threshold,
            minimum_area: settings.minimum_area.unwrap_or_default().into(),
        };
        self.boxes.answer(rule, || self.find_boxes(space, rule))
    }

    fn find_boxes(&self, space: FrameSpace, rule: BoxRule) -> FoundRegions {
        let [height, width] = space.image_size.map(|side| side as usize);
        let full = self
            .full
            .get_or_init(|| self.maps.par_iter().map(|map| map.resized(height, width)).collect());
        let boxes: Vec<Vec<Box2>> = full.par_iter().map(|map| bounds_of_boxes(map, rule)).collect();
        let mut found = FoundRegions::default();
        for ((&class, map), boxes) in self.present.iter().zip(full).zip(&boxes) {
            let used = used_regions(boxes, class + 1 == space.classes);
            found.empty_classes += usize::from(used.is_empty());
            let region = |(index, bounds)| Region {
                class,
                index,
                bounds,
                confidence: mean_inside(map, &bounds),
            };
            found.regions.extend(used.into_iter().enumerate().map(region));
        }
        found
    }

    /// The hot cells in a layer's feature map. The map is asked for only if they were not found
    /// before.
    pub fn hot_cells<'m>(
        &self,
        cells: Cells,
        feature_map: impl FnOnce() -> CellMap<'m>,
    ) -> Arc<FoundHotCells> {
        self.hot_cells.answer(cells, || {
            let feature_map = feature_map();
            let resized = |own: &HeatMap| own.resized(feature_map.height, feature_map.width);
            let of_class =
                |own: &HeatMap| HotCells::find(&feature_map, &resized(own), cells.roi_threshold);
            self.maps.iter().map(of_class).collect()
        })
    }

    /// Keeps hot cells that the device summed.
    pub fn keep_hot_cells(&self, cells: Cells, found: FoundHotCells) {
        self.hot_cells.answer(cells, || found);
    }

    pub fn has_hot_cells(&self, cells: Cells) -> bool {
        self.hot_cells.has(&cells)
    }
}
