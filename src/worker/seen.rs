//! What a look shows of a frame, and the modes that make features of it without the network: boxes, parts of maps, hot cells.
//!
//! Nothing here calls the device, so frames can be worked on side by side.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use rayon::prelude::*;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::pooling::{CellMap, FEATURES, HotCells, cells_of_box, pool_part};
use surgcam_frames::vision::regions::{BoxRule, bounds_of_boxes, mean_inside, used_regions};
use surgcam_pipeline::settings::{ExtractionSettings, RegionSettings};
use surgcam_values::{FeatureLayer, Mode, Pool};
use tch::Tensor;

use crate::features::OwnedCellMap;
use crate::model::resnet::FeatureMaps;

/// What one forward pass shows of a frame.
pub struct SeenFrame<'a> {
    pub frame: &'a Frame,
    /// [3, H, W] u8.
    pub planes: &'a [u8],
    /// Each [1, C, h, w].
    pub maps: FeatureMaps,
    /// Of layer 2, 3 and 4: made when a mode takes cells from it.
    cells: [OnceCell<OwnedCellMap>; 3],
    pub logits: Vec<f32>,
}

impl<'a> SeenFrame<'a> {
    /// Sigmoid of a class's logit.
    pub fn probability(&self, class: usize) -> f32 {
        1.0 / (1.0 + (-self.logits[class]).exp())
    }

    pub fn new(frame: &'a Frame, planes: &'a [u8], maps: FeatureMaps, logits: Vec<f32>) -> Self {
        SeenFrame { frame, planes, maps, cells: Default::default(), logits }
    }

    /// A layer's map that was brought to the CPU with those of its whole batch.
    pub fn keep_cells(&self, layer: usize, cells: OwnedCellMap) {
        // One that is there already has the same values.
        let _ = self.cells[layer - 2].set(cells);
    }

    pub fn has_cells(&self, layer: usize) -> bool {
        self.cells[layer - 2].get().is_some()
    }

    /// Brings what [`FrameSpace::without_network`] needs to the CPU, so that it can be called from any thread.
    pub fn fetch_cells(&self, settings: &ExtractionSettings) {
        match (settings.mode, &settings.regions) {
            (Mode::LFe, _) => [2, 3, 4].into_iter().for_each(|layer| {
                self.cells_of(layer);
            }),
            (Mode::SlFe, Some(regions)) => {
                self.cells_of(hot_layer(regions));
            }
            _ => {}
        }
    }

    /// [1, C, h, w]
    pub fn map_of(&self, layer: usize) -> &Tensor {
        match layer {
            2 => &self.maps.layer2,
            3 => &self.maps.layer3,
            _ => &self.maps.layer4,
        }
    }

    /// A layer's map with its channels last, on the CPU.
    fn cells_of(&self, layer: usize) -> CellMap<'_> {
        self.cells[layer - 2].get_or_init(|| OwnedCellMap::of(self.map_of(layer))).view()
    }
}

/// The present classes of a frame and their heat maps.
pub struct Heat {
    pub present: Vec<usize>,
    /// `[height, width]` of the layer that they come from.
    pub map_size: [usize; 2],
    pub maps: Vec<HeatMap>,
    /// At the size of the picture, made when a mode needs boxes.
    full: OnceCell<Vec<HeatMap>>,
    /// What siblings of a sweep share: regions by the rule that finds boxes, hot cells by layer and T_ROI.
    regions: Remembered<BoxRule, FoundRegions>,
    hot_cells: Remembered<(usize, f64), FoundHotCells>,
}

impl Heat {
    pub fn new(present: Vec<usize>, map_size: [usize; 2], maps: Vec<HeatMap>) -> Self {
        Heat { present, map_size, maps, full: OnceCell::new(), regions: RefCell::default(), hot_cells: RefCell::default() }
    }

    /// Keeps hot cells that the device summed.
    pub fn keep_hot_cells(&self, layer: usize, roi_threshold: f64, found: FoundHotCells) {
        remembered(&self.hot_cells, (layer, roi_threshold), || found);
    }

    pub fn has_hot_cells(&self, layer: usize, roi_threshold: f64) -> bool {
        self.hot_cells.borrow().iter().any(|(question, _)| *question == (layer, roi_threshold))
    }
}

/// Regions of all present classes, and how many of these have none.
pub struct FoundRegions {
    pub regions: Vec<Region>,
    pub empty_classes: usize,
}

/// Of each present class.
pub type FoundHotCells = Vec<Option<HotCells>>;

/// Answers by their questions; a sweep asks few.
type Remembered<Q, A> = RefCell<Vec<(Q, Arc<A>)>>;

/// What was found before by this question, or is found now.
fn remembered<Q: PartialEq, A>(memory: &Remembered<Q, A>, question: Q, find: impl FnOnce() -> A) -> Arc<A> {
    if let Some((_, answer)) = memory.borrow().iter().find(|(known, _)| *known == question) {
        return answer.clone();
    }
    let answer = Arc::new(find());
    memory.borrow_mut().push((question, answer.clone()));
    answer
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    pub class: usize,
    /// Among the regions of its class.
    pub index: usize,
    pub bounds: Box2,
    /// Mean heat inside the box; 1 where it does not come from heat.
    pub confidence: f32,
}

/// What a mode makes of one frame.
#[derive(Debug, Default)]
pub struct Extracted {
    pub regions: Vec<Region>,
    /// [regions, 512], on the CPU.
    pub features: Vec<f32>,
    pub forward_passes: usize,
    /// Present classes without a region.
    pub empty_classes: usize,
}

/// Where SL-FE takes its cells: layer 3 or 4.
pub fn hot_layer(regions: &RegionSettings) -> usize {
    if regions.feature_layer == Some(FeatureLayer::Layer3) { 3 } else { 4 }
}

/// What decides the regions of a frame besides its heat.
#[derive(Debug, Clone, Copy)]
pub struct FrameSpace {
    /// `[height, width]` of the frames.
    pub image_size: [u32; 2],
    pub classes: usize,
}

impl FrameSpace {
    /// L-FE and SL-FE.
    pub fn without_network(&self, seen: &SeenFrame, heat: &Heat, settings: &ExtractionSettings) -> Extracted {
        let mut extracted = Extracted { regions: Vec::new(), features: Vec::new(), forward_passes: 1, empty_classes: 0 };
        match (settings.mode, &settings.regions) {
            (Mode::SlFe, Some(regions)) => return self.of_hot_cells(seen, heat, regions, settings),
            (Mode::LFe, Some(regions)) => {
                let found = self.regions(heat, regions);
                extracted.features.reserve(found.regions.len() * FEATURES);
                found.regions.iter().for_each(|region| self.pool_box(seen, &region.bounds, settings.pool, &mut extracted.features));
                extracted.regions.clone_from(&found.regions);
                extracted.empty_classes = found.empty_classes;
            }
            _ => {}
        }
        extracted
    }

    pub fn whole_frame(&self) -> Box2 {
        let [height, width] = self.image_size;
        Box2::from([0, 0, i64::from(width), i64::from(height)])
    }

    fn of_hot_cells(&self, seen: &SeenFrame, heat: &Heat, regions: &RegionSettings, settings: &ExtractionSettings) -> Extracted {
        let layer = hot_layer(regions);
        let found = remembered(&heat.hot_cells, (layer, regions.roi_threshold), || {
            let map = seen.cells_of(layer);
            let of_class = |own: &HeatMap| HotCells::find(&map, &own.resized(map.height, map.width), regions.roi_threshold);
            heat.maps.iter().map(of_class).collect()
        });
        let mut extracted = Extracted { regions: Vec::new(), features: Vec::new(), forward_passes: 1, empty_classes: 0 };
        for (&class, hot) in heat.present.iter().zip(found.iter()) {
            match hot {
                Some(hot) => {
                    extracted.regions.push(Region { class, index: 0, bounds: self.whole_frame(), confidence: 1.0 });
                    hot.pool(|| seen.cells_of(layer), settings.pool, &mut extracted.features);
                }
                None => extracted.empty_classes += 1,
            }
        }
        extracted
    }

    /// L-FE: the box's part of the map that its area chooses.
    fn pool_box(&self, seen: &SeenFrame, bounds: &Box2, pool: Pool, features: &mut Vec<f32>) {
        let [height, width] = self.image_size;
        let picture_area = i64::from(height) * i64::from(width);
        let layer = if bounds.area() * 16 < picture_area {
            2
        } else if bounds.area() * 4 < picture_area {
            3
        } else {
            4
        };
        let map = seen.cells_of(layer);
        let (rows, columns) = cells_of_box(bounds, self.image_size, &map);
        pool_part(&map, rows, columns, pool, features);
    }

    /// The boxes of all present classes as regions.
    pub fn regions(&self, heat: &Heat, settings: &RegionSettings) -> Arc<FoundRegions> {
        let rule = BoxRule { roi_threshold: settings.roi_threshold, minimum_area: settings.minimum_area.unwrap_or_default().into() };
        remembered(&heat.regions, rule, || self.find_regions(heat, rule))
    }

    fn find_regions(&self, heat: &Heat, rule: BoxRule) -> FoundRegions {
        let [height, width] = self.image_size;
        let full = heat.full.get_or_init(|| heat.maps.par_iter().map(|map| map.resized(height as usize, width as usize)).collect());
        let boxes: Vec<Vec<Box2>> = full.par_iter().map(|map| bounds_of_boxes(map, rule)).collect();
        let mut found = FoundRegions { regions: Vec::new(), empty_classes: 0 };
        for ((&class, map), boxes) in heat.present.iter().zip(full).zip(&boxes) {
            let used = used_regions(boxes, class + 1 == self.classes);
            found.empty_classes += usize::from(used.is_empty());
            let region = |(index, bounds)| Region { class, index, bounds, confidence: mean_inside(map, &bounds) };
            found.regions.extend(used.into_iter().enumerate().map(region));
        }
        found
    }
}
