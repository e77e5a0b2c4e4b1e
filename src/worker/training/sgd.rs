//! SGD with momentum and weight decay, as PyTorch's (no dampening, no Nesterov).
//!
//! It is written here because libtorch's C++ optimizer gives no access to its momentum buffers,
//! which a resumed training needs.

use std::collections::BTreeMap;

use surgcam_engine::error::Result;
use tch::{Device, Kind, Tensor, no_grad};

use crate::model::libtorch_operators::{SgdFactors, sgd_step};
use crate::model::weights::{Weights, is_trained};

pub struct Sgd {
    trained: Vec<(String, Tensor)>,
    pub buffers: BTreeMap<String, Tensor>,
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    /// Asks for the gradients of all trained parameters.
    pub fn new(parameters: &Weights, momentum: f64, weight_decay: f64) -> Self {
        let trained = parameters
            .iter()
            .filter(|(name, _)| is_trained(name))
            .map(|(name, tensor)| (name.clone(), tensor.set_requires_grad(true)))
            .collect();
        Sgd { trained, buffers: BTreeMap::new(), momentum, weight_decay }
    }

    /// Continues with the momentum of an interrupted training. Each tensor gets the memory layout
    /// of its parameter.
    pub fn resume(&mut self, mut momentum: BTreeMap<String, Tensor>) {
        let laid_out = |(name, tensor): &(String, Tensor)| {
            let mut buffer = tensor.detach().zeros_like();
            buffer.copy_(&momentum.remove(name)?);
            Some((name.clone(), buffer))
        };
        self.buffers = self.trained.iter().filter_map(laid_out).collect();
    }

    /// Makes one step down the gradient of `loss`. Weights are changed in place, and no memory is
    /// needed but that of the gradients, because going through memory is what a step costs besides
    /// the passes of the network.
    ///
    /// # Errors
    /// Where libtorch refuses it.
    pub fn step(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let parameters: Vec<&Tensor> = self.trained.iter().map(|(_, tensor)| tensor).collect();
        let gradients = Tensor::run_backward(&[loss], &parameters, false, false);
        if loss.device() != Device::Cpu && self.buffers.len() == self.trained.len() {
            return no_grad(|| self.step_together(&gradients, learning_rate));
        }
        no_grad(|| {
            // Filled on the device, because a copy would wait for all work of the device.
            let scalar = |value: f64| Tensor::full([], value, (Kind::Float, loss.device()));
            let (decay, step) = (scalar(self.weight_decay), scalar(-learning_rate));
            for ((name, tensor), mut gradient) in self.trained.iter_mut().zip(gradients) {
                if self.weight_decay > 0.0 {
                    let _ = gradient.addcmul_(tensor, &decay);
                }
                let buffer = match self.buffers.get_mut(name) {
                    Some(buffer) => {
                        let _ = buffer.g_mul_scalar_(self.momentum);
                        let _ = buffer.g_add_(&gradient);
                        buffer
                    }
                    None => self.buffers.entry(name.clone()).or_insert(gradient),
                };
                let _ = tensor.addcmul_(buffer, &step);
            }
            Ok(())
        })
    }

    fn step_together(&mut self, gradients: &[Tensor], learning_rate: f64) -> Result<()> {
        let parameters: Vec<&Tensor> = self.trained.iter().map(|(_, tensor)| tensor).collect();
        let momenta: Vec<&Tensor> =
            self.trained.iter().filter_map(|(name, _)| self.buffers.get(name)).collect();
        let factors =
            SgdFactors { momentum: self.momentum, weight_decay: self.weight_decay, learning_rate };
        sgd_step(&parameters, gradients, &momenta, factors)
    }
}
