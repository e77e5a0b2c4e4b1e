//! What of libtorch tch does not wrap (`libtorch_operators.cpp`).

use std::ffi::{CStr, c_char, c_int, c_void};

use surgcam_engine::error::{Error, Result};
use tch::{Device, Kind, Tensor};

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
    fn surgcam_sgd_step(
        parameters: *const *mut c_void,
        gradients: *const *mut c_void,
        momenta: *const *mut c_void,
        count: usize,
        factor: f64,
        decay: f64,
        rate: f64,
        problem: *mut c_char,
        problem_size: usize,
    ) -> bool;
    fn surgcam_pinned(size: *const i64, dimensions: usize, kind: c_int) -> *mut c_void;
    fn surgcam_libtorch_description(description: *mut c_char, size: usize);
}

/// A convolution on the CPU, `weight` packed as oneDNN wants it. With a residual: relu(convolution
/// + residual), in its place.
///
/// # Errors
/// Where libtorch refuses it.
pub fn fused_convolution(
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    residual: Option<&Tensor>,
    [stride, padding]: [i64; 2],
    relu: bool,
) -> Result<Tensor> {
    let mut problem = Problem::none();
    // SAFETY: the pointers are those of tensors that outlive the call, which keeps none of them;
    // `problem` has the size told.
    let output = unsafe {
        surgcam_fused_convolution(
            input.as_ptr().cast(),
            weight.as_ptr().cast(),
            bias.as_ptr().cast(),
            residual.map_or(std::ptr::null(), |residual| residual.as_ptr().cast()),
            stride,
            padding,
            relu,
            problem.0.as_mut_ptr(),
            problem.0.len(),
        )
    };
    if output.is_null() {
        return Err(problem.error("libtorch cannot do a convolution"));
    }
    // SAFETY: a new tensor that belongs to us alone.
    Ok(unsafe { Tensor::from_ptr(output.cast()) })
}

/// What [`sgd_step`] counts with.
#[derive(Debug, Clone, Copy)]
pub struct SgdFactors {
    pub momentum: f64,
    pub weight_decay: f64,
    pub learning_rate: f64,
}

/// One step of SGD with momentum on all parameters together: on a GPU a call for each of them costs
/// more than its numbers. A parameter, its gradient (used up) and its momentum have the same place
/// in the lists.
///
/// # Errors
/// Where libtorch refuses it.
pub fn sgd_step(
    parameters: &[&Tensor],
    gradients: &[Tensor],
    momenta: &[&Tensor],
    factors: SgdFactors,
) -> Result<()> {
    let count = parameters.len();
    assert!(gradients.len() == count && momenta.len() == count, "lists of the same length");
    let pointers = |tensors: &mut dyn Iterator<Item = &Tensor>| -> Vec<*mut c_void> {
        tensors.map(|tensor| tensor.as_ptr().cast_mut().cast()).collect()
    };
    let (of_parameters, of_gradients) =
        (pointers(&mut parameters.iter().copied()), pointers(&mut gradients.iter()));
    let of_momenta = pointers(&mut momenta.iter().copied());
    let mut problem = Problem::none();
    // SAFETY: the lists are of the length told, of tensors that outlive the call, which keeps none
    // of them; `problem` has the size told.
    let is_done = unsafe {
        surgcam_sgd_step(
            of_parameters.as_ptr(),
            of_gradients.as_ptr(),
            of_momenta.as_ptr(),
            count,
            factors.momentum,
            factors.weight_decay,
            factors.learning_rate,
            problem.0.as_mut_ptr(),
            problem.0.len(),
        )
    };
    if is_done { Ok(()) } else { Err(problem.error("libtorch cannot make a step")) }
}

/// Why C++ could not do something, ended by a 0. The callee gets its address and its length.
pub struct Problem(pub [c_char; 512]);

impl Problem {
    pub fn none() -> Self {
        Problem([0; 512])
    }

    pub fn error(&self, what: &str) -> Error {
        // SAFETY: it is filled up to a 0, which the callee writes, or which was there.
        let problem = unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_string_lossy();
        Error::failure(format!("{what}: {}", first_line(&problem)))
    }
}

/// Without libtorch's own stack.
pub fn first_line(problem: &str) -> &str {
    problem.lines().next().unwrap_or_default()
}

/// What pinned tensors hold, with libtorch's own number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinnedKind {
    Uint8 = 0,
    Float = 6,
}

/// A tensor on the CPU whose values are not set yet, in memory that a GPU reads and writes by
/// itself, at its full speed and while the CPU goes on; in plain memory where there is no GPU.
pub fn pinned(size: &[i64], kind: PinnedKind) -> Tensor {
    // SAFETY: it reads as many sides as told, and keeps none of them.
    let tensor = unsafe { surgcam_pinned(size.as_ptr(), size.len(), kind as c_int) };
    if tensor.is_null() {
        let kind = if kind == PinnedKind::Uint8 { Kind::Uint8 } else { Kind::Float };
        return Tensor::empty(size, (kind, Device::Cpu));
    }
    // SAFETY: a new tensor that belongs to us alone.
    unsafe { Tensor::from_ptr(tensor.cast()) }
}

/// The version of the libtorch that this process runs with, for example `2.11.0`; empty where it
/// does not say.
pub fn libtorch_version() -> String {
    let mut description: [c_char; 8192] = [0; 8192];
    // SAFETY: it writes no more than the size told, and a 0 at the end.
    let description = unsafe {
        surgcam_libtorch_description(description.as_mut_ptr(), description.len());
        CStr::from_ptr(description.as_ptr())
    };
    let description = description.to_string_lossy();
    let version = description.split("TORCH_VERSION=").nth(1).unwrap_or_default();
    version.split([',', ' ', '\n']).next().unwrap_or_default().to_string()
}
