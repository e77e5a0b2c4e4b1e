//! A convolution that ends with its ReLU, or with a residual and a ReLU, for evaluation.
//!
//! On the CPU its weights lie as oneDNN wants them, packed once instead of in every pass, and what follows the convolution is
//! done while its numbers are still in the cache (`fused_convolution.cpp`). On a GPU the three are steps of their own.

use std::ffi::{CStr, c_char, c_void};

use surgcam::error::{Error, Result};
use tch::{Device, Kind, Tensor};

/// What comes after the convolution.
pub enum Then {
    Nothing,
    Relu,
    /// The convolution is added to this tensor, which is used up.
    AddToAndRelu(Tensor),
}

pub struct FusedConvolution {
    /// [C', C, k, k]; packed on the CPU.
    weight: Tensor,
    /// [C']
    bias: Tensor,
    stride: i64,
    padding: i64,
}

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
    /// `weight` [C', C, k, k] and `bias` [C'] are copied to the device in `kind`. `input`: [N, C, H, W] that it will mostly see.
    pub fn new(weight: &Tensor, bias: &Tensor, stride: i64, padding: i64, input: [i64; 4], device: Device, kind: Kind) -> Self {
        let (weight, bias) = (weight.to_device(device).to_kind(kind), bias.to_device(device).to_kind(kind));
        let weight = if device == Device::Cpu {
            weight.contiguous().to_mkldnn().mkldnn_reorder_conv2d_weight([padding; 2], [stride; 2], [1, 1], 1, input.as_slice())
        } else {
            channels_last(&weight)
        };
        FusedConvolution { weight, bias, stride, padding }
    }

    /// [N, C, H, W] -> [N, C', H', W'], both with their channels last in memory.
    pub fn forward(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        if self.bias.device() == Device::Cpu { self.forward_fused(input, then) } else { Ok(self.forward_in_steps(input, then)) }
    }

    fn forward_in_steps(&self, input: &Tensor, then: Then) -> Tensor {
        let mut output = input.conv2d(&self.weight, Some(&self.bias), [self.stride; 2], [self.padding; 2], [1, 1], 1);
        match then {
            Then::Nothing => output,
            Then::Relu => output.relu_(),
            Then::AddToAndRelu(residual) => output.g_add_(&residual).relu_(),
        }
    }

    fn forward_fused(&self, input: &Tensor, then: Then) -> Result<Tensor> {
        let residual = match &then {
            Then::AddToAndRelu(residual) => residual.as_ptr().cast(),
            Then::Nothing | Then::Relu => std::ptr::null(),
        };
        let mut problem: [c_char; 512] = [0; 512];
        // SAFETY: the pointers are those of tensors that outlive the call, which keeps none of them; `problem` has the size told.
        let output = unsafe {
            surgcam_fused_convolution(
                input.as_ptr().cast(),
                self.weight.as_ptr().cast(),
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
            let first = problem.lines().next().unwrap_or_default();
            return Err(Error::failure(format!("libtorch cannot do a convolution: {first}")));
        }
        // SAFETY: a new tensor that belongs to us alone.
        Ok(unsafe { Tensor::from_ptr(output.cast()) })
    }
}

/// The same [N, C, H, W], laid out in memory as [N, H, W, C].
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
