//! A convolution that ends with its ReLU, or with a residual and a ReLU, for evaluation.
//!
//! On the CPU its weights lie as oneDNN wants them, packed once instead of in every pass, and what follows the convolution is
//! done while its numbers are still in the cache (`fused_convolution.cpp`). On a GPU the three are steps of their own.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};

use surgcam::error::{Error, Result};
use tch::{Device, Kind, Tensor};

use super::half_precision::counting_kind;

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
    /// [C']
    bias: Tensor,
    stride: i64,
    padding: i64,
    /// Of inputs and outputs; the weights' own where the device counts in it ([`super::half_precision`]).
    kind: Kind,
}

/// What the packed form depends on: how the loops are blocked for an input. A single picture is a case of its own; beyond that
/// their number changes little.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PackedFor {
    single: bool,
    /// `[height, width]`
    size: [i64; 2],
}

/// Frames and crops, one and several of each: more forms are not kept, for each takes as much memory as the weights.
const PACKED_FORMS: usize = 4;

unsafe extern "C" {
    fn surgcam_fused_convolution(
        input: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        residual: *const c_void,
        stride: i64,
        padding: i64,
        relu: bool,
        problem: *mut c_char,
        problem_size: usize,
    ) -> *mut c_void;
}

impl FusedConvolution {
    /// `weight` [C', C, k, k] and `bias` [C'] are copied to the device in `kind`.
    pub fn new(weight: &Tensor, bias: &Tensor, stride: i64, padding: i64, device: Device, kind: Kind) -> Self {
        let rounded = |tensor: &Tensor| tensor.to_device(device).to_kind(kind).to_kind(counting_kind(kind, device));
        let (weight, bias) = (rounded(weight), rounded(bias));
        let weight = if device == Device::Cpu { weight.contiguous() } else { channels_last(&weight) };
        FusedConvolution { weight, packed: RefCell::default(), bias, stride, padding, kind }
    }

    /// [N, C, H, W] -> [N, C', H', W'], both with their channels last in memory.
    pub fn forward(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        if self.bias.device() != Device::Cpu {
            return Ok(self.forward_in_steps(input, then));
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

    fn forward_in_steps(&self, input: &Tensor, then: Then) -> Tensor {
        let mut output = input.conv2d(&self.weight, Some(&self.bias), [self.stride; 2], [self.padding; 2], [1, 1], 1);
        match then {
            Then::Nothing => output,
            Then::Relu => output.relu_(),
            Then::AddToAndRelu(residual) => output.g_add_(&residual).relu_(),
        }
    }

    /// The weights as this input wants them. Any form gives the same result; another's costs packing in every pass.
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
            .and_then(|weight| weight.f_mkldnn_reorder_conv2d_weight([self.padding; 2], [self.stride; 2], [1, 1], 1, size.as_slice()))
            .map_err(|error| Error::failure(format!("libtorch cannot pack a convolution: {}", first_line(&error.to_string()))))?;
        packed.push((wanted, weight.shallow_clone()));
        Ok(weight)
    }

    fn forward_fused(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        let weight = self.packed_for(input)?;
        let residual = match &then {
            Then::AddToAndRelu(residual) => residual.as_ptr().cast(),
            Then::Nothing | Then::Relu => std::ptr::null(),
        };
        let mut problem: [c_char; 512] = [0; 512];
        // SAFETY: the pointers are those of tensors that outlive the call, which keeps none of them; `problem` has the size told.
        let output = unsafe {
            surgcam_fused_convolution(
                input.as_ptr().cast(),
                weight.as_ptr().cast(),
                self.bias.as_ptr().cast(),
                residual,
                self.stride,
                self.padding,
                matches!(then, Then::Relu),
                problem.as_mut_ptr(),
                problem.len(),
            )
        };
        if output.is_null() {
            // SAFETY: it is filled up to a 0, which the callee writes, or which was there.
            let problem = unsafe { CStr::from_ptr(problem.as_ptr()) }.to_string_lossy();
            return Err(Error::failure(format!("libtorch cannot do a convolution: {}", first_line(&problem))));
        }
        // SAFETY: a new tensor that belongs to us alone.
        Ok(unsafe { Tensor::from_ptr(output.cast()) })
    }
}

/// Without libtorch's own stack.
fn first_line(problem: &str) -> &str {
    problem.lines().next().unwrap_or_default()
}

/// The same [N, C, H, W], laid out in memory as [N, H, W, C].
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
