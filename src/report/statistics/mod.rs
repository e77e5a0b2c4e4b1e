//! What is computed about the uncertainty of scores (docs/method.md, section 9): the spread over
//! seeds, and whether two strategies differ by more than chance on the same frames.
//!
//! All of it is pure: numbers go in and numbers come out.

mod bootstrap;
mod correlation;
mod score;
mod spread;

pub use bootstrap::{Difference, FEWEST_UNITS, RESAMPLES, Units, compare};
pub use score::Score;
pub use spread::{mean, sample_deviation};
