//! The shape of a network: its convolutions, and the name and size of every tensor, as torchvision
//! has them.

use surgcam_pipeline::settings::Architecture;
use surgcam_values::Backbone;

use super::lstm;

/// Blocks of each layer; `bottleneck`: 1x1, 3x3, 1x1 convolutions with four times the channels at
/// the end.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
    pub counts: [usize; 4],
    pub bottleneck: bool,
}

/// He et al. 2016, table 1; `resnet10` has one basic block a layer.
pub fn blocks(backbone: Backbone) -> Blocks {
    let (counts, bottleneck) = match backbone {
        Backbone::ResNet10 => ([1, 1, 1, 1], false),
        Backbone::ResNet18 => ([2, 2, 2, 2], false),
        Backbone::ResNet34 => ([3, 4, 6, 3], false),
        Backbone::ResNet50 => ([3, 4, 6, 3], true),
        Backbone::ResNet101 => ([3, 4, 23, 3], true),
    };
    Blocks { counts, bottleneck }
}

impl Blocks {
    /// Channels that leave a layer, 1 to 4.
    pub fn channels(&self, layer: usize) -> i64 {
        (64 << (layer - 1)) * if self.bottleneck { 4 } else { 1 }
    }
}

/// One convolution with its batch normalisation.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvolutionShape {
    pub convolution: String,
    pub norm: String,
    pub input: i64,
    pub output: i64,
    pub kernel: i64,
    pub stride: i64,
}

/// One residual block: its convolutions in order, and the one beside them where sizes differ.
#[derive(Debug, Clone)]
pub struct BlockShape {
    pub convolutions: Vec<ConvolutionShape>,
    pub downsample: Option<ConvolutionShape>,
}

/// The whole network, as torchvision builds and names it (the stride of a bottleneck in its 3x3
/// convolution).
#[derive(Debug, Clone)]
pub struct NetworkShape {
    pub stem: ConvolutionShape,
    pub layers: Vec<Vec<BlockShape>>,
    pub features: i64,
    /// Whether an LSTM stands between the pooled features and the linear layer.
    pub has_lstm: bool,
    pub classes: i64,
}

pub fn network_shape(architecture: Architecture) -> NetworkShape {
    let blocks = blocks(architecture.backbone);
    let mut input = 64;
    let layers = (1..=4)
        .map(|layer| {
            (0..blocks.counts[layer - 1])
                .map(|block| {
                    let stride = if block == 0 && layer > 1 { 2 } else { 1 };
                    let shape = block_shape(
                        &format!("layer{layer}.{block}"),
                        input,
                        64 << (layer - 1),
                        stride,
                        blocks.bottleneck,
                    );
                    input = blocks.channels(layer);
                    shape
                })
                .collect()
        })
        .collect();
    let stem = ConvolutionShape {
        convolution: "conv1".into(),
        norm: "bn1".into(),
        input: 3,
        output: 64,
        kernel: 7,
        stride: 2,
    };
    NetworkShape {
        stem,
        layers,
        features: blocks.channels(4),
        has_lstm: architecture.clip_length.is_some(),
        classes: architecture.classes as i64,
    }
}

fn block_shape(name: &str, input: i64, width: i64, stride: i64, bottleneck: bool) -> BlockShape {
    let convolution = |number: usize, input, output, kernel, stride| ConvolutionShape {
        convolution: format!("{name}.conv{number}"),
        norm: format!("{name}.bn{number}"),
        input,
        output,
        kernel,
        stride,
    };
    let (convolutions, output) = if bottleneck {
        let output = 4 * width;
        (
            vec![
                convolution(1, input, width, 1, 1),
                convolution(2, width, width, 3, stride),
                convolution(3, width, output, 1, 1),
            ],
            output,
        )
    } else {
        (vec![convolution(1, input, width, 3, stride), convolution(2, width, width, 3, 1)], width)
    };
    let downsample = (stride != 1 || input != output).then(|| ConvolutionShape {
        convolution: format!("{name}.downsample.0"),
        norm: format!("{name}.downsample.1"),
        input,
        output,
        kernel: 1,
        stride,
    });
    BlockShape { convolutions, downsample }
}

impl NetworkShape {
    fn convolutions(&self) -> impl Iterator<Item = &ConvolutionShape> {
        let blocks = self.layers.iter().flatten();
        std::iter::once(&self.stem)
            .chain(blocks.flat_map(|block| block.convolutions.iter().chain(&block.downsample)))
    }

    /// How many numbers the linear layer gets.
    pub fn head_inputs(&self) -> i64 {
        if self.has_lstm { lstm::WIDTH } else { self.features }
    }

    /// Name and shape of every tensor that a network needs.
    pub fn tensors(&self) -> Vec<(String, Vec<i64>)> {
        let mut tensors = Vec::new();
        for shape in self.convolutions() {
            tensors.push((
                format!("{}.weight", shape.convolution),
                vec![shape.output, shape.input, shape.kernel, shape.kernel],
            ));
            for part in ["weight", "bias", "running_mean", "running_var"] {
                tensors.push((format!("{}.{part}", shape.norm), vec![shape.output]));
            }
        }
        if self.has_lstm {
            let gates = lstm::GATES * lstm::WIDTH;
            tensors.push((lstm::INPUT_WEIGHT.into(), vec![gates, self.features]));
            tensors.push((lstm::HIDDEN_WEIGHT.into(), vec![gates, lstm::WIDTH]));
            tensors.push((lstm::INPUT_BIAS.into(), vec![gates]));
            tensors.push((lstm::HIDDEN_BIAS.into(), vec![gates]));
        }
        tensors.push(("fc.weight".into(), vec![self.classes, self.head_inputs()]));
        tensors.push(("fc.bias".into(), vec![self.classes]));
        tensors
    }
}

/// The start of the names of an LSTM's tensors.
pub const LSTM: &str = "lstm.";

/// Whether a tensor belongs to what follows the pooled features.
pub fn is_of_head(name: &str) -> bool {
    name.starts_with("fc.") || name.starts_with(LSTM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::is_trained;

    fn count(backbone: Backbone) -> i64 {
        let tensors = network_shape(Architecture::of_frames(backbone, 1000)).tensors();
        tensors
            .iter()
            .filter(|(name, _)| is_trained(name))
            .map(|(_, size)| size.iter().product::<i64>())
            .sum()
    }

    #[test]
    fn counts_of_trained_weights_are_torchvisions() {
        assert_eq!(count(Backbone::ResNet18), 11_689_512);
        assert_eq!(count(Backbone::ResNet34), 21_797_672);
        assert_eq!(count(Backbone::ResNet50), 25_557_032);
        assert_eq!(count(Backbone::ResNet101), 44_549_160);
    }
}
