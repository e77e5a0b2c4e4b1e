//! ResNets (He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", CVPR 2016), as
//! torchvision has them: the differentiable form, for training. [`super::inference`] runs the same
//! network faster.

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::Architecture;
use tch::{Kind, Tensor};

use super::classifier_head::ClassifierHead;
use super::half_precision::counting_kind;
use super::network_shape::{BlockShape, ConvolutionShape, network_shape};
use super::weights::Weights;

/// PyTorch's defaults.
pub const NORM_EPSILON: f64 = 1e-5;
const NORM_MOMENTUM: f64 = 0.1;

/// A convolution and its batch normalisation.
struct Convolution {
    weight: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    stride: i64,
    padding: i64,
    /// The kind of numbers that it computes in. The weights keep theirs.
    kind: Kind,
}

impl Convolution {
    fn new(shape: &ConvolutionShape, weights: &Weights) -> Result<Self> {
        let norm = |part: &str| weights.get(&format!("{}.{part}", shape.norm));
        let weight = weights.get(&format!("{}.weight", shape.convolution))?;
        Ok(Convolution {
            kind: weight.kind(),
            weight,
            norm_weight: norm("weight")?,
            norm_bias: norm("bias")?,
            running_mean: norm("running_mean")?,
            running_var: norm("running_var")?,
            stride: shape.stride,
            padding: shape.kernel / 2,
        })
    }

    /// [N, C, H, W] -> [N, C', H', W']. `train`: normalise by the batch and move the running
    /// statistics.
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let counting = counting_kind(self.kind, x.device());
        let rounded = |tensor: &Tensor| tensor.to_kind(self.kind).to_kind(counting);
        let convolved = rounded(x).conv2d(
            &rounded(&self.weight),
            None::<&Tensor>,
            [self.stride; 2],
            [self.padding; 2],
            [1, 1],
            1,
        );
        convolved.to_kind(self.kind).batch_norm(
            Some(&self.norm_weight),
            Some(&self.norm_bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            NORM_MOMENTUM,
            NORM_EPSILON,
            true,
        )
    }
}

struct Block {
    convolutions: Vec<Convolution>,
    downsample: Option<Convolution>,
}

impl Block {
    fn new(shape: &BlockShape, weights: &Weights) -> Result<Self> {
        Ok(Block {
            convolutions: shape
                .convolutions
                .iter()
                .map(|shape| Convolution::new(shape, weights))
                .collect::<Result<_>>()?,
            downsample: shape
                .downsample
                .as_ref()
                .map(|shape| Convolution::new(shape, weights))
                .transpose()?,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let mut out = x.shallow_clone();
        for (index, convolution) in self.convolutions.iter().enumerate() {
            out = convolution.forward(&out, train);
            if index + 1 < self.convolutions.len() {
                out = out.relu_();
            }
        }
        out += match &self.downsample {
            Some(downsample) => downsample.forward(x, train),
            None => x.shallow_clone(),
        };
        out.relu_()
    }
}

/// The maps that regions take their features from: each the output of a layer's last block, after
/// its ReLU.
pub struct FeatureMaps {
    /// [N, C2, H/8, W/8]
    pub layer2: Tensor,
    /// [N, C3, H/16, W/16]
    pub layer3: Tensor,
    /// [N, C4, H/32, W/32]; "A" in METHOD 4.
    pub layer4: Tensor,
}

impl FeatureMaps {
    /// Those of one frame of the batch, each [1, C, h, w].
    pub fn of_frame(&self, frame: usize) -> FeatureMaps {
        let of_one = |map: &Tensor| map.narrow(0, frame as i64, 1);
        FeatureMaps {
            layer2: of_one(&self.layer2),
            layer3: of_one(&self.layer3),
            layer4: of_one(&self.layer4),
        }
    }
}

pub struct ResNet {
    stem: Convolution,
    layers: Vec<Vec<Block>>,
    pub head: ClassifierHead,
}

impl ResNet {
    /// Shares its tensors with `weights`.
    pub fn new(architecture: Architecture, weights: &Weights) -> Result<Self> {
        let shape = network_shape(architecture);
        let layer = |blocks: &Vec<BlockShape>| {
            blocks.iter().map(|block| Block::new(block, weights)).collect::<Result<Vec<_>>>()
        };
        Ok(ResNet {
            stem: Convolution::new(&shape.stem, weights)?,
            layers: shape.layers.iter().map(layer).collect::<Result<_>>()?,
            head: ClassifierHead::new(architecture, weights)?,
        })
    }

    /// Mixed precision: convolutions and the steps between them are computed in `kind`, and
    /// gradients have the kind of the weights.
    pub fn counting_in(mut self, kind: Kind) -> Self {
        let blocks = self.layers.iter_mut().flatten();
        let of_block = |block: &'_ mut Block| {
            block
                .convolutions
                .iter_mut()
                .chain(&mut block.downsample)
                .for_each(|part| part.kind = kind)
        };
        blocks.for_each(of_block);
        self.stem.kind = kind;
        self
    }

    /// [N, 3, H, W], normalised -> the maps of layers 2 to 4.
    pub fn feature_maps(&self, images: &Tensor, train: bool) -> FeatureMaps {
        let mut x = self.stem.forward(images, train).relu_().max_pool2d(
            [3, 3],
            [2, 2],
            [1, 1],
            [1, 1],
            false,
        );
        let mut maps = self.layers.iter().map(|blocks| {
            for block in blocks {
                x = block.forward(&x, train);
            }
            x.shallow_clone()
        });
        let mut next =
            || maps.next().unwrap_or_else(|| unreachable!("network_shape has four layers"));
        let (_, layer2, layer3, layer4) = (next(), next(), next(), next());
        FeatureMaps { layer2, layer3, layer4 }
    }

    /// The last layer alone, from layer3's map: for a gradient with respect to that map.
    pub fn layer4_of(&self, layer3: &Tensor) -> Tensor {
        let blocks = self.layers.last().map(Vec::as_slice).unwrap_or_default();
        blocks.iter().fold(layer3.shallow_clone(), |x, block| block.forward(&x, false))
    }

    /// [N, C4, h, w] -> [N, C4]
    pub fn pooled(&self, layer4: &Tensor) -> Tensor {
        layer4.mean_dim([2i64, 3].as_slice(), false, self.head.weight.kind())
    }

    /// The maps of the frames of clips, clip after clip [N x clip length, C4, h, w] -> the logits
    /// of the clips [N, classes]; `dropout` only in training.
    pub fn logits(&self, layer4: &Tensor, dropout: f64, train: bool) -> Tensor {
        let pooled = self.pooled(layer4);
        let clips = pooled.reshape([-1, self.head.clip_length(), pooled.size()[1]]);
        self.head.logits(&clips, dropout, train)
    }
}
