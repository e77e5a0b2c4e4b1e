//! A look at frames: a forward pass whose maps serve every mode, and the modes that need further passes.

use rayon::prelude::*;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::picture;
use surgcam_frames::vision::pooling::FEATURES;
use surgcam_frames::vision::regions::used_regions;
use surgcam_frames::vision::resize::resize;
use surgcam_pipeline::settings::{Architecture, CamSettings, ExtractionSettings, Normalization};
use surgcam_values::{CamMethod, FeatureLayer, ImageSize, Mode, Precision};
use tch::{Device, Kind, Tensor};

use crate::cam;
use crate::cuda::streams::{Aside, Mark};
use crate::features;
use crate::fetching::{self, Look};
use crate::frames;
use crate::model::inference::InferenceNetwork;
use crate::model::resnet::{FeatureMaps, ResNet};
use crate::model::weights::Weights;
use crate::seen::{Extracted, FrameSpace, Heat, Region, SeenFrame};

/// LN-FE on [0, 1], not normalised.
const CROP_NORMALIZATION: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

/// Frames in one forward pass: what fills the machine.
pub fn frames_in_a_pass(device: Device) -> usize {
    if device.is_cuda() { 32 } else { 8 }
}

/// `[height, width]` of a map [N, C, h, w].
fn map_size(map: &Tensor) -> [usize; 2] {
    let size = map.size();
    [size[2] as usize, size[3] as usize]
}

/// Crops of LN-FE in one forward pass.
fn crops_in_a_pass(device: Device) -> usize {
    2 * frames_in_a_pass(device)
}

/// What a forward pass left on the device. On a GPU nobody has waited for it yet.
pub struct Glance {
    /// Each [N, C, h, w].
    maps: FeatureMaps,
    /// [N, classes]
    logits: Tensor,
    /// Behind them, on a GPU.
    mark: Option<Mark>,
}

impl Glance {
    /// While the result lives, this thread uses what the glance left without waiting for what it asked the GPU for since.
    pub fn aside(&self) -> Option<Aside> {
        Aside::after(self.mark.as_ref())
    }
}

pub struct Perception {
    network: InferenceNetwork,
    /// The same, for heat maps that need a gradient.
    differentiable: ResNet,
    architecture: Architecture,
    normalization: Normalization,
    device: Device,
    /// `[height, width]` of the frames.
    image_size: [u32; 2],
}

impl Perception {
    pub fn new(
        architecture: Architecture,
        parameters: &Weights,
        normalization: Normalization,
        image_size: [u32; 2],
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        let network = InferenceNetwork::new(architecture, parameters, device, precision)?;
        let differentiable = ResNet::new(architecture, &parameters.to_device(device))?;
        Ok(Perception { network, differentiable, architecture, normalization, device, image_size })
    }

    /// The maps of one forward pass over all pictures of [3, H, W], with the frames' normalisation, and no more.
    pub fn forward(&self, pictures: &[&[u8]]) -> Result<FeatureMaps> {
        self.network.feature_maps(&frames::images(pictures, self.image_size, &self.normalization, self.device))
    }

    /// One forward pass over all of `batch`: pairs of a frame and its [3, H, W] pixels.
    pub fn look<'a>(&self, batch: &[(&'a Frame, &'a [u8])]) -> Result<Vec<SeenFrame<'a>>> {
        let pictures: Vec<&[u8]> = batch.iter().map(|(_, planes)| *planes).collect();
        Ok(self.seen(batch, &self.glance(&pictures)?))
    }

    /// A forward pass begun: on a GPU the call returns while it counts.
    pub fn glance(&self, pictures: &[&[u8]]) -> Result<Glance> {
        let maps = self.forward(pictures)?;
        let logits = self.network.logits(&maps.layer4);
        Ok(Glance { maps, logits, mark: Mark::here(self.device) })
    }

    /// What `glance` shows of the frames that it was made of, once the device has counted it.
    pub fn seen<'a>(&self, batch: &[(&'a Frame, &'a [u8])], glance: &Glance) -> Vec<SeenFrame<'a>> {
        let logits = features::values_of(&glance.logits);
        let of_one = |map: &Tensor, row: usize| map.narrow(0, row as i64, 1);
        let rows = batch.iter().zip(logits.chunks(self.architecture.classes)).enumerate();
        rows.map(|(row, (&(frame, planes), logits))| {
            let FeatureMaps { layer2, layer3, layer4 } = &glance.maps;
            let maps = FeatureMaps { layer2: of_one(layer2, row), layer3: of_one(layer3, row), layer4: of_one(layer4, row) };
            SeenFrame::new(frame, planes, maps, logits.to_vec())
        })
        .collect()
    }

    pub fn heat(&self, seen: &SeenFrame, settings: &CamSettings) -> Heat {
        self.heats(&[seen], settings).remove(0)
    }

    /// The heat maps of several frames: of layer 4 with one matrix product for all of them.
    pub fn heats(&self, seen: &[&SeenFrame], settings: &CamSettings) -> Vec<Heat> {
        let present = seen.iter().map(|seen| cam::present_classes(&seen.logits, &settings.present));
        match settings.layer {
            FeatureLayer::Layer4 => {
                let all = tch::no_grad(|| {
                    let layer4: Vec<&Tensor> = seen.iter().map(|seen| &seen.maps.layer4).collect();
                    let activation = Tensor::cat(&layer4, 0).to_kind(Kind::Float);
                    cam::to_heat_maps(&cam::closed_form_maps(&activation, &self.network.head_weight, settings.method))
                });
                let of_frame = |((present, seen), all): ((Vec<usize>, &&SeenFrame), &[HeatMap])| {
                    let maps = present.iter().map(|&class| all[class].clone()).collect();
                    Heat::new(present, map_size(&seen.maps.layer4), maps)
                };
                present.zip(seen).zip(all.chunks(self.architecture.classes)).map(of_frame).collect()
            }
            FeatureLayer::Layer3 => present.zip(seen).map(|(present, seen)| self.heat_of_layer3(seen, present, settings.method)).collect(),
        }
    }

    fn heat_of_layer3(&self, seen: &SeenFrame, present: Vec<usize>, method: CamMethod) -> Heat {
        let network = &self.differentiable;
        let logits_of = |layer3: &Tensor| network.logits(&network.layer4_of(&layer3.unsqueeze(0)), 0.0, false).squeeze_dim(0);
        let activation = seen.maps.layer3.squeeze_dim(0).to_kind(Kind::Float);
        let maps = cam::autograd_maps(&activation, &present, method, logits_of);
        let maps = if maps.is_empty() { Vec::new() } else { cam::to_heat_maps(&Tensor::stack(&maps, 0)) };
        Heat::new(present, map_size(&seen.maps.layer3), maps)
    }

    pub fn space(&self) -> FrameSpace {
        FrameSpace { image_size: self.image_size, classes: self.architecture.classes }
    }

    /// `heat` must be that of the mode's own settings; yardsticks need none.
    pub fn extract(&self, seen: &SeenFrame, heat: Option<&Heat>, settings: &ExtractionSettings) -> Result<Extracted> {
        Ok(self.extract_together(&[(seen, heat)], settings)?.remove(0))
    }

    /// As [`Perception::extract`], of several frames: the crops of all of them go through the network together.
    pub fn extract_together(&self, looks: &[(&SeenFrame, Option<&Heat>)], settings: &ExtractionSettings) -> Result<Vec<Extracted>> {
        match (settings.mode, &settings.regions) {
            (Mode::SlFe | Mode::LFe, Some(_)) => {
                let of_device: Vec<Look> = looks.iter().filter_map(|(seen, heat)| Some((*seen, (*heat)?))).collect();
                self.fetch(&of_device, settings);
                let of_frame = |(seen, heat): &(&SeenFrame, Option<&Heat>)| {
                    heat.map_or_else(Extracted::default, |heat| self.space().without_network(seen, heat, settings))
                };
                Ok(looks.iter().map(of_frame).collect())
            }
            (Mode::LnFe, Some(regions)) => {
                let found: Vec<_> = looks.iter().map(|(_, heat)| heat.map(|heat| self.space().regions(heat, regions))).collect();
                let crops = looks.iter().zip(&found).map(|((seen, _), found)| {
                    let regions = found.as_ref().map_or(&[][..], |found| &found.regions);
                    (seen.planes, regions)
                });
                let features = self.crops(&crops.collect::<Vec<_>>(), settings)?;
                let extracted = found.iter().zip(features).map(|(found, features)| match found {
                    Some(found) => Extracted {
                        forward_passes: 1 + found.regions.len(),
                        regions: found.regions.clone(),
                        features,
                        empty_classes: found.empty_classes,
                    },
                    None => Extracted::default(),
                });
                Ok(extracted.collect())
            }
            (Mode::GroundTruthBoxes, _) => {
                let frames: Vec<_> = looks.iter().map(|(seen, _)| (seen.frame, seen.planes)).collect();
                self.extract_true_boxes(&frames, settings)
            }
            _ => Ok(looks.iter().map(|(seen, _)| self.extract_whole(seen, settings)).collect()),
        }
    }

    /// Brings what L-FE and SL-FE need from the device.
    pub fn fetch(&self, looks: &[Look], settings: &ExtractionSettings) {
        fetching::fetch(looks, settings, self.device);
    }

    fn extract_whole(&self, seen: &SeenFrame, settings: &ExtractionSettings) -> Extracted {
        let region = Region { class: self.architecture.classes - 1, index: 0, bounds: self.space().whole_frame(), confidence: 1.0 };
        let map = seen.maps.layer4.squeeze_dim(0).to_kind(Kind::Float);
        let features = features::values_of(&features::pooled(&map, settings.pool));
        Extracted { regions: vec![region], features, forward_passes: 1, empty_classes: 0 }
    }

    /// The yardstick of a perfect detector: nothing of the frame's own forward pass is needed. Pairs of a frame and its
    /// [3, H, W] pixels.
    pub fn extract_true_boxes(&self, frames: &[(&Frame, &[u8])], settings: &ExtractionSettings) -> Result<Vec<Extracted>> {
        let found: Vec<Vec<Region>> = frames.iter().map(|(frame, _)| self.true_regions(frame)).collect();
        let crops: Vec<_> = frames.iter().zip(&found).map(|((_, planes), found)| (*planes, found.as_slice())).collect();
        let features = self.crops(&crops, settings)?;
        let extracted = found.into_iter().zip(features);
        Ok(extracted.map(|(regions, features)| Extracted { forward_passes: regions.len(), regions, features, empty_classes: 0 }).collect())
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
                .map(|labelled| labelled.bounds.scaled(frame.box_space, [width, height]).inside([width, height]))
                .filter(|bounds| bounds.width() > 0 && bounds.height() > 0)
                .collect();
            found.sort();
            let used = used_regions(&found, class + 1 == self.architecture.classes);
            regions.extend(used.into_iter().enumerate().map(|(index, bounds)| Region { class, index, bounds, confidence: 1.0 }));
        }
        regions
    }

    /// LN-FE: each region cut out of its stretched picture, resized, and sent through the network again; [regions, 512] of
    /// each frame. Pairs of a frame's [3, H, W] pixels and its regions.
    fn crops(&self, frames: &[(&[u8], &[Region])], settings: &ExtractionSettings) -> Result<Vec<Vec<f32>>> {
        let mut features: Vec<Vec<f32>> = frames.iter().map(|(_, regions)| Vec::with_capacity(regions.len() * FEATURES)).collect();
        let mut wanted =
            frames.iter().enumerate().flat_map(|(frame, (_, regions))| regions.iter().map(move |region| (frame, region.bounds)));
        // A captioner that was exported before this was a setting does not say.
        let crop_size = settings.crop_size.unwrap_or(ImageSize::OF_CROPS.height_width());
        loop {
            let part: Vec<(usize, Box2)> = wanted.by_ref().take(crops_in_a_pass(self.device)).collect();
            if part.is_empty() {
                return Ok(features);
            }
            let planes: Vec<&[u8]> = frames.iter().map(|(planes, _)| *planes).collect();
            let cut = self.cut_out(&planes, &part, crop_size);
            let pictures: Vec<&[u8]> = cut.iter().map(Vec::as_slice).collect();
            let images = frames::images(&pictures, crop_size, &CROP_NORMALIZATION, self.device);
            let maps = self.network.feature_maps(&images)?;
            let pooled = tch::no_grad(|| features::values_of(&features::pooled_batch(&maps.layer4.to_kind(Kind::Float), settings.pool)));
            for ((frame, _), pooled) in part.iter().zip(pooled.chunks(FEATURES)) {
                features[*frame].extend_from_slice(pooled);
            }
        }
    }

    /// [3, h, w] of each frame's box, in the order asked, which is that of the frames. `frames`: their [3, H, W] pixels; `crop_size`:
    /// `[h, w]`.
    pub fn cut_out(&self, frames: &[&[u8]], wanted: &[(usize, Box2)], crop_size: [u32; 2]) -> Vec<Vec<u8>> {
        let [height, width] = self.image_size;
        let of_frame = |boxes: &[(usize, Box2)]| -> Vec<Vec<u8>> {
            let stretched = picture::from_planes(&picture::stretched(frames[boxes[0].0]), height, width);
            let crop = |(_, bounds): &(usize, Box2)| {
                let [crop_height, crop_width] = crop_size;
                let mut planes = vec![0; 3 * (crop_height * crop_width) as usize];
                picture::to_planes(&resize(&picture::cut_out(&stretched, bounds), crop_height, crop_width), &mut planes);
                planes
            };
            boxes.par_iter().map(crop).collect()
        };
        let by_frame: Vec<&[(usize, Box2)]> = wanted.chunk_by(|a, b| a.0 == b.0).collect();
        by_frame.into_par_iter().flat_map_iter(of_frame).collect()
    }
}
