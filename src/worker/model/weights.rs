//! A network's weights, by torchvision's names: all of its tensors, running statistics included.

use std::collections::BTreeMap;

use rand::Rng;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::random::stream;
use surgcam_pipeline::settings::Architecture;
use tch::{Device, Kind, Tensor};

use super::fused_convolution::channels_last;
use super::network_shape::{LSTM, is_of_head, network_shape};
use super::wanted::Wanted;
use crate::generator;

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

    /// Only the tensors that the architecture needs, each with the right shape. Without
    /// `needs_head`, a head is neither needed nor kept.
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

    /// Writes values into the existing tensors, because networks and optimizers share them and rely
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

    /// The name of a tensor with a value that is not a finite number. Such a value makes every
    /// prediction meaningless.
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
    use surgcam_values::Backbone;

    fn architecture(backbone: Backbone, classes: usize) -> Architecture {
        Architecture::of_frames(backbone, classes)
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
        let share = largest * 512f64.sqrt();
        assert!(share > 0.9 && share < 1.0001, "{largest}");
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
