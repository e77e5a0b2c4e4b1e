//! The layers that heads are made of. Their tensors are drawn at random or read from a checkpoint.

use std::collections::BTreeMap;

use surgcam_engine::error::{Error, Result};
use surgcam_frames::random::stream;
use tch::{Device, Kind, Tensor};

use super::regions::Spread;
use crate::generator;
use crate::model::weights::{CONSTANT, Weights};

/// How a new tensor is drawn.
#[derive(Debug, Clone, Copy)]
pub enum Initial {
    /// Xavier's uniform distribution, of a [output, input] matrix.
    Xavier,
    /// With this standard deviation around 0.
    Normal(f64),
    Zeros,
    Ones,
}

/// Gives a network its tensors by name. A new tensor depends only on its name and the seed, so the
/// order of layers does not matter.
pub struct TensorSource {
    /// `None`: all tensors must be given.
    seed: Option<u64>,
    given: BTreeMap<String, Tensor>,
    taken: BTreeMap<String, Tensor>,
    device: Device,
}

impl TensorSource {
    pub fn random(seed: u64, device: Device) -> Self {
        TensorSource { seed: Some(seed), given: BTreeMap::new(), taken: BTreeMap::new(), device }
    }

    pub fn of_checkpoint(tensors: Vec<(String, Tensor)>, device: Device) -> Self {
        TensorSource {
            seed: None,
            given: tensors.into_iter().collect(),
            taken: BTreeMap::new(),
            device,
        }
    }

    pub fn take(&mut self, name: &str, size: &[i64], initial: Initial) -> Result<Tensor> {
        let tensor = match (self.given.remove(name), self.seed) {
            (Some(given), _) if given.size() == size => given.to_kind(Kind::Float),
            (Some(given), _) => {
                return Err(Error::failure(format!(
                    "the head's tensor `{name}` has the shape {:?}, {size:?} is needed",
                    given.size()
                ))
                .hint("is this the head that the recipe names?"));
            }
            (None, Some(seed)) => drawn(name, seed, size, initial),
            (None, None) => {
                return Err(Error::failure(format!(
                    "the head's checkpoint has no tensor `{name}`"
                )));
            }
        };
        let tensor = tensor.to_device(self.device);
        self.taken.insert(name.into(), tensor.shallow_clone());
        Ok(tensor)
    }

    /// All tensors that were taken. They are shared with the network.
    pub fn into_parameters(self) -> Weights {
        Weights::new(self.taken)
    }
}

fn drawn(name: &str, seed: u64, size: &[i64], initial: Initial) -> Tensor {
    use rand::Rng;
    let _kept = generator::seeded(stream(&format!("head/{seed}/{name}")).next_u64() as i64);
    let options = (Kind::Float, Device::Cpu);
    match initial {
        Initial::Xavier => {
            let bound = (6.0 / (size[0] + size[1]) as f64).sqrt();
            Tensor::empty(size, options).uniform_(-bound, bound)
        }
        Initial::Normal(deviation) => Tensor::randn(size, options) * deviation,
        Initial::Zeros => Tensor::zeros(size, options),
        Initial::Ones => Tensor::ones(size, options),
    }
}

pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub fn new(source: &mut TensorSource, name: &str, input: i64, output: i64) -> Result<Self> {
        let bias = source.take(&format!("{name}.bias"), &[output], Initial::Zeros)?;
        Ok(Linear { bias: Some(bias), ..Linear::without_bias(source, name, input, output)? })
    }

    pub fn without_bias(
        source: &mut TensorSource,
        name: &str,
        input: i64,
        output: i64,
    ) -> Result<Self> {
        Ok(Linear {
            weight: source.take(&format!("{name}.weight"), &[output, input], Initial::Xavier)?,
            bias: None,
        })
    }

    /// [..., input] -> [..., output]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

/// Subtracts the mean from region features and divides them by their standard deviation. Otherwise
/// a head would learn slowly from modes whose features vary little around a large mean. Both
/// numbers come from the train regions and are not trained.
pub struct Standardization {
    mean: Tensor,
    deviation: Tensor,
}

impl Standardization {
    /// Changes nothing until [`Standardization::set`].
    pub fn new(source: &mut TensorSource, width: i64) -> Result<Self> {
        Ok(Standardization {
            mean: source.take(&format!("{CONSTANT}mean"), &[width], Initial::Zeros)?,
            deviation: source.take(&format!("{CONSTANT}deviation"), &[width], Initial::Ones)?,
        })
    }

    pub fn set(&mut self, spread: &Spread) {
        tch::no_grad(|| {
            self.mean.copy_(&Tensor::from_slice(&spread.mean));
            self.deviation.copy_(&Tensor::from_slice(&spread.deviation));
        });
    }

    /// [..., width] -> the same size.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        (x - &self.mean) / &self.deviation
    }
}

/// Over the last dimension.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub fn new(source: &mut TensorSource, name: &str, width: i64) -> Result<Self> {
        Ok(LayerNorm {
            weight: source.take(&format!("{name}.weight"), &[width], Initial::Ones)?,
            bias: source.take(&format!("{name}.bias"), &[width], Initial::Zeros)?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), 1e-5, false)
    }
}

/// Two linear layers with a ReLU between them. Their output is added to their input and normalised.
pub struct FeedForward {
    inner: Linear,
    outer: Linear,
    norm: LayerNorm,
    dropout: f64,
}

impl FeedForward {
    pub fn new(
        source: &mut TensorSource,
        name: &str,
        width: i64,
        inner: i64,
        dropout: f64,
    ) -> Result<Self> {
        Ok(FeedForward {
            inner: Linear::new(source, &format!("{name}.inner"), width, inner)?,
            outer: Linear::new(source, &format!("{name}.outer"), inner, width)?,
            norm: LayerNorm::new(source, &format!("{name}.norm"), width)?,
            dropout,
        })
    }

    /// [..., width] -> [..., width]
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let inner = self.inner.forward(x).relu().dropout(self.dropout, train);
        self.norm.forward(&(x + self.outer.forward(&inner).dropout(self.dropout, train)))
    }
}
