//! A long short-term memory of one layer (Hochreiter and Schmidhuber, Neural Computation 1997), as
//! PyTorch's `nn.LSTM` computes it, with its names of the weights.
//!
//! It is written in basic operators, because a clip has few frames, evaluation also needs
//! gradients, and the numbers must not depend on the library that a device has for LSTMs.

use surgcam_engine::error::Result;
use tch::{Device, Tensor};

use super::weights::Weights;

/// How many numbers its output has.
pub const WIDTH: i64 = 512;
/// How many gates it has. They lie one behind the other in each tensor: input, forget, cell,
/// output.
pub const GATES: i64 = 4;

pub const INPUT_WEIGHT: &str = "lstm.weight_ih_l0";
pub const HIDDEN_WEIGHT: &str = "lstm.weight_hh_l0";
pub const INPUT_BIAS: &str = "lstm.bias_ih_l0";
pub const HIDDEN_BIAS: &str = "lstm.bias_hh_l0";

pub struct Lstm {
    /// [4 width, inputs]
    input_weight: Tensor,
    /// [4 width, width]
    hidden_weight: Tensor,
    /// [4 width]
    input_bias: Tensor,
    /// [4 width]
    hidden_bias: Tensor,
}

impl Lstm {
    /// Shares its tensors with `weights`.
    pub fn new(weights: &Weights) -> Result<Self> {
        Ok(Lstm {
            input_weight: weights.get(INPUT_WEIGHT)?,
            hidden_weight: weights.get(HIDDEN_WEIGHT)?,
            input_bias: weights.get(INPUT_BIAS)?,
            hidden_bias: weights.get(HIDDEN_BIAS)?,
        })
    }

    pub fn to_device(&self, device: Device) -> Self {
        Lstm {
            input_weight: self.input_weight.to_device(device),
            hidden_weight: self.hidden_weight.to_device(device),
            input_bias: self.input_bias.to_device(device),
            hidden_bias: self.hidden_bias.to_device(device),
        }
    }

    /// Sequences [N, T, inputs] -> its output after their last step [N, width].
    pub fn last_output(&self, inputs: &Tensor) -> Tensor {
        let of_inputs = inputs.linear(&self.input_weight, Some(&self.input_bias));
        let (sequences, steps) = (of_inputs.size()[0], of_inputs.size()[1]);
        let zeros = || Tensor::zeros([sequences, WIDTH], (of_inputs.kind(), of_inputs.device()));
        let (mut hidden, mut cell) = (zeros(), zeros());
        for step in 0..steps {
            let gates = of_inputs.select(1, step)
                + hidden.linear(&self.hidden_weight, Some(&self.hidden_bias));
            let gate = |number: i64| gates.narrow(1, number * WIDTH, WIDTH);
            let (input, forget) = (gate(0).sigmoid(), gate(1).sigmoid());
            let (candidate, output) = (gate(2).tanh(), gate(3).sigmoid());
            cell = forget * cell + input * candidate;
            hidden = output * cell.tanh();
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn it_computes_what_libtorchs_own_does() {
        let _kept = crate::generator::seeded(8);
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Double, Device::Cpu)) * 0.2;
        let lstm = Lstm {
            input_weight: random(&[GATES * WIDTH, 7]),
            hidden_weight: random(&[GATES * WIDTH, WIDTH]),
            input_bias: random(&[GATES * WIDTH]),
            hidden_bias: random(&[GATES * WIDTH]),
        };
        let inputs = random(&[3, 4, 7]);
        let zeros = random(&[1, 3, WIDTH]) * 0.0;
        let parameters =
            [&lstm.input_weight, &lstm.hidden_weight, &lstm.input_bias, &lstm.hidden_bias];
        let (outputs, _, _) =
            inputs.lstm(&[&zeros, &zeros], &parameters, true, 1, 0.0, false, false, true);
        let difference = (lstm.last_output(&inputs) - outputs.select(1, 3)).abs().max();
        assert!(f64::try_from(difference).unwrap() < 1e-12);
    }
}
