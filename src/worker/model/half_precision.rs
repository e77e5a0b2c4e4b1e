//! Half precision on processors that have no such arithmetic. Values are rounded to half precision
//! and computed in f32, in which half-precision arithmetic also adds up its sums. So the numbers
//! are those of other machines except for the order of sums, but nothing is gained in speed.

use std::sync::OnceLock;

use surgcam_values::Precision;
use tch::{Device, Kind, Tensor};

pub fn kind_of(precision: Precision) -> Kind {
    match precision {
        Precision::F32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
        Precision::F16 => Kind::Half,
    }
}

/// The kind of numbers that the device computes convolutions in, if their inputs and outputs are of
/// `kind`.
pub fn counting_kind(kind: Kind, device: Device) -> Kind {
    static BF16: OnceLock<bool> = OnceLock::new();
    static F16: OnceLock<bool> = OnceLock::new();
    let is_there = match kind {
        _ if device != Device::Cpu => true,
        Kind::BFloat16 => *BF16.get_or_init(|| can_convolve_in(kind)),
        Kind::Half => *F16.get_or_init(|| can_convolve_in(kind)),
        _ => true,
    };
    if is_there { kind } else { Kind::Float }
}

/// Asks oneDNN itself. The other convolutions of libtorch accept any kind, but take tens of times
/// as long.
fn can_convolve_in(kind: Kind) -> bool {
    let weight = Tensor::ones([8, 8, 3, 3], (kind, Device::Cpu));
    let packed = weight.f_to_mkldnn(None).and_then(|weight| {
        let input = [1i64, 8, 8, 8];
        weight.f_mkldnn_reorder_conv2d_weight([1, 1], [1, 1], [1, 1], 1, input.as_slice())
    });
    packed.is_ok()
}

/// The warning for a user whose choice costs time instead of saving it.
pub fn warning(kind: Kind, device: Device) -> Option<String> {
    let is_rounded = counting_kind(kind, device) != kind;
    is_rounded.then(|| {
        let name = if kind == Kind::Half { "f16" } else { "bf16" };
        format!(
            "this processor has no {name} arithmetic: values are rounded to it and counted in \
             f32, which is no faster than f32"
        )
    })
}
