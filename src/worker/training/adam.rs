//! Adam (Kingma, Ba: "Adam: A Method for Stochastic Optimization", ICLR 2015), as PyTorch's without
//! weight decay.
//!
//! It is written here for the same reason as [`super::sgd`]: a resumed training needs its state.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Tensor, no_grad};

use crate::model::weights::{Weights, is_trained};

#[derive(Debug, Clone, Copy)]
pub struct AdamSettings {
    pub betas: (f64, f64),
    pub epsilon: f64,
}

impl Default for AdamSettings {
    /// PyTorch's.
    fn default() -> Self {
        AdamSettings { betas: (0.9, 0.999), epsilon: 1e-8 }
    }
}

pub struct Adam {
    trained: Vec<(String, Tensor)>,
    /// Running means of the gradient and of its square.
    means: BTreeMap<String, (Tensor, Tensor)>,
    /// The parameters that some loss has depended on. If a later loss does not depend on one of
    /// them, it is still updated by its means, as with a gradient of 0.
    reached: BTreeSet<String>,
    steps: i64,
    settings: AdamSettings,
}

/// Names of the state's tensors.
const MEAN: &str = "mean";
const SQUARE: &str = "square";

impl Adam {
    /// Asks for the gradients of all trained parameters.
    pub fn new(parameters: &Weights, settings: AdamSettings) -> Self {
        let trained: Vec<(String, Tensor)> = parameters
            .iter()
            .filter(|(name, _)| is_trained(name))
            .map(|(name, tensor)| (name.clone(), tensor.set_requires_grad(true)))
            .collect();
        let means = trained.iter().map(|(name, tensor)| {
            (name.clone(), (tensor.detach().zeros_like(), tensor.detach().zeros_like()))
        });
        let means = means.collect();
        Adam { trained, means, reached: BTreeSet::new(), steps: 0, settings }
    }

    pub fn steps(&self) -> i64 {
        self.steps
    }

    /// Everything that the next step depends on besides the parameters.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let of = |(name, (mean, square)): (&String, &(Tensor, Tensor))| {
            [
                (format!("{MEAN}.{name}"), mean.shallow_clone()),
                (format!("{SQUARE}.{name}"), square.shallow_clone()),
            ]
        };
        self.means.iter().flat_map(of).collect()
    }

    pub fn resume(&mut self, steps: i64, state: &BTreeMap<String, Tensor>) {
        self.steps = steps;
        for (name, (mean, square)) in &mut self.means {
            for (own, kind) in [(&mut *mean, MEAN), (&mut *square, SQUARE)] {
                if let Some(kept) = state.get(&format!("{kind}.{name}")) {
                    own.copy_(kept);
                }
            }
            // A parameter whose gradients were all 0 does not move anyway.
            if [&*mean, &*square].iter().any(|tensor| tensor.any().int64_value(&[]) == 1) {
                self.reached.insert(name.clone());
            }
        }
    }

    /// Makes one step down the gradient of `loss`. Each parameter has a learning rate, by its name.
    /// A parameter that no loss has depended on so far is not changed.
    pub fn step(&mut self, loss: &Tensor, learning_rate: impl Fn(&str) -> f64) {
        let parameters: Vec<&Tensor> = self.trained.iter().map(|(_, tensor)| tensor).collect();
        for parameter in &parameters {
            parameter.shallow_clone().zero_grad();
        }
        loss.backward();
        self.steps += 1;
        let (first, second) = self.settings.betas;
        let (unbiased, unbiased_square) =
            (1.0 - first.powi(self.steps as i32), 1.0 - second.powi(self.steps as i32));
        no_grad(|| {
            for (name, tensor) in &mut self.trained {
                let gradient = Some(tensor.grad()).filter(Tensor::defined);
                if gradient.is_some() {
                    self.reached.insert(name.clone());
                }
                let Some((mean, square)) =
                    self.means.get_mut(name).filter(|_| self.reached.contains(name))
                else {
                    continue;
                };
                let _ = mean.g_mul_scalar_(first);
                let _ = square.g_mul_scalar_(second);
                if let Some(gradient) = gradient {
                    let _ = mean.g_add_(&(&gradient * (1.0 - first)));
                    let _ = square.g_add_(&(&gradient * &gradient * (1.0 - second)));
                }
                let scale = (&*square / unbiased_square).sqrt() + self.settings.epsilon;
                let _ = tensor.g_sub_(&(&*mean / scale * (learning_rate(name) / unbiased)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// PyTorch 2: torch.optim.Adam([x = 1.0], lr = 0.1), three steps down x^2.
    #[test]
    fn steps_are_pytorchs() {
        let parameters = Weights::new([("x".to_string(), Tensor::from_slice(&[1f64]))]);
        let mut adam = Adam::new(&parameters, AdamSettings::default());
        let x = parameters.get("x").unwrap();
        let mut found = Vec::new();
        for _ in 0..3 {
            adam.step(&x.square().sum(Kind::Double), |_| 0.1);
            found.push(f64::try_from(x.detach().sum(Kind::Double)).unwrap());
        }
        // By hand: m and v from gradients 2x, both corrected for their start at 0.
        let (mut value, mut m, mut v) = (1f64, 0f64, 0f64);
        for (step, found) in found.iter().enumerate() {
            let gradient = 2.0 * value;
            (m, v) = (0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient * gradient);
            let (m_hat, v_hat) = (
                m / (1.0 - 0.9f64.powi(step as i32 + 1)),
                v / (1.0 - 0.999f64.powi(step as i32 + 1)),
            );
            value -= 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
            assert!((found - value).abs() < 1e-12, "{found} {value}");
        }
    }

    /// The first loss depends on both parameters, the later ones on `x` alone, none on `never`.
    #[test]
    fn a_resumed_optimizer_goes_on_as_it_would_have() {
        let run = |interruption: Option<usize>| {
            let tensor = || Tensor::from_slice(&[1f32, -2.0]);
            let named = ["x", "y", "never"].map(|name| (name.to_string(), tensor()));
            let mut parameters = Weights::new(named);
            let mut adam = Adam::new(&parameters, AdamSettings::default());
            for step in 0..6 {
                if interruption == Some(step) {
                    let (steps, state) = (adam.steps(), adam.state().into_iter().collect());
                    // Another process, where no parameter has a gradient yet.
                    parameters = parameters.copied();
                    adam = Adam::new(&parameters, AdamSettings::default());
                    adam.resume(steps, &state);
                }
                let loss_of = |name: &str| parameters.get(name).unwrap().square().sum(Kind::Float);
                let loss = if step == 0 { loss_of("x") + loss_of("y") } else { loss_of("x") };
                adam.step(&loss, |_| 0.05);
            }
            ["x", "y", "never"].map(|name| {
                let tensor = parameters.get(name).unwrap().detach();
                Vec::<f32>::try_from(tensor.to_device(Device::Cpu)).unwrap()
            })
        };
        let [_, y, never] = run(None);
        assert!((y[0] - 1.0).abs() > 0.06, "its means carry it on: {y:?}");
        assert_eq!(never, [1.0, -2.0]);
        for step in 1..6 {
            assert_eq!(run(Some(step)), run(None), "interrupted before step {step}");
        }
    }
}
