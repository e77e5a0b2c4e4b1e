//! From pixels to features: forward passes over frames, their heat maps, and the call of the modes,
//! which make features of both.

use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_pipeline::settings::{Architecture, CamSettings, ExtractionSettings, Normalization};
use surgcam_values::{BatchNormStatistics, CamMethod, FeatureLayer, Precision};
use tch::{Device, Kind, Tensor};

use crate::activations::FrameActivations;
use crate::cam;
use crate::crops::CropForward;
use crate::cuda::streams::{Aside, Mark};
use crate::features;
use crate::heat_maps::FrameHeatMaps;
use crate::images;
use crate::model::classifier::DifferentiableClassifier;
use crate::model::clips::{self, ClipMemory};
use crate::model::frame_statistics::{self, ByFrameStatistics};
use crate::model::inference::InferenceNetwork;
use crate::model::inference_layers::InferenceLayers;
use crate::model::resnet::{FeatureMaps, ResNet};
use crate::model::weights::Weights;
use crate::modes::{self, FrameInput, ReadRegions, RegionFeatures};
use crate::regions::{Extracted, FrameSpace, Region};

/// Frames in one forward pass. This many keep the machine busy.
pub fn frames_in_a_pass(device: Device) -> usize {
    if device.is_cuda() { 32 } else { 8 }
}

/// Crops in one forward pass.
fn crops_in_a_pass(device: Device) -> usize {
    2 * frames_in_a_pass(device)
}

/// `[height, width]` of a map [N, C, h, w].
fn map_size(map: &Tensor) -> [usize; 2] {
    let size = map.size();
    [size[2] as usize, size[3] as usize]
}

/// The results of a forward pass over a batch, on the device. A GPU may still be computing them.
pub struct ForwardPass {
    /// Each [N, C, h, w].
    maps: FeatureMaps,
    /// The same, normalised by each frame's own statistics, if the extractor makes them.
    maps_by_frame_statistics: Option<FeatureMaps>,
    /// [N, classes]
    logits: Tensor,
    /// Only for a temporal classifier: the pooled features of each frame's clip [N, clip length,
    /// C4].
    clips: Option<Tensor>,
    /// On a GPU, the mark that follows them in the stream.
    mark: Option<Mark>,
}

impl ForwardPass {
    /// While the returned value lives, this thread uses the results of the pass without waiting for
    /// work that it gave to the GPU afterwards.
    pub fn aside(&self) -> Option<Aside> {
        Aside::after(self.mark.as_ref())
    }
}

pub struct FeatureExtractor {
    network: InferenceNetwork,
    /// The network that normalises by each frame's own statistics, if regions take cells from its
    /// maps. Each pass over frames then needs a second one through this network.
    by_frame_statistics: Option<InferenceLayers<ByFrameStatistics>>,
    /// The same, for heat maps that need a gradient.
    differentiable: ResNet,
    architecture: Architecture,
    normalization: Normalization,
    device: Device,
    precision: Precision,
    /// `[height, width]` of the frames.
    image_size: [u32; 2],
}

impl FeatureExtractor {
    pub fn new(
        architecture: Architecture,
        weights: &Weights,
        normalization: Normalization,
        image_size: [u32; 2],
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        let network = InferenceNetwork::new(architecture, weights, device, precision)?;
        let differentiable = ResNet::new(architecture, &weights.to_device(device))?;
        Ok(FeatureExtractor {
            network,
            by_frame_statistics: None,
            differentiable,
            architecture,
            normalization,
            device,
            precision,
            image_size,
        })
    }

    /// An extractor that makes what these settings need, and no more.
    pub fn of_settings(
        settings: &ExtractionSettings,
        weights: &Weights,
        image_size: [u32; 2],
        device: Device,
    ) -> Result<Self> {
        let ExtractionSettings { architecture, normalization, precision, .. } = *settings;
        let mut extractor =
            Self::new(architecture, weights, normalization, image_size, device, precision)?;
        extractor.provide(settings.batch_norm, weights)?;
        Ok(extractor)
    }

    /// From now on, each pass over frames also makes the maps that are normalised by these
    /// statistics. `weights` must be those that the extractor was made with.
    pub fn provide(&mut self, statistics: BatchNormStatistics, weights: &Weights) -> Result<()> {
        if statistics == BatchNormStatistics::Frame && self.by_frame_statistics.is_none() {
            let network =
                frame_statistics::network(self.architecture, weights, self.device, self.precision)?;
            self.by_frame_statistics = Some(network);
        }
        Ok(())
    }

    pub fn space(&self) -> FrameSpace {
        FrameSpace { image_size: self.image_size, classes: self.architecture.classes }
    }

    /// Only the maps of one forward pass over all pictures of [3, H, W], with the normalisation of
    /// frames.
    pub fn feature_maps(&self, pictures: &[&[u8]]) -> Result<FeatureMaps> {
        self.network.feature_maps(&self.images(pictures))
    }

    fn images(&self, pictures: &[&[u8]]) -> Tensor {
        images::of_pictures(pictures, self.image_size, &self.normalization, self.device)
    }

    /// The memory for [`FeatureExtractor::begin_next_frames`], which is empty at the start.
    pub fn clip_memory(&self) -> ClipMemory {
        ClipMemory::new(self.network.head.clip_length())
    }

    /// Begins a forward pass. On a GPU the call returns while the GPU computes. Each picture is
    /// taken as a frame of which no earlier frames are known.
    pub fn begin_forward_pass(&self, pictures: &[&[u8]]) -> Result<ForwardPass> {
        let clip_length = self.network.head.clip_length();
        self.begin(pictures, |pooled| clips::of_single_frames(pooled, clip_length))
    }

    /// As [`FeatureExtractor::begin_forward_pass`], over the next frames of the sequence that the
    /// memory is in.
    pub fn begin_next_frames(
        &self,
        pictures: &[&[u8]],
        memory: &mut ClipMemory,
    ) -> Result<ForwardPass> {
        self.begin(pictures, |pooled| memory.clips_of(pooled))
    }

    fn begin(
        &self,
        pictures: &[&[u8]],
        clips_of: impl FnOnce(&Tensor) -> Tensor,
    ) -> Result<ForwardPass> {
        let images = self.images(pictures);
        let maps = self.network.feature_maps(&images)?;
        let clips = clips_of(&self.network.pooled(&maps.layer4));
        let logits = self.network.logits(&clips);
        let clips = self.architecture.clip_length.map(|_| clips);
        let maps_by_frame_statistics = self
            .by_frame_statistics
            .as_ref()
            .map(|network| network.feature_maps(&images))
            .transpose()?;
        let mark = Mark::here(self.device);
        Ok(ForwardPass { maps, maps_by_frame_statistics, logits, clips, mark })
    }

    /// The activations of each frame, once the device has computed the forward pass.
    pub fn activations_of(&self, pass: &ForwardPass) -> Vec<FrameActivations> {
        let logits = features::values_of(&pass.logits);
        let of_frame = |(row, logits): (usize, &[f32])| {
            let by_frame_statistics =
                pass.maps_by_frame_statistics.as_ref().map(|maps| maps.of_frame(row));
            let clip = pass.clips.as_ref().map(|clips| clips.get(row as i64));
            let maps = pass.maps.of_frame(row);
            let mut activations = FrameActivations::new(maps, by_frame_statistics, logits.to_vec());
            activations.clip = clip;
            activations
        };
        logits.chunks(self.architecture.classes).enumerate().map(of_frame).collect()
    }

    /// Makes one forward pass over all pictures of [3, H, W], of which no earlier frames are known.
    pub fn activations(&self, pictures: &[&[u8]]) -> Result<Vec<FrameActivations>> {
        Ok(self.activations_of(&self.begin_forward_pass(pictures)?))
    }

    /// The heat maps of one frame.
    pub fn heat_maps(
        &self,
        activations: &FrameActivations,
        settings: &CamSettings,
    ) -> FrameHeatMaps {
        self.heat_maps_of_batch(&[activations], settings).remove(0)
    }

    /// The gradient of the logits of these frames with respect to their pooled features: [classes,
    /// C4], or [N, classes, C4] for a temporal classifier.
    fn gradients_of_logits(&self, batch: &[&FrameActivations]) -> Tensor {
        let clips: Vec<&Tensor> =
            batch.iter().filter_map(|activations| activations.clip.as_ref()).collect();
        let head = &self.network.head;
        if clips.is_empty() {
            head.weight.shallow_clone()
        } else {
            head.last_frame_gradients(&Tensor::stack(&clips, 0))
        }
    }

    /// The heat maps of several frames. Those of layer 4 take one matrix product for all frames.
    pub fn heat_maps_of_batch(
        &self,
        batch: &[&FrameActivations],
        settings: &CamSettings,
    ) -> Vec<FrameHeatMaps> {
        let present = batch
            .iter()
            .map(|activations| cam::present_classes(&activations.logits, &settings.present));
        match settings.layer {
            FeatureLayer::Layer4 => {
                let all = tch::no_grad(|| {
                    let layer4: Vec<&Tensor> =
                        batch.iter().map(|activations| activations.maps.feature_map(4)).collect();
                    let activation = Tensor::cat(&layer4, 0).to_kind(Kind::Float);
                    cam::to_heat_maps(&cam::closed_form_maps(
                        &activation,
                        &self.gradients_of_logits(batch),
                        settings.method,
                    ))
                });
                let of_frame = |((present, activations), all): (
                    (Vec<usize>, &&FrameActivations),
                    &[HeatMap],
                )| {
                    let maps = present.iter().map(|&class| all[class].clone()).collect();
                    FrameHeatMaps::new(present, map_size(activations.maps.feature_map(4)), maps)
                };
                present
                    .zip(batch)
                    .zip(all.chunks(self.architecture.classes))
                    .map(of_frame)
                    .collect()
            }
            FeatureLayer::Layer3 => {
                let of_frame = |(present, activations): (Vec<usize>, &&FrameActivations)| {
                    self.heat_maps_of_layer3(activations, present, settings.method)
                };
                present.zip(batch).map(of_frame).collect()
            }
        }
    }

    fn heat_maps_of_layer3(
        &self,
        activations: &FrameActivations,
        present: Vec<usize>,
        method: CamMethod,
    ) -> FrameHeatMaps {
        let map = activations.maps.feature_map(3);
        let cam = self.differentiable.cam(FeatureLayer::Layer3, activations.clip.as_ref());
        let maps = cam.heat_maps(&map.to_kind(Kind::Float), &present, method);
        FrameHeatMaps::new(present, map_size(map), maps)
    }

    /// One frame from its [3, H, W] pixels to features, with as few forward passes as the mode
    /// needs. The features come to the CPU, so the device has done its work when this returns. The
    /// activations are `None` if the mode needs no pass over the frame. `memory` belongs to the
    /// frames before it in its sequence.
    pub fn extract_from_pixels(
        &self,
        frame: &Frame,
        planes: &[u8],
        settings: &ExtractionSettings,
        memory: &mut ClipMemory,
    ) -> Result<(Option<FrameActivations>, Extracted)> {
        let activations = if modes::named(settings.mode).needs_forward_pass() {
            memory.enter(&frame.sequence);
            let pass = self.begin_next_frames(&[planes], memory)?;
            Some(self.activations_of(&pass).remove(0))
        } else {
            None
        };
        let heat_maps = activations
            .as_ref()
            .zip(settings.regions.as_ref())
            .map(|(activations, regions)| self.heat_maps(activations, &regions.cam));
        let input = FrameInput {
            frame,
            planes,
            activations: activations.as_ref(),
            heat_maps: heat_maps.as_ref(),
        };
        let extracted = self.extract(&[input], settings)?.remove(0);
        Ok((activations, extracted))
    }

    /// The regions and features of a batch, frame after frame on this thread, because waking
    /// another thread takes longer than one frame.
    pub fn extract(
        &self,
        batch: &[FrameInput],
        settings: &ExtractionSettings,
    ) -> Result<Vec<Extracted>> {
        self.fetch(batch, settings)?;
        let space = self.space();
        let read = batch
            .iter()
            .map(|input| ReadRegions::of(input, space, settings))
            .collect::<Result<Vec<_>>>()?;
        let planes: Vec<&[u8]> = batch.iter().map(|input| input.planes).collect();
        self.complete(&planes, read, settings)
    }

    /// Brings what [`ReadRegions::of`] needs of a batch from the device, so that it can be called
    /// from any thread.
    pub fn fetch(&self, batch: &[FrameInput], settings: &ExtractionSettings) -> Result<()> {
        modes::named(settings.mode).fetch(batch, settings, self.device)
    }

    /// Sends the crops whose features are still missing through the network, those of all frames
    /// together. `planes` has the [3, H, W] pixels of the frames.
    pub fn complete(
        &self,
        planes: &[&[u8]],
        read: Vec<ReadRegions>,
        settings: &ExtractionSettings,
    ) -> Result<Vec<Extracted>> {
        let frames: Vec<(&[u8], &[Region])> =
            planes.iter().copied().zip(read.iter().map(ReadRegions::to_crop)).collect();
        let (device, network) = (self.device, &self.network);
        let crops = CropForward {
            network,
            device,
            crops_in_a_pass: crops_in_a_pass(device),
            image_size: self.image_size,
        };
        let of_crops = crops.features(&frames, settings)?;
        let takes_second_pass = settings.batch_norm == BatchNormStatistics::Frame;
        let passes_before = usize::from(modes::named(settings.mode).needs_forward_pass())
            + usize::from(takes_second_pass);
        let extracted = read.into_iter().zip(of_crops).map(|(read, of_crops)| {
            let forward_passes = passes_before + read.to_crop().len();
            let features = match read.features {
                RegionFeatures::Read(features) => features,
                RegionFeatures::OfCrops => of_crops,
            };
            Extracted {
                regions: read.found.regions.clone(),
                features,
                forward_passes,
                empty_classes: read.found.empty_classes,
            }
        });
        Ok(extracted.collect())
    }
}
