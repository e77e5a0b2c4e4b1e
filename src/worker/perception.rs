//! A look at frames: a forward pass whose maps serve every mode, and the modes that need further passes.

use surgcam::dataset::index::Frame;
use surgcam::error::Result;
use surgcam::pipeline::stages::{Architecture, CamSettings, ExtractionSettings, Normalization};
use surgcam::recipe::values::{FeatureLayer, Mode, Present};
use surgcam::vision::geometry::Box2;
use surgcam::vision::picture;
use surgcam::vision::regions::used_regions;
use surgcam::vision::resize::resize;
use tch::{Device, Tensor};

use crate::cam;
use crate::features;
use crate::frames;
use crate::model::parameters::Parameters;
use crate::model::resnet::{FeatureMaps, ResNet};
use crate::seen::{Extracted, FrameSpace, Heat, Region, SeenFrame};

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
                .map(|(row, &(frame, planes))| {
                    let maps = FeatureMaps {
                        layer2: of_one(&maps.layer2, row),
                        layer3: of_one(&maps.layer3, row),
                        layer4: of_one(&maps.layer4, row),
                    };
                    SeenFrame::new(frame, planes, maps, values[row * classes..][..classes].to_vec())
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
        Heat::new(present, maps)
    }

    pub fn space(&self) -> FrameSpace {
        FrameSpace { image_size: self.image_size, classes: self.architecture.classes }
    }

    /// `heat` must be that of the mode's own settings; yardsticks need none.
    pub fn extract(&self, seen: &SeenFrame, heat: Option<&Heat>, settings: &ExtractionSettings) -> Result<Extracted> {
        tch::no_grad(|| match (settings.mode, heat, &settings.regions) {
            (Mode::SlFe | Mode::LFe, Some(heat), Some(_)) => Ok(self.space().without_network(seen, heat, settings)),
            (Mode::LnFe, Some(heat), Some(regions)) => {
                let found = self.space().regions(heat, regions);
                let features = self.crops(seen.planes, &found.regions, settings)?;
                let forward_passes = 1 + found.regions.len();
                Ok(Extracted { forward_passes, regions: found.regions.clone(), features, empty_classes: found.empty_classes })
            }
            (Mode::GroundTruthBoxes, ..) => self.extract_true_boxes(seen.frame, seen.planes, settings),
            _ => {
                let region = Region { class: self.architecture.classes - 1, index: 0, bounds: self.space().whole_frame() };
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
