//! SGD with momentum and weight decay, as PyTorch's (no dampening, no Nesterov).
//!
//! Our own because libtorch's C++ optimizer cannot hand out its momentum buffers, which a resumed training needs.

use std::collections::BTreeMap;

use tch::{Device, Tensor, no_grad};

use crate::model::parameters::{Parameters, is_trained};

pub struct Sgd {
    trained: Vec<(String, Tensor)>,
    pub buffers: BTreeMap<String, Tensor>,
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    /// Asks for the gradients of all trained parameters.
    pub fn new(parameters: &Parameters, momentum: f64, weight_decay: f64) -> Self {
        let trained = parameters
            .iter()
            .filter(|(name, _)| is_trained(name))
            .map(|(name, tensor)| (name.clone(), tensor.set_requires_grad(true)))
            .collect();
        Sgd { trained, buffers: BTreeMap::new(), momentum, weight_decay }
    }

    /// Goes on with the momentum of an interrupted training.
    pub fn resume(&mut self, momentum: Vec<(String, Tensor)>, device: Device) {
        self.buffers = momentum.into_iter().map(|(name, tensor)| (name, tensor.to_device(device))).collect();
    }

    pub fn zero_gradients(&mut self) {
        for (_, tensor) in &mut self.trained {
            tensor.zero_grad();
        }
    }

    pub fn step(&mut self, learning_rate: f64) {
        no_grad(|| {
            for (name, tensor) in &mut self.trained {
                let gradient = tensor.grad();
                if !gradient.defined() {
                    continue;
                }
                let gradient = if self.weight_decay > 0.0 { gradient + &*tensor * self.weight_decay } else { gradient };
                let update = match self.buffers.get_mut(name) {
                    Some(buffer) => {
                        let _ = buffer.g_mul_scalar_(self.momentum);
                        let _ = buffer.g_add_(&gradient);
                        buffer.shallow_clone()
                    }
                    None => {
                        self.buffers.insert(name.clone(), gradient.copy());
                        gradient
                    }
                };
                let _ = tensor.g_add_(&(update * -learning_rate));
            }
        });
    }
}
