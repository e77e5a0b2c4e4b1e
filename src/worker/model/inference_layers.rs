//! The layers of a ResNet in evaluation, channels last in memory and without autograd. How its
//! convolutions normalise is up to them.

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::Architecture;
use tch::{Kind, Tensor};

use super::fused_convolution::{Then, channels_last};
use super::network_shape::{BlockShape, ConvolutionShape, network_shape};
use super::recorded_passes::RecordedPasses;
use super::resnet::FeatureMaps;

/// A convolution with its batch normalisation.
pub trait NormalisedConvolution {
    /// [N, C, H, W] -> [N, C', H', W'], both with their channels last in memory.
    fn forward(&self, input: &Tensor, then: Then) -> Result<Tensor>;
}

struct Block<C> {
    convolutions: Vec<C>,
    downsample: Option<C>,
}

impl<C: NormalisedConvolution> Block<C> {
    fn new(
        shape: &BlockShape,
        convolution: &impl Fn(&ConvolutionShape) -> Result<C>,
    ) -> Result<Self> {
        Ok(Block {
            convolutions: shape.convolutions.iter().map(convolution).collect::<Result<_>>()?,
            downsample: shape.downsample.as_ref().map(convolution).transpose()?,
        })
    }

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

pub struct InferenceLayers<C> {
    stem: C,
    layers: Vec<Vec<Block<C>>>,
    kind: Kind,
    recorded: RecordedPasses,
}

impl<C: NormalisedConvolution> InferenceLayers<C> {
    /// `convolution` makes each of its convolutions. Its maps are of `kind`.
    pub fn new(
        architecture: Architecture,
        kind: Kind,
        convolution: impl Fn(&ConvolutionShape) -> Result<C>,
    ) -> Result<Self> {
        let shape = network_shape(architecture);
        let layer = |blocks: &Vec<BlockShape>| {
            blocks.iter().map(|block| Block::new(block, &convolution)).collect::<Result<_>>()
        };
        Ok(InferenceLayers {
            stem: convolution(&shape.stem)?,
            layers: shape.layers.iter().map(layer).collect::<Result<_>>()?,
            kind,
            recorded: RecordedPasses::default(),
        })
    }

    /// [N, 3, H, W], normalised -> the maps of layers 2 to 4.
    pub fn feature_maps(&self, images: &Tensor) -> Result<FeatureMaps> {
        tch::no_grad(|| {
            let images = channels_last(&images.to_kind(self.kind));
            self.recorded.forward(&images, |images| self.pass(images))
        })
    }

    fn pass(&self, images: &Tensor) -> Result<FeatureMaps> {
        let mut x = self.stem.forward(images, Then::Relu)?.max_pool2d(
            [3, 3],
            [2, 2],
            [1, 1],
            [1, 1],
            false,
        );
        let mut maps = Vec::with_capacity(self.layers.len());
        for blocks in &self.layers {
            // A block without a downsample may write over its input. The first block of a layer has
            // one and leaves the map before alone.
            x = blocks.iter().try_fold(x, |x, block| block.forward(x))?;
            maps.push(x.shallow_clone());
        }
        let mut next =
            || maps.pop().unwrap_or_else(|| unreachable!("network_shape has four layers"));
        let (layer4, layer3, layer2) = (next(), next(), next());
        Ok(FeatureMaps { layer2, layer3, layer4 })
    }
}
