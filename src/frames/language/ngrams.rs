//! Runs of words and how often they occur.

use std::collections::BTreeMap;

/// Runs of 1 to `LONGEST` words are compared.
pub const LONGEST: usize = 4;

pub type Counts<'a> = BTreeMap<&'a [String], usize>;

/// The runs of `order` words.
pub fn counts(words: &[String], order: usize) -> Counts<'_> {
    let mut counts = Counts::new();
    for run in words.windows(order) {
        *counts.entry(run).or_default() += 1;
    }
    counts
}
