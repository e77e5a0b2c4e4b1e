//! A network's weights, by torchvision's names: all of its tensors, running statistics included.

use std::collections::BTreeMap;

use rand::Rng;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::random::stream;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::Backbone;
use tch::{Device, Kind, Tensor};

use super::fused_convolution::channels_last;
use super::lstm;
use super::wanted::Wanted;
use crate::generator;

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

    /// What the linear layer gets.
    fn head_inputs(&self) -> i64 {
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

/// Before the names of an LSTM's tensors.
pub const LSTM: &str = "lstm.";

/// Whether a tensor belongs to what follows the pooled features.
pub fn is_of_head(name: &str) -> bool {
    name.starts_with("fc.") || name.starts_with(LSTM)
}

/// Before the names of tensors that belong to a network and are never trained.
pub const CONSTANT: &str = "constant.";

/// Running statistics and constants are not trained and do not decay.
pub fn is_trained(name: &str) -> bool {
    !name.starts_with(CONSTANT)
        && !name.ends_with("running_mean")
        && !name.ends_with("running_var")
        && !name.ends_with("num_batches_tracked")
}

/// The tensors of a network by their names.
#[derive(Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Weights { tensors: tensors.into_iter().collect() }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.tensors.iter()
    }

    /// Torchvision's initialisation; each tensor has its own seed, so that no order matters. An
    /// LSTM's weights are Xavier-normal, its biases as PyTorch draws them.
    pub fn random(architecture: Architecture, seed: u64) -> Self {
        let shape = network_shape(architecture);
        let bound = 1.0 / (shape.head_inputs() as f64).sqrt();
        let initial = |name: &str, size: &[i64]| {
            // The stream keeps the name that it had first, for every training begins with what it
            // draws.
            let _kept =
                generator::seeded(stream(&format!("parameters/{seed}/{name}")).next_u64() as i64);
            let options = (Kind::Float, Device::Cpu);
            if name.starts_with(LSTM) && size.len() == 2 {
                // Xavier: by the numbers of outputs and inputs.
                Tensor::randn(size, options) * (2.0 / (size[0] + size[1]) as f64).sqrt()
            } else if is_of_head(name) {
                Tensor::empty(size, options).uniform_(-bound, bound)
            } else if size.len() == 4 {
                // Kaiming, fan out, for ReLU.
                Tensor::randn(size, options) * (2.0 / (size[0] * size[2] * size[3]) as f64).sqrt()
            } else if name.ends_with("bias") || name.ends_with("running_mean") {
                Tensor::zeros(size, options)
            } else {
                Tensor::ones(size, options)
            }
        };
        Weights::new(shape.tensors().into_iter().map(|(name, size)| {
            let tensor = initial(&name, &size);
            (name, tensor)
        }))
    }

    /// These and `others`.
    pub fn with(mut self, others: Weights) -> Self {
        self.tensors.extend(others.tensors);
        self
    }

    /// Those that get a name, by it; tensors are shared.
    pub fn renamed(&self, name: impl Fn(&str) -> Option<String>) -> Self {
        Weights::new(
            self.iter().filter_map(|(old, tensor)| Some((name(old)?, tensor.shallow_clone()))),
        )
    }

    /// The same with the head of `other`: for fine-tuning with new classes.
    pub fn with_head_of(mut self, other: &Weights) -> Self {
        for (name, tensor) in other.iter().filter(|(name, _)| is_of_head(name)) {
            self.tensors.insert(name.clone(), tensor.shallow_clone());
        }
        self
    }

    /// Only what the architecture needs, each with the right shape. `needs_head`: otherwise a head
    /// is neither needed nor kept.
    pub fn checked(self, architecture: Architecture, needs_head: bool) -> Result<Self> {
        let offered = self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let chosen =
            Wanted::of(architecture, needs_head).choose(offered, |tensor| tensor.size())?;
        Ok(Weights::new(
            chosen.into_iter().map(|(name, tensor)| (name, tensor.to_kind(Kind::Float))),
        ))
    }

    pub fn get(&self, name: &str) -> Result<Tensor> {
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| Error::failure(format!("the weights have no tensor `{name}`")))?;
        Ok(tensor.shallow_clone())
    }

    /// Writes values into the tensors that are there: networks and optimizers share them, and rely
    /// on their layout.
    pub fn set<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
    ) -> Result<()> {
        for (name, tensor) in values {
            let mut own = self.get(name)?;
            tch::no_grad(|| own.copy_(tensor));
        }
        Ok(())
    }

    /// The name of a tensor with a value that is not a finite number. With such a value every
    /// prediction would be a number that means nothing.
    pub fn first_not_finite(&self) -> Option<&str> {
        let is_finite = |tensor: &Tensor| {
            !tensor.is_floating_point() || tensor.isfinite().all().int64_value(&[]) == 1
        };
        self.iter().find(|(_, tensor)| !is_finite(tensor)).map(|(name, _)| name.as_str())
    }

    pub fn to_device(&self, device: Device) -> Self {
        Weights::new(self.iter().map(|(name, tensor)| (name.clone(), tensor.to_device(device))))
    }

    /// The same on a device, convolutions laid out with their channels last: what training is
    /// fastest with.
    pub fn for_training(&self, device: Device) -> Self {
        let laid_out =
            |tensor: &Tensor| if tensor.dim() == 4 { channels_last(tensor) } else { tensor.copy() };
        tch::no_grad(|| {
            Weights::new(
                self.iter()
                    .map(|(name, tensor)| (name.clone(), laid_out(&tensor.to_device(device)))),
            )
        })
    }

    /// Tensors of their own, detached from any graph and from this one's.
    pub fn copied(&self) -> Self {
        tch::no_grad(|| {
            Weights::new(self.iter().map(|(name, tensor)| (name.clone(), tensor.detach().copy())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture(backbone: Backbone, classes: usize) -> Architecture {
        Architecture::of_frames(backbone, classes)
    }

    fn count(backbone: Backbone) -> i64 {
        let tensors = network_shape(architecture(backbone, 1000)).tensors();
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

    #[test]
    fn an_lstm_stands_between_the_features_and_the_linear_layer_of_a_temporal_network() {
        let architecture =
            Architecture { clip_length: Some(3), ..architecture(Backbone::ResNet50, 9) };
        let tensors = network_shape(architecture).tensors();
        let of_head: Vec<(&str, &[i64])> = tensors
            .iter()
            .filter(|(name, _)| is_of_head(name))
            .map(|(name, size)| (name.as_str(), size.as_slice()))
            .collect();
        let expected: [(&str, &[i64]); 6] = [
            ("lstm.weight_ih_l0", &[2048, 2048]),
            ("lstm.weight_hh_l0", &[2048, 512]),
            ("lstm.bias_ih_l0", &[2048]),
            ("lstm.bias_hh_l0", &[2048]),
            ("fc.weight", &[9, 512]),
            ("fc.bias", &[9]),
        ];
        assert_eq!(of_head, expected);
        let weights = Weights::random(architecture, 1);
        let spread = f64::try_from(weights.get("lstm.weight_hh_l0").unwrap().std(true)).unwrap();
        assert!((spread / (2.0f64 / (2048.0 + 512.0)).sqrt() - 1.0).abs() < 0.01, "{spread}");
        let largest = f64::try_from(weights.get("lstm.bias_ih_l0").unwrap().abs().max()).unwrap();
        assert!(largest <= 512f64.powf(-0.5) && largest > 0.9 * 512f64.powf(-0.5), "{largest}");
    }

    #[test]
    fn a_temporal_head_and_a_plain_one_are_not_taken_for_each_other() {
        let plain = architecture(Backbone::ResNet18, 3);
        let temporal = Architecture { clip_length: Some(3), ..plain };
        let problem = |from, to| {
            Weights::random(from, 1).checked(to, true).unwrap_err().hint_text().unwrap().to_string()
        };
        assert!(problem(plain, temporal).contains("model.clip_length = 1"));
        assert!(problem(temporal, plain).contains("set model.clip_length"));
        let backbone = Weights::random(temporal, 1).checked(plain, false).unwrap();
        let tuned = backbone.with_head_of(&Weights::random(temporal, 2));
        assert!(tuned.checked(temporal, true).is_ok());
    }

    #[test]
    fn another_class_count_is_told_in_the_users_words() {
        let eleven = Weights::random(architecture(Backbone::ResNet10, 11), 1);
        let error =
            eleven.checked(architecture(Backbone::ResNet10, 9), true).unwrap_err().to_string();
        assert!(
            error.contains("the weights have 11 classes, the recipe's label space has 9"),
            "{error}"
        );
    }

    #[test]
    fn initial_values_depend_on_the_seed_alone() {
        let of = |seed| {
            Weights::random(architecture(Backbone::ResNet10, 3), seed)
                .get("layer2.0.conv1.weight")
                .unwrap()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
