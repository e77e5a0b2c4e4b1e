//! The network as evaluation and extraction run it: every batch normalisation folded into its
//! convolution, convolutions fused with what follows them, channels last in memory, no autograd. It
//! computes the same as [`super::resnet`] without `train`.

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::Precision;
use tch::{Device, Kind, Tensor};

use super::classifier_head::ClassifierHead;
use super::fused_convolution::{FusedConvolution, Then};
use super::half_precision::kind_of;
use super::inference_layers::{InferenceLayers, NormalisedConvolution};
use super::network_shape::ConvolutionShape;
use super::resnet::{FeatureMaps, NORM_EPSILON};
use super::weights::Weights;

pub struct InferenceNetwork {
    layers: InferenceLayers<FusedConvolution>,
    /// In f32.
    pub head: ClassifierHead,
}

impl NormalisedConvolution for FusedConvolution {
    fn forward(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        FusedConvolution::forward(self, input, then)
    }
}

/// Folds and places convolutions.
struct Placing<'a> {
    weights: &'a Weights,
    device: Device,
    kind: Kind,
}

impl Placing<'_> {
    fn convolution(&self, shape: &ConvolutionShape) -> Result<FusedConvolution> {
        let norm = |part: &str| self.weights.get(&format!("{}.{part}", shape.norm));
        let scale = norm("weight")? / (norm("running_var")? + NORM_EPSILON).sqrt();
        let weight =
            self.weights.get(&format!("{}.weight", shape.convolution))? * scale.view([-1, 1, 1, 1]);
        let bias = norm("bias")? - norm("running_mean")? * scale;
        Ok(FusedConvolution::new(
            &weight,
            &bias,
            shape.stride,
            shape.kernel / 2,
            self.device,
            self.kind,
        ))
    }
}

impl InferenceNetwork {
    pub fn new(
        architecture: Architecture,
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        tch::no_grad(|| {
            let kind = kind_of(precision);
            let placing = Placing { weights, device, kind };
            Ok(InferenceNetwork {
                layers: InferenceLayers::new(architecture, kind, |shape| {
                    placing.convolution(shape)
                })?,
                head: ClassifierHead::new(architecture, weights)?.to_device(device),
            })
        })
    }

    /// [N, 3, H, W], normalised -> the maps of layers 2 to 4, in the network's precision.
    pub fn feature_maps(&self, images: &Tensor) -> Result<FeatureMaps> {
        self.layers.feature_maps(images)
    }

    /// [N, C4, h, w] -> [N, C4], f32.
    pub fn pooled(&self, layer4: &Tensor) -> Tensor {
        layer4.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
    }

    /// The pooled features of clips [N, clip length, C4] -> the logits of their last frames
    /// [N, classes], f32.
    pub fn logits(&self, clips: &Tensor) -> Tensor {
        tch::no_grad(|| self.head.logits(clips, 0.0, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::resnet::ResNet;
    use surgcam_values::Backbone;

    /// Statistics as a trained network's, so that folding has something to fold.
    fn weights(architecture: Architecture) -> Weights {
        let moved = Weights::random(architecture, 5).copied();
        for (name, tensor) in moved.iter() {
            if name.contains("running") || name.contains("bn") {
                let _ = tensor.shallow_clone().g_add_(&(Tensor::rand_like(tensor) * 0.3));
            }
        }
        moved
    }

    fn worst_relative(found: &Tensor, expected: &Tensor) -> f64 {
        let difference =
            f64::try_from((found.to_kind(Kind::Float) - expected).abs().max()).unwrap();
        difference / f64::try_from(expected.abs().max()).unwrap()
    }

    #[test]
    fn it_computes_what_the_network_in_training_form_does_whatever_the_size() {
        let _kept = crate::generator::seeded(9);
        for backbone in [Backbone::ResNet18, Backbone::ResNet50] {
            let architecture = Architecture::of_frames(backbone, 3);
            let weights = weights(architecture);
            let plain = ResNet::new(architecture, &weights).unwrap();
            for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.1)] {
                let network =
                    InferenceNetwork::new(architecture, &weights, Device::Cpu, precision).unwrap();
                for size in [[1, 3, 64, 96], [2, 3, 64, 96], [3, 3, 50, 33]] {
                    let images = Tensor::rand(size, (Kind::Float, Device::Cpu));
                    let expected = tch::no_grad(|| plain.feature_maps(&images, false));
                    let found = network.feature_maps(&images).unwrap();
                    for (found, expected) in [
                        (&found.layer2, &expected.layer2),
                        (&found.layer3, &expected.layer3),
                        (&found.layer4, &expected.layer4),
                    ] {
                        assert_eq!(found.size(), expected.size());
                        let worst = worst_relative(found, expected);
                        assert!(worst < tolerance, "{backbone:?} {precision:?} {size:?}: {worst}");
                    }
                    let logits = tch::no_grad(|| plain.logits(&expected.layer4, 0.0, false));
                    let found = network.logits(&network.pooled(&found.layer4).unsqueeze(1));
                    assert!(worst_relative(&found, &logits) < tolerance);
                }
            }
        }
    }
}
