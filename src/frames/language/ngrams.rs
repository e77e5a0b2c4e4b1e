//! Runs of words (n-grams), and how often they occur.

use std::collections::BTreeMap;

/// The longest runs that scores compare, in words.
pub const LONGEST: usize = 4;

pub type Counts<'a> = BTreeMap<&'a [String], usize>;

/// How often each run of `order` words occurs.
pub fn counts(words: &[String], order: usize) -> Counts<'_> {
    let mut counts = Counts::new();
    for run in words.windows(order) {
        *counts.entry(run).or_default() += 1;
    }
    counts
}
