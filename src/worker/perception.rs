//! One look at a frame: a forward pass whose maps serve every mode, and the regions that each mode makes of it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use surgcam::dataset::index::Frame;
use surgcam::error::Result;
use surgcam::pipeline::stages::{Architecture, CamSettings, ExtractionSettings, Normalization, RegionSettings};
use surgcam::recipe::values::{FeatureLayer, Mode, Pool, Present};
use surgcam::vision::geometry::Box2;
use surgcam::vision::heat_map::HeatMap;
use surgcam::vision::picture;
use surgcam::vision::pooling::{CellMap, FEATURES, HotCells, cells_of_box, pool_part};
use surgcam::vision::regions::{BoxRule, bounds_of_boxes, used_regions};
use surgcam::vision::resize::resize;
use tch::{Device, Tensor};

use crate::cam;
use crate::features::{self, OwnedCellMap};
use crate::frames;
use crate::model::parameters::Parameters;
use crate::model::resnet::{FeatureMaps, ResNet};

/// Side of the pictures that LN-FE sends through the network.
const CROP_SIZE: u32 = 224;
/// LN-FE on [0, 1], not normalised.
const CROP_NORMALIZATION: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

pub struct Perception {
    network: ResNet,
    architecture: Architecture,
    normalization: Normalization,
    device: Device,
    /// `[height, width]` of the frames.
    image_size: [u32; 2],
}

/// What one forward pass shows of a frame.
pub struct SeenFrame<'a> {
    pub frame: &'a Frame,
    /// [3, H, W] u8.
    planes: &'a [u8],
    /// Each [1, C, h, w].
    maps: FeatureMaps,
    /// Of layer 2, 3 and 4: made when a mode takes cells from it.
    cells: [OnceCell<OwnedCellMap>; 3],
    pub logits: Vec<f32>,
}

impl SeenFrame<'_> {
    /// A layer's map with its channels last, on the CPU.
    fn cells_of(&self, layer: usize) -> CellMap<'_> {
        let map = match layer {
            2 => &self.maps.layer2,
            3 => &self.maps.layer3,
            _ => &self.maps.layer4,
        };
        self.cells[layer - 2].get_or_init(|| OwnedCellMap::of(map)).view()
    }
}

/// The present classes of a frame and their heat maps.
pub struct Heat {
    pub present: Vec<usize>,
    /// At the size of the layer they come from.
    pub maps: Vec<HeatMap>,
    /// At the size of the picture, made when a mode needs boxes.
    full: OnceCell<Vec<HeatMap>>,
    /// What siblings of a sweep share: regions by the rule that finds boxes, hot cells by layer and T_ROI.
    regions: RefCell<Vec<(BoxRule, Rc<FoundRegions>)>>,
    hot_cells: RefCell<Vec<((usize, f64), Rc<FoundHotCells>)>>,
}

/// Regions of all present classes, and how many of these have none.
struct FoundRegions {
    regions: Vec<Region>,
    empty_classes: usize,
}

/// Of each present class.
type FoundHotCells = Vec<Option<HotCells>>;

/// What was found before by this question, or is found now.
fn remembered<Q: PartialEq, A>(memory: &RefCell<Vec<(Q, Rc<A>)>>, question: Q, find: impl FnOnce() -> A) -> Rc<A> {
    if let Some((_, answer)) = memory.borrow().iter().find(|(known, _)| *known == question) {
        return answer.clone();
    }
    let answer = Rc::new(find());
    memory.borrow_mut().push((question, answer.clone()));
    answer
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    pub class: usize,
    /// Among the regions of its class.
    pub index: usize,
    pub bounds: Box2,
}

/// What a mode makes of one frame.
pub struct Extracted {
    pub regions: Vec<Region>,
    /// [regions, 512], on the CPU.
    pub features: Vec<f32>,
    pub forward_passes: usize,
    /// Present classes without a region.
    pub empty_classes: usize,
}

impl Perception {
    pub fn new(
        architecture: Architecture,
        parameters: &Parameters,
        normalization: Normalization,
        image_size: [u32; 2],
        device: Device,
    ) -> Result<Self> {
        let network = tch::no_grad(|| ResNet::new(architecture, &parameters.to_device(device)).map(ResNet::folded))?;
        Ok(Perception { network, architecture, normalization, device, image_size })
    }

    /// One forward pass over all of `batch`: pairs of a frame and its [3, H, W] pixels.
    pub fn look<'a>(&self, batch: &[(&'a Frame, &'a [u8])]) -> Vec<SeenFrame<'a>> {
        tch::no_grad(|| {
            let pixels: Vec<u8> = batch.iter().flat_map(|(_, planes)| planes.iter()).copied().collect();
            let images = frames::images(&pixels, batch.len(), self.image_size, &self.normalization, self.device);
            let maps = self.network.feature_maps(&images, false);
            let logits = self.network.logits(&maps.layer4, 0.0, false).to_device(Device::Cpu).contiguous();
            let classes = self.architecture.classes;
            let mut values = vec![0f32; batch.len() * classes];
            logits.copy_data(&mut values, batch.len() * classes);
            let of_one = |map: &Tensor, row: usize| map.narrow(0, row as i64, 1);
            batch
                .iter()
                .enumerate()
                .map(|(row, &(frame, planes))| SeenFrame {
                    frame,
                    planes,
                    maps: FeatureMaps {
                        layer2: of_one(&maps.layer2, row),
                        layer3: of_one(&maps.layer3, row),
                        layer4: of_one(&maps.layer4, row),
                    },
                    cells: Default::default(),
                    logits: values[row * classes..][..classes].to_vec(),
                })
                .collect()
        })
    }

    pub fn heat(&self, seen: &SeenFrame, settings: &CamSettings) -> Heat {
        let present: Vec<usize> = match &settings.present {
            Present::Classes(classes) => classes.clone(),
            Present::Above(threshold) => {
                (0..seen.logits.len()).filter(|&class| 1.0 / (1.0 + (-f64::from(seen.logits[class])).exp()) > threshold.value()).collect()
            }
        };
        let maps = match settings.layer {
            FeatureLayer::Layer4 => tch::no_grad(|| {
                let all = cam::closed_form_maps(&seen.maps.layer4.squeeze_dim(0), &self.network.head_weight, settings.method);
                present.iter().map(|&class| cam::to_heat_map(&all.get(class as i64))).collect()
            }),
            FeatureLayer::Layer3 => {
                let logits_of =
                    |layer3: &Tensor| self.network.logits(&self.network.layer4_of(&layer3.unsqueeze(0)), 0.0, false).squeeze_dim(0);
                let maps = cam::autograd_maps(&seen.maps.layer3.squeeze_dim(0), &present, settings.method, logits_of);
                maps.iter().map(cam::to_heat_map).collect()
            }
        };
        Heat { present, maps, full: OnceCell::new(), regions: RefCell::default(), hot_cells: RefCell::default() }
    }

    /// `heat` must be that of the mode's own settings; yardsticks need none.
    pub fn extract(&self, seen: &SeenFrame, heat: Option<&Heat>, settings: &ExtractionSettings) -> Result<Extracted> {
        tch::no_grad(|| match (settings.mode, heat, &settings.regions) {
            (Mode::SlFe, Some(heat), Some(regions)) => Ok(self.of_hot_cells(seen, heat, regions, settings)),
            (Mode::LFe, Some(heat), Some(regions)) => {
                let found = self.regions(heat, regions);
                let mut features = Vec::with_capacity(found.regions.len() * FEATURES);
                found.regions.iter().for_each(|region| self.pool_box(seen, &region.bounds, settings.pool, &mut features));
                Ok(Extracted { regions: found.regions.clone(), features, forward_passes: 1, empty_classes: found.empty_classes })
            }
            (Mode::LnFe, Some(heat), Some(regions)) => {
                let found = self.regions(heat, regions);
                let features = self.crops(seen.planes, &found.regions, settings)?;
                let forward_passes = 1 + found.regions.len();
                Ok(Extracted { forward_passes, regions: found.regions.clone(), features, empty_classes: found.empty_classes })
            }
            (Mode::GroundTruthBoxes, ..) => self.extract_true_boxes(seen.frame, seen.planes, settings),
            _ => {
                let region = Region { class: self.architecture.classes - 1, index: 0, bounds: self.whole_frame() };
                let features = features::values_of(&features::pooled(&seen.maps.layer4.squeeze_dim(0), settings.pool));
                Ok(Extracted { regions: vec![region], features, forward_passes: 1, empty_classes: 0 })
            }
        })
    }

    /// The yardstick of a perfect detector: nothing of the frame's own forward pass is needed. `planes`: [3, H, W] u8.
    pub fn extract_true_boxes(&self, frame: &Frame, planes: &[u8], settings: &ExtractionSettings) -> Result<Extracted> {
        tch::no_grad(|| {
            let found = self.true_regions(frame);
            let features = self.crops(planes, &found, settings)?;
            Ok(Extracted { forward_passes: found.len(), regions: found, features, empty_classes: 0 })
        })
    }

    fn whole_frame(&self) -> Box2 {
        let [height, width] = self.image_size;
        Box2::from([0, 0, i64::from(width), i64::from(height)])
    }

    fn of_hot_cells(&self, seen: &SeenFrame, heat: &Heat, regions: &RegionSettings, settings: &ExtractionSettings) -> Extracted {
        let layer = if regions.feature_layer == Some(FeatureLayer::Layer3) { 3 } else { 4 };
        let map = seen.cells_of(layer);
        let found = remembered(&heat.hot_cells, (layer, regions.roi_threshold), || {
            let of_class = |own: &HeatMap| HotCells::find(&map, &own.resized(map.height, map.width), regions.roi_threshold);
            heat.maps.iter().map(of_class).collect()
        });
        let mut extracted = Extracted { regions: Vec::new(), features: Vec::new(), forward_passes: 1, empty_classes: 0 };
        for (&class, hot) in heat.present.iter().zip(found.iter()) {
            match hot {
                Some(hot) => {
                    extracted.regions.push(Region { class, index: 0, bounds: self.whole_frame() });
                    hot.pool(&map, settings.pool, &mut extracted.features);
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
    fn regions(&self, heat: &Heat, settings: &RegionSettings) -> Rc<FoundRegions> {
        let rule = BoxRule { roi_threshold: settings.roi_threshold, minimum_area: settings.minimum_area.unwrap_or_default().into() };
        remembered(&heat.regions, rule, || self.find_regions(heat, rule))
    }

    fn find_regions(&self, heat: &Heat, rule: BoxRule) -> FoundRegions {
        let [height, width] = self.image_size;
        let full = heat.full.get_or_init(|| heat.maps.iter().map(|map| map.resized(height as usize, width as usize)).collect());
        let mut found = FoundRegions { regions: Vec::new(), empty_classes: 0 };
        for (&class, map) in heat.present.iter().zip(full) {
            let used = used_regions(&bounds_of_boxes(map, rule), class + 1 == self.architecture.classes);
            found.empty_classes += usize::from(used.is_empty());
            found.regions.extend(used.into_iter().enumerate().map(|(index, bounds)| Region { class, index, bounds }));
        }
        found
    }

    /// The ground truth as regions, in the order of all regions: by class, then by box.
    fn true_regions(&self, frame: &Frame) -> Vec<Region> {
        let [height, width] = self.image_size;
        let mut regions = Vec::new();
        for class in 0..self.architecture.classes {
            let mut found: Vec<Box2> = frame
                .boxes
                .iter()
                .flatten()
                .filter(|labelled| labelled.class == class)
                .map(|labelled| labelled.bounds.scaled(frame.box_space, [width, height]))
                .filter(|bounds| bounds.width() > 0 && bounds.height() > 0)
                .collect();
            found.sort();
            let used = used_regions(&found, class + 1 == self.architecture.classes);
            regions.extend(used.into_iter().enumerate().map(|(index, bounds)| Region { class, index, bounds }));
        }
        regions
    }

    /// LN-FE: each region cut out of the stretched picture, resized, and sent through the network again, all together.
    fn crops(&self, planes: &[u8], regions: &[Region], settings: &ExtractionSettings) -> Result<Vec<f32>> {
        if regions.is_empty() {
            return Ok(Vec::new());
        }
        let [height, width] = self.image_size;
        let stretched = picture::from_planes(&picture::stretched(planes), height, width);
        let crop_bytes = 3 * (CROP_SIZE * CROP_SIZE) as usize;
        let mut pixels = vec![0; crop_bytes * regions.len()];
        for (region, planes) in regions.iter().zip(pixels.chunks_mut(crop_bytes)) {
            let crop = resize(&picture::cut_out(&stretched, &region.bounds), CROP_SIZE, CROP_SIZE);
            picture::to_planes(&crop, planes);
        }
        let images = frames::images(&pixels, regions.len(), [CROP_SIZE; 2], &CROP_NORMALIZATION, self.device);
        let maps = self.network.feature_maps(&images, false);
        Ok(features::values_of(&features::pooled_batch(&maps.layer4, settings.pool)))
    }
}
