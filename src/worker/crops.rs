//! The forward pass over crops, which are cut out of pictures at regions (METHOD 6, LN-FE).

use rayon::prelude::*;
use surgcam_engine::error::Result;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::picture;
use surgcam_frames::vision::pooling::FEATURES;
use surgcam_frames::vision::resize::resize;
use surgcam_pipeline::settings::{ExtractionSettings, Normalization};
use surgcam_values::{FeatureLayer, ImageSize};
use tch::{Device, Kind};

use crate::features;
use crate::images;
use crate::model::inference::InferenceNetwork;
use crate::regions::Region;

/// Crops are in [0, 1], not normalised.
const NORMALIZATION: Normalization = Normalization { mean: [0.0; 3], std: [1.0; 3] };

/// The network that crops go through, and the `[height, width]` of the frames that they are cut out
/// of.
pub struct CropForward<'a> {
    pub network: &'a InferenceNetwork,
    pub device: Device,
    pub crops_in_a_pass: usize,
    pub image_size: [u32; 2],
}

impl CropForward<'_> {
    /// Cuts each region out of its stretched picture, resizes it, and sends it through the network.
    /// It takes pairs of a frame's [3, H, W] pixels and its regions, and gives [regions, 512] for
    /// each frame. The crops of all frames go through the network together.
    pub fn features(
        &self,
        frames: &[(&[u8], &[Region])],
        settings: &ExtractionSettings,
    ) -> Result<Vec<Vec<f32>>> {
        let mut features: Vec<Vec<f32>> = frames
            .iter()
            .map(|(_, regions)| Vec::with_capacity(regions.len() * FEATURES))
            .collect();
        let mut wanted = frames.iter().enumerate().flat_map(|(frame, (_, regions))| {
            regions.iter().map(move |region| (frame, region.bounds))
        });
        // A captioner that was exported before this was a setting does not say.
        let crop_size = settings.crop_size.unwrap_or(ImageSize::OF_CROPS.height_width());
        let planes: Vec<&[u8]> = frames.iter().map(|(planes, _)| *planes).collect();
        loop {
            let part: Vec<(usize, Box2)> = wanted.by_ref().take(self.crops_in_a_pass).collect();
            if part.is_empty() {
                return Ok(features);
            }
            let cut = cut_out(&planes, self.image_size, &part, crop_size);
            let pictures: Vec<&[u8]> = cut.iter().map(Vec::as_slice).collect();
            let images = images::of_pictures(&pictures, crop_size, &NORMALIZATION, self.device);
            let maps = self.network.feature_maps(&images)?;
            let map = match settings.crop_layer {
                Some(FeatureLayer::Layer3) => &maps.layer3,
                Some(FeatureLayer::Layer4) | None => &maps.layer4,
            };
            let pooled = tch::no_grad(|| {
                features::values_of(&features::pooled_batch(
                    &map.to_kind(Kind::Float),
                    settings.pool,
                ))
            });
            for ((frame, _), pooled) in part.iter().zip(pooled.chunks(FEATURES)) {
                features[*frame].extend_from_slice(pooled);
            }
        }
    }
}

/// The crop [3, h, w] of each box, in the order of the frames. `frames` has their [3, H, W] pixels.
/// Both sizes are `[height, width]`.
pub fn cut_out(
    frames: &[&[u8]],
    image_size: [u32; 2],
    wanted: &[(usize, Box2)],
    crop_size: [u32; 2],
) -> Vec<Vec<u8>> {
    let [height, width] = image_size;
    let of_frame = |boxes: &[(usize, Box2)]| -> Vec<Vec<u8>> {
        let stretched =
            picture::from_planes(&picture::stretched(frames[boxes[0].0]), height, width);
        let crop = |(_, bounds): &(usize, Box2)| {
            let [crop_height, crop_width] = crop_size;
            let mut planes = vec![0; 3 * (crop_height * crop_width) as usize];
            picture::to_planes(
                &resize(&picture::cut_out(&stretched, bounds), crop_height, crop_width),
                &mut planes,
            );
            planes
        };
        boxes.par_iter().map(crop).collect()
    };
    let by_frame: Vec<&[(usize, Box2)]> = wanted.chunk_by(|a, b| a.0 == b.0).collect();
    by_frame.into_par_iter().flat_map_iter(of_frame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::Weights;
    use surgcam_pipeline::settings::Architecture;
    use surgcam_values::{Backbone, BatchNormStatistics, Mode, Pool, Precision};

    #[test]
    fn features_of_a_crop_come_from_the_layer_that_is_asked_for() {
        let architecture = Architecture::of_frames(Backbone::ResNet10, 3);
        let network = InferenceNetwork::new(
            architecture,
            &Weights::random(architecture, 2),
            Device::Cpu,
            Precision::F32,
        )
        .unwrap();
        let (image_size, crop_size) = ([40, 50], [64, 64]);
        let planes: Vec<u8> = (0..3 * 40 * 50).map(|value| (value * 37 % 251) as u8).collect();
        let bounds = Box2::from([5, 6, 35, 30]);
        let regions = [Region { class: 0, index: 0, bounds, confidence: 1.0 }];
        let crops =
            CropForward { network: &network, device: Device::Cpu, crops_in_a_pass: 4, image_size };
        let settings = |crop_layer| ExtractionSettings {
            mode: Mode::LnFe,
            regions: None,
            architecture,
            normalization: NORMALIZATION,
            pool: Pool::try_from(128u64).unwrap(),
            precision: Precision::F32,
            batch_norm: BatchNormStatistics::Running,
            crop_size: Some(crop_size),
            crop_layer,
        };
        let features = |crop_layer| {
            let frame: (&[u8], &[Region]) = (&planes, &regions);
            crops.features(&[frame], &settings(crop_layer)).unwrap().remove(0)
        };
        let cut = cut_out(&[planes.as_slice()], image_size, &[(0, bounds)], crop_size);
        let images =
            images::of_pictures(&[cut[0].as_slice()], crop_size, &NORMALIZATION, Device::Cpu);
        let maps = network.feature_maps(&images).unwrap();
        let pooled = |map: &tch::Tensor| {
            features::values_of(&features::pooled_batch(map, settings(None).pool))
        };
        assert_eq!(features(Some(FeatureLayer::Layer3)), pooled(&maps.layer3));
        assert_eq!(features(None), pooled(&maps.layer4));
        assert_ne!(features(None), pooled(&maps.layer3));
    }
}
