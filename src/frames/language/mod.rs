//! Captions as words, and how well they are told: the scores of the COCO caption tools.
//!
//! * [`tokens`]: a caption's words. [`vocabulary`]: words as numbers.
//! * [`scores`]: all scores at once. [`bleu`], [`rouge`], [`cider`], [`meteor`]: each by itself.

pub mod bleu;
pub mod cider;
pub mod meteor;
mod meteor_alignment;
mod ngrams;
pub mod rouge;
pub mod scores;
pub mod tokens;
pub mod vocabulary;
