//! A convolution that ends with its ReLU, or with a residual and a ReLU, for evaluation.
//!
//! On the CPU its weights lie as oneDNN wants them, packed once instead of in every pass, and what
//! follows the convolution is done while its numbers are still in the cache
//! ([`super::libtorch_operators`]). On a GPU cuDNN does the three in one call, for at batch 1 a GPU
//! waits for calls more than for numbers.

use std::cell::{Cell, OnceCell, RefCell};

use surgcam_engine::error::{Error, Result};
use tch::{Device, Kind, Tensor};

use super::half_precision::counting_kind;
use super::libtorch_operators::{first_line, fused_convolution};

/// What comes after the convolution.
pub enum Then {
    Nothing,
    Relu,
    /// The convolution is added to this tensor, which is used up.
    AddToAndRelu(Tensor),
}

pub struct FusedConvolution {
    /// [C', C, k, k]
    weight: Tensor,
    /// On the CPU, the same as oneDNN wants it for inputs that were seen.
    packed: RefCell<Vec<(PackedFor, Tensor)>>,
    /// On a GPU, the weight of [`FusedConvolution::forward_as_product`], once it was needed.
    matrix: OnceCell<Tensor>,
    /// [C']
    bias: Tensor,
    stride: i64,
    padding: i64,
    /// The kind of inputs and outputs. If the device computes in it, the weights have it as well
    /// ([`super::half_precision`]).
    kind: Kind,
    /// Whether cuDNN has refused a fused call: then each step is a call of its own.
    is_refused: Cell<bool>,
}

/// What the packed form depends on: how the loops are blocked for an input. A single picture is a
/// case of its own; beyond that their number changes little.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PackedFor {
    single: bool,
    /// `[height, width]`
    size: [i64; 2],
}

/// Frames and crops, one and several of each: more forms are not kept, for each takes as much
/// memory as the weights.
const PACKED_FORMS: usize = 4;

/// From so many channels, and up to so many frames, a convolution of 3x3 in f32 is a matrix product
/// on a GPU.
const PRODUCT_CHANNELS: i64 = 256;
const PRODUCT_FRAMES: i64 = 8;

impl FusedConvolution {
    /// `weight` [C', C, k, k] and `bias` [C'] are copied to the device in `kind`.
    pub fn new(
        weight: &Tensor,
        bias: &Tensor,
        stride: i64,
        padding: i64,
        device: Device,
        kind: Kind,
    ) -> Self {
        let rounded = |tensor: &Tensor| {
            tensor.to_device(device).to_kind(kind).to_kind(counting_kind(kind, device))
        };
        let (weight, bias) = (rounded(weight), rounded(bias));
        let weight =
            if device == Device::Cpu { weight.contiguous() } else { channels_last(&weight) };
        FusedConvolution {
            weight,
            packed: RefCell::default(),
            matrix: OnceCell::new(),
            bias,
            stride,
            padding,
            kind,
            is_refused: Cell::new(false),
        }
    }

    /// [N, C, H, W] -> [N, C', H', W'], both with their channels last in memory.
    pub fn forward(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        if self.bias.device() != Device::Cpu {
            return Ok(self.forward_on_gpu(input, then));
        }
        if self.weight.kind() == self.kind {
            return self.forward_fused(input, then);
        }
        let widened = |tensor: &Tensor| tensor.to_kind(Kind::Float);
        let then = match then {
            Then::AddToAndRelu(residual) => Then::AddToAndRelu(widened(&residual)),
            other => other,
        };
        Ok(self.forward_fused(&widened(input), then)?.to_kind(self.kind))
    }

    fn forward_on_gpu(&self, input: &Tensor, then: Then) -> Tensor {
        if self.is_better_as_product(input) {
            return self.forward_as_product(input, then);
        }
        if !self.is_refused.get() {
            match self.forward_in_one_call(input, &then) {
                Some(Ok(output)) => return output,
                Some(Err(refusal)) => {
                    tracing::warn!(
                        "cuDNN refuses a fused convolution, which is done in steps: {}",
                        first_line(&refusal.to_string())
                    );
                    self.is_refused.set(true);
                }
                None => {}
            }
        }
        self.forward_in_steps(input, then)
    }

    /// `None` where nothing follows the convolution.
    fn forward_in_one_call(
        &self,
        input: &Tensor,
        then: &Then,
    ) -> Option<std::result::Result<Tensor, tch::TchError>> {
        let (bias, stride, padding) = (Some(&self.bias), [self.stride; 2], [self.padding; 2]);
        match then {
            Then::Nothing => None,
            Then::Relu => {
                Some(input.f_cudnn_convolution_relu(&self.weight, bias, stride, padding, [1, 1], 1))
            }
            Then::AddToAndRelu(residual) => Some(input.f_cudnn_convolution_add_relu(
                &self.weight,
                residual,
                1.0,
                bias,
                stride,
                padding,
                [1, 1],
                1,
            )),
        }
    }

    /// Over few frames a deep layer has few places and long sums, 9 x C each. In f32 cuDNN gives a
    /// sum to one part of the card; a matrix product of cuBLAS cuts sums into pieces, and takes a
    /// third of the time (docs/performance.md).
    fn is_better_as_product(&self, input: &Tensor) -> bool {
        let [frames, channels] = [0, 1].map(|dimension| input.size()[dimension]);
        self.kind == Kind::Float
            && self.weight.size()[2] == 3
            && channels >= PRODUCT_CHANNELS
            && frames <= PRODUCT_FRAMES
    }

    fn forward_as_product(&self, input: &Tensor, then: Then) -> Tensor {
        let size = self.weight.size();
        let (outputs, channels, side) = (size[0], size[1], size[2]);
        // [k k C, C']
        let weight =
            self.matrix.get_or_init(|| self.weight.permute([2, 3, 1, 0]).reshape([-1, outputs]));
        let padded = input
            .permute([0, 2, 3, 1])
            .constant_pad_nd([0, 0, self.padding, self.padding, self.padding, self.padding])
            .contiguous();
        let ([frames, height, width], step) =
            ([0, 1, 2].map(|dimension| padded.size()[dimension]), padded.stride());
        let [rows, columns] = [height, width].map(|length| (length - side) / self.stride + 1);
        // What each place of the output sees, in a row. The rows overlap in memory until they are
        // copied.
        let seen = padded.as_strided(
            [frames, rows, columns, side, side, channels],
            [step[0], step[1] * self.stride, step[2] * self.stride, step[1], step[2], step[3]],
            None,
        );
        let seen = seen.reshape([frames * rows * columns, side * side * channels]);
        let mut output = self
            .bias
            .addmm(&seen, weight)
            .view([frames, rows, columns, outputs])
            .permute([0, 3, 1, 2]);
        match then {
            Then::Nothing => output,
            Then::Relu => output.relu_(),
            Then::AddToAndRelu(residual) => output.g_add_(&residual).relu_(),
        }
    }

    fn forward_in_steps(&self, input: &Tensor, then: Then) -> Tensor {
        let mut output = input.conv2d(
            &self.weight,
            Some(&self.bias),
            [self.stride; 2],
            [self.padding; 2],
            [1, 1],
            1,
        );
        match then {
            Then::Nothing => output,
            Then::Relu => output.relu_(),
            Then::AddToAndRelu(residual) => output.g_add_(&residual).relu_(),
        }
    }

    /// The weights as this input wants them. Any form gives the same result; another's costs
    /// packing in every pass.
    fn packed_for(&self, input: &Tensor) -> Result<Tensor> {
        let size = input.size();
        let wanted = PackedFor { single: size[0] == 1, size: [size[2], size[3]] };
        let mut packed = self.packed.borrow_mut();
        if let Some((_, weight)) = packed.iter().find(|(packed_for, _)| *packed_for == wanted) {
            return Ok(weight.shallow_clone());
        }
        if packed.len() == PACKED_FORMS {
            drop(packed.remove(0));
        }
        let weight = self
            .weight
            .f_to_mkldnn(None)
            .and_then(|weight| {
                weight.f_mkldnn_reorder_conv2d_weight(
                    [self.padding; 2],
                    [self.stride; 2],
                    [1, 1],
                    1,
                    size.as_slice(),
                )
            })
            .map_err(|error| {
                Error::failure(format!(
                    "libtorch cannot pack a convolution: {}",
                    first_line(&error.to_string())
                ))
            })?;
        packed.push((wanted, weight.shallow_clone()));
        Ok(weight)
    }

    fn forward_fused(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        let weight = self.packed_for(input)?;
        let residual = match &then {
            Then::AddToAndRelu(residual) => Some(residual),
            Then::Nothing | Then::Relu => None,
        };
        let relu = matches!(then, Then::Relu);
        fused_convolution(input, &weight, &self.bias, residual, [self.stride, self.padding], relu)
    }
}

/// The same [N, C, H, W], laid out in memory as [N, H, W, C].
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_convolution_as_a_matrix_product_gives_what_it_gives_in_steps() {
        let _kept = crate::generator::seeded(4);
        let random = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        for (stride, frames) in [(1, 1), (2, 3)] {
            let convolution = FusedConvolution::new(
                &random(&[5, 4, 3, 3]),
                &random(&[5]),
                stride,
                1,
                Device::Cpu,
                Kind::Float,
            );
            let input = channels_last(&random(&[frames, 4, 7, 9]));
            let compare = |name: &str, then: &dyn Fn() -> Then| {
                let expected = convolution.forward_in_steps(&input, then());
                let found = convolution.forward_as_product(&input, then());
                assert_eq!(found.size(), expected.size());
                let worst = f64::try_from((found - expected).abs().max()).unwrap();
                assert!(worst < 1e-4, "stride {stride}, {frames} frames, {name}: {worst}");
            };
            compare("alone", &|| Then::Nothing);
            compare("ReLU", &|| Then::Relu);
            let size = convolution.forward_in_steps(&input, Then::Nothing).size();
            compare("residual", &|| {
                Then::AddToAndRelu(channels_last(&Tensor::ones(&size, (Kind::Float, Device::Cpu))))
            });
        }
    }
}
