//! Weights that are computed from their names and a seed, so that tests against golden values need
//! no file of weights (tests/golden/README.md). `tests/golden/formula.py` computes the same.

use sha2::{Digest, Sha256};

/// Numbers in [0, 1) by their place. They depend on the name and the seed and on nothing else.
pub fn uniform(name: &str, seed: u64) -> impl Fn(u64) -> f64 + use<> {
    let digest = Sha256::digest(name.as_bytes());
    let start = digest.iter().take(8).rev().fold(0u64, |state, &byte| state << 8 | u64::from(byte));
    let state = start ^ seed;
    move |place| {
        let mut x = state.wrapping_add(place).wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
        (x >> 40) as f64 / f64::from(1 << 24)
    }
}

/// The values of a weight of this size, in C order, as the golden values were made.
pub fn formula_weight(name: &str, size: &[usize], seed: u64) -> Vec<f32> {
    let (scale, offset) = match size.len() {
        4 => {
            let bound = (6.0 / (size[1] * size[2] * size[3]) as f64).sqrt();
            (2.0 * bound, -bound)
        }
        2 => (0.1, -0.05),
        _ if name.ends_with("running_var") => (0.6, 0.8),
        _ if name.ends_with("running_mean") => (0.2, -0.1),
        _ if name.ends_with("bias") || name.contains(".bias_") => (0.4, -0.2),
        _ if name.contains(".bn3.") => (0.2, 0.3),
        _ => (0.4, 0.8),
    };
    let uniform = uniform(name, seed);
    // For a convolution this is (2u - 1) * bound, except for the last bit of an f64.
    (0..size.iter().product::<usize>() as u64)
        .map(|place| (scale * uniform(place) + offset) as f32)
        .collect()
}
