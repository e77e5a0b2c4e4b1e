//! Random numbers that depend on what they are for and not on how many were drawn before.
//!
//! A stream has a text as its name, such as "train/42/epoch 3/sample 17". A run that is resumed, or
//! that computes samples on several threads in any order, therefore draws the same numbers. They
//! are ChaCha's, which are the same on every machine and in every version.

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
