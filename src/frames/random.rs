//! Random draws that depend on what they are for, never on how many came before.
//!
//! A stream is named by text ("train/42/epoch 3/sample 17"): resuming a run, or computing samples
//! on several threads in any order, draws the same numbers. ChaCha's numbers are the same on every
//! machine and in every version.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

pub type Stream = ChaCha8Rng;

/// The stream of random numbers with this name.
pub fn stream(name: &str) -> Stream {
    ChaCha8Rng::from_seed(Sha256::digest(name.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_name_always_gives_the_same_numbers() {
        assert_eq!(stream("a").next_u64(), stream("a").next_u64());
        assert_ne!(stream("a").next_u64(), stream("b").next_u64());
    }
}
