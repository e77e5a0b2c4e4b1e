//! Captions as words, and the scores of the COCO caption tools (docs/method.md, section 8).
//!
//! * [`tokens`] splits a caption into words, and [`vocabulary`] turns words into numbers.
//! * [`scores`] computes all scores at once, and [`bleu`], [`rouge`], [`cider`] and [`meteor`]
//!   compute one each.

pub mod bleu;
pub mod cider;
pub mod meteor;
mod meteor_alignment;
mod ngrams;
pub mod rouge;
pub mod scores;
pub mod tokens;
pub mod vocabulary;
