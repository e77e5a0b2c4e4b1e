//! Weights that are computed from their names, so that golden values need no weights file (tests/golden/README.md).

use sha2::{Digest, Sha256};

/// A weight from its name, as the golden values were made.
pub fn formula_weight(name: &str, size: &[usize], seed: u64) -> Vec<f32> {
    let state = u64::from_le_bytes(Sha256::digest(name.as_bytes())[..8].try_into().unwrap()) ^ seed;
    let uniform = |i: u64| {
        let mut x = state.wrapping_add(i).wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
        (x >> 40) as f64 / f64::from(1 << 24)
    };
    let (scale, offset) = match size.len() {
        4 => {
            let bound = (6.0 / (size[1] * size[2] * size[3]) as f64).sqrt();
            (2.0 * bound, -bound)
        }
        2 => (0.1, -0.05),
        _ if name.ends_with("running_var") => (0.6, 0.8),
        _ if name.ends_with("running_mean") => (0.2, -0.1),
        _ if name.ends_with("bias") => (0.4, -0.2),
        _ if name.contains(".bn3.") => (0.2, 0.3),
        _ => (0.4, 0.8),
    };
    // (2u - 1) b as scale u + offset: the same but for the last bit of an f64.
    (0..size.iter().product::<usize>() as u64).map(|i| (scale * uniform(i) + offset) as f32).collect()
}
