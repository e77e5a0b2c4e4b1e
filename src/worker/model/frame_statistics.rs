//! The network as the scripts of the method's authors run it for L-FE and SL-FE (METHOD 6, "Batch
//! statistics"): each batch normalisation uses the mean and the biased variance of the single
//! frame, as training does with a batch of one. The running statistics are neither used nor
//! changed.
//!
//! The statistics of a frame are known only after its convolution, so they cannot be folded into
//! the weights, and no ReLU can be fused with the convolution. They are computed in f32 in any
//! case.

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::Precision;
use tch::{Device, Kind, Tensor};

use super::fused_convolution::{FusedConvolution, Then};
use super::half_precision::kind_of;
use super::inference_layers::{InferenceLayers, NormalisedConvolution};
use super::resnet::NORM_EPSILON;
use super::weights::Weights;

/// A convolution whose output is normalised by each frame's own statistics.
pub struct ByFrameStatistics {
    /// Without a bias, as torchvision's.
    convolution: FusedConvolution,
    /// [C'], f32.
    norm_weight: Tensor,
    /// [C'], f32.
    norm_bias: Tensor,
}

/// The network with `weights`, on the device.
pub fn network(
    architecture: Architecture,
    weights: &Weights,
    device: Device,
    precision: Precision,
) -> Result<InferenceLayers<ByFrameStatistics>> {
    let kind = kind_of(precision);
    tch::no_grad(|| {
        InferenceLayers::new(architecture, kind, |shape| {
            let norm = |part: &str| {
                weights
                    .get(&format!("{}.{part}", shape.norm))
                    .map(|tensor| tensor.to_device(device).to_kind(Kind::Float))
            };
            let (norm_weight, norm_bias) = (norm("weight")?, norm("bias")?);
            let weight = weights.get(&format!("{}.weight", shape.convolution))?;
            let convolution = FusedConvolution::new(
                &weight,
                &norm_bias.zeros_like(),
                shape.stride,
                shape.kernel / 2,
                device,
                kind,
            );
            Ok(ByFrameStatistics { convolution, norm_weight, norm_bias })
        })
    })
}

impl NormalisedConvolution for ByFrameStatistics {
    fn forward(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        let convolved = self.convolution.forward(input, Then::Nothing)?;
        let kind = convolved.kind();
        let wide = convolved.to_kind(Kind::Float);
        let mut normalised = if wide.device() == Device::Cpu {
            self.normalised_one_by_one(wide)
        } else {
            self.normalised_together(&wide)
        };
        let ended = match then {
            Then::Nothing => normalised,
            Then::Relu => normalised.relu_(),
            Then::AddToAndRelu(residual) => normalised.g_add_(&residual).relu_(),
        };
        Ok(ended.to_kind(kind))
    }
}

impl ByFrameStatistics {
    /// [N, C', H', W'], one frame after the other, in place. The CPU's batch normalisation can read
    /// maps whose channels are last without copying them. The operators that compute the variances
    /// of all frames together take seven times as long or more.
    fn normalised_one_by_one(&self, maps: Tensor) -> Tensor {
        let (mean, deviation) = (self.norm_weight.empty_like(), self.norm_weight.empty_like());
        let (weight, bias) = (Some(&self.norm_weight), Some(&self.norm_bias));
        for frame in 0..maps.size()[0] {
            let map = maps.narrow(0, frame, 1);
            let _ = map.native_batch_norm_out(
                &map,
                &mean,
                &deviation,
                weight,
                bias,
                None,
                None,
                true,
                0.0,
                NORM_EPSILON,
            );
        }
        maps
    }

    /// [N, C', H', W'], all frames in each call, because with few frames a GPU mostly waits for
    /// calls.
    fn normalised_together(&self, maps: &Tensor) -> Tensor {
        let (variance, mean) = maps.var_mean_correction([2i64, 3].as_slice(), 0i64, true);
        let scale = self.norm_weight.view([-1, 1, 1]) * (variance + NORM_EPSILON).rsqrt();
        let shift = self.norm_bias.view([-1, 1, 1]) - mean * &scale;
        shift.addcmul(maps, &scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fused_convolution::channels_last;
    use crate::model::resnet::ResNet;
    use surgcam_values::Backbone;

    /// The length of the difference, as a share of the expected length.
    fn difference(found: &Tensor, expected: &Tensor) -> f64 {
        f64::try_from((found.to_kind(Kind::Float) - expected).norm()).unwrap()
            / f64::try_from(expected.norm()).unwrap()
    }

    #[test]
    fn each_frame_of_a_batch_is_normalised_as_training_normalises_a_batch_of_one() {
        let _kept = crate::generator::seeded(3);
        for (backbone, precision, tolerance) in [
            (Backbone::ResNet18, Precision::F32, 1e-3),
            (Backbone::ResNet50, Precision::F32, 1e-3),
            (Backbone::ResNet18, Precision::Bf16, 0.3),
        ] {
            let architecture = Architecture::of_frames(backbone, 3);
            let weights = Weights::random(architecture, 5);
            let network = network(architecture, &weights, Device::Cpu, precision).unwrap();
            let images = Tensor::rand([3, 3, 96, 64], (Kind::Float, Device::Cpu));
            let found = network.feature_maps(&images).unwrap();
            // Training moves running statistics, so it has weights of its own.
            let training = ResNet::new(architecture, &weights.copied()).unwrap();
            for frame in 0..3 {
                let expected =
                    tch::no_grad(|| training.feature_maps(&images.narrow(0, frame, 1), true));
                let found = found.of_frame(frame as usize);
                for (found, expected) in [
                    (&found.layer2, &expected.layer2),
                    (&found.layer3, &expected.layer3),
                    (&found.layer4, &expected.layer4),
                ] {
                    assert_eq!(found.size(), expected.size());
                    let share = difference(found, expected);
                    assert!(
                        share < tolerance,
                        "{backbone:?} {precision:?}, frame {frame}: {share}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_gpus_way_to_normalise_gives_what_the_cpus_gives() {
        let _kept = crate::generator::seeded(6);
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let convolution = FusedConvolution::new(
            &random(&[5, 4, 3, 3]),
            &random(&[5]),
            1,
            1,
            Device::Cpu,
            Kind::Float,
        );
        let normalised =
            ByFrameStatistics { convolution, norm_weight: random(&[5]), norm_bias: random(&[5]) };
        let maps = channels_last(&(random(&[3, 5, 7, 9]) * 2.0 + 4.0));
        let together = normalised.normalised_together(&maps);
        assert!(difference(&normalised.normalised_one_by_one(maps), &together) < 1e-5);
    }
}
