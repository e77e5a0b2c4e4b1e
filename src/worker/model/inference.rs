//! The network as evaluation and extraction run it: every batch normalisation folded into its convolution, convolutions fused
//! with what follows them, channels last in memory, no autograd. What it computes is what [`super::resnet`] does without `train`.

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::Precision;
use tch::{Device, Kind, Tensor};

use super::fused_convolution::{FusedConvolution, Then, channels_last};
use super::half_precision::kind_of;
use super::recorded_passes::RecordedPasses;
use super::resnet::{FeatureMaps, NORM_EPSILON};
use super::weights::{BlockShape, ConvolutionShape, Weights, network_shape};

struct Block {
    convolutions: Vec<FusedConvolution>,
    downsample: Option<FusedConvolution>,
}

pub struct InferenceNetwork {
    stem: FusedConvolution,
    layers: Vec<Vec<Block>>,
    /// [classes, C4], f32.
    pub head_weight: Tensor,
    /// [classes], f32.
    head_bias: Tensor,
    kind: Kind,
    recorded: RecordedPasses,
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
        let weight = self.weights.get(&format!("{}.weight", shape.convolution))? * scale.view([-1, 1, 1, 1]);
        let bias = norm("bias")? - norm("running_mean")? * scale;
        Ok(FusedConvolution::new(&weight, &bias, shape.stride, shape.kernel / 2, self.device, self.kind))
    }

    fn block(&self, shape: &BlockShape) -> Result<Block> {
        Ok(Block {
            convolutions: shape.convolutions.iter().map(|shape| self.convolution(shape)).collect::<Result<_>>()?,
            downsample: shape.downsample.as_ref().map(|shape| self.convolution(shape)).transpose()?,
        })
    }
}

impl Block {
    fn forward(&self, input: Tensor) -> Result<Tensor> {
        let Some((last, first)) = self.convolutions.split_last() else { return Ok(input) };
        let mut output = input.shallow_clone();
        for convolution in first {
            output = convolution.forward(&output, Then::Relu)?;
        }
        let residual = match &self.downsample {
            Some(downsample) => downsample.forward(&input, Then::Nothing)?,
            None => input,
        };
        last.forward(&output, Then::AddToAndRelu(residual))
    }
}

impl InferenceNetwork {
    pub fn new(architecture: Architecture, weights: &Weights, device: Device, precision: Precision) -> Result<Self> {
        tch::no_grad(|| {
            let shape = network_shape(architecture);
            let kind = kind_of(precision);
            let placing = Placing { weights, device, kind };
            let layer = |blocks: &Vec<BlockShape>| blocks.iter().map(|block| placing.block(block)).collect::<Result<_>>();
            Ok(InferenceNetwork {
                stem: placing.convolution(&shape.stem)?,
                layers: shape.layers.iter().map(layer).collect::<Result<_>>()?,
                head_weight: weights.get("fc.weight")?.to_device(device),
                head_bias: weights.get("fc.bias")?.to_device(device),
                kind,
                recorded: RecordedPasses::default(),
            })
        })
    }

    /// [N, 3, H, W], normalised -> the maps of layers 2 to 4, in the network's precision.
    pub fn feature_maps(&self, images: &Tensor) -> Result<FeatureMaps> {
        tch::no_grad(|| {
            let images = channels_last(&images.to_kind(self.kind));
            self.recorded.forward(&images, |images| self.pass(images))
        })
    }

    fn pass(&self, images: &Tensor) -> Result<FeatureMaps> {
        let mut x = self.stem.forward(images, Then::Relu)?.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        let mut maps = Vec::with_capacity(self.layers.len());
        for blocks in &self.layers {
            // A block without a downsample writes over its input; the first of a layer leaves the map before alone.
            x = blocks.iter().try_fold(x, |x, block| block.forward(x))?;
            maps.push(x.shallow_clone());
        }
        let mut next = || maps.pop().unwrap_or_else(|| unreachable!("network_shape has four layers"));
        let (layer4, layer3, layer2) = (next(), next(), next());
        Ok(FeatureMaps { layer2, layer3, layer4 })
    }

    /// [N, C4, h, w] -> [N, classes], f32.
    pub fn logits(&self, layer4: &Tensor) -> Tensor {
        let pooled = layer4.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        tch::no_grad(|| pooled.linear(&self.head_weight, Some(&self.head_bias)))
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
        let difference = f64::try_from((found.to_kind(Kind::Float) - expected).abs().max()).unwrap();
        difference / f64::try_from(expected.abs().max()).unwrap()
    }

    #[test]
    fn it_computes_what_the_network_in_training_form_does_whatever_the_size() {
        let _kept = crate::generator::seeded(9);
        for backbone in [Backbone::ResNet18, Backbone::ResNet50] {
            let architecture = Architecture { backbone, classes: 3 };
            let weights = weights(architecture);
            let plain = ResNet::new(architecture, &weights).unwrap();
            for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.1)] {
                let network = InferenceNetwork::new(architecture, &weights, Device::Cpu, precision).unwrap();
                for size in [[1, 3, 64, 96], [2, 3, 64, 96], [3, 3, 50, 33]] {
                    let images = Tensor::rand(size, (Kind::Float, Device::Cpu));
                    let expected = tch::no_grad(|| plain.feature_maps(&images, false));
                    let found = network.feature_maps(&images).unwrap();
                    for (found, expected) in
                        [(&found.layer2, &expected.layer2), (&found.layer3, &expected.layer3), (&found.layer4, &expected.layer4)]
                    {
                        assert_eq!(found.size(), expected.size());
                        let worst = worst_relative(found, expected);
                        assert!(worst < tolerance, "{backbone:?} {precision:?} {size:?}: {worst}");
                    }
                    let logits = tch::no_grad(|| plain.logits(&expected.layer4, 0.0, false));
                    assert!(worst_relative(&network.logits(&found.layer4), &logits) < tolerance);
                }
            }
        }
    }
}
