//! CIDEr-D (Vedantam, Zitnick, Parikh: "CIDEr: Consensus-based Image Description Evaluation", CVPR
//! 2015), as the COCO caption tools compute it under the name of CIDEr: with clipped counts, a
//! Gaussian penalty for a different length, and a factor of 10.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::ngrams::{LONGEST, counts};
use super::scores::Judged;

/// The standard deviation of the penalty for a different length, in words.
const SIGMA: f64 = 6.0;
const SCALE: f64 = 10.0;

/// How often runs of words occur, over the references of a set of frames.
pub struct Cider {
    /// In the references of how many frames each run occurs.
    frames_with: HashMap<Vec<String>, usize>,
    /// The logarithm of the number of frames.
    log_frames: f64,
}

/// The runs of a caption by their order, weighted by how rare they are.
struct Weighted<'a> {
    /// Sorted, so that sums are the same to the last bit each time.
    runs: [BTreeMap<&'a [String], f64>; LONGEST],
    norms: [f64; LONGEST],
    /// The number of pairs of words, which is what the COCO tools take as the length.
    length: f64,
}

impl Cider {
    /// Counts the runs in the references of each frame.
    pub fn new(references: &[Vec<Vec<String>>]) -> Self {
        let mut frames_with: HashMap<Vec<String>, usize> = HashMap::new();
        for of_frame in references {
            let runs: HashSet<&[String]> = of_frame
                .iter()
                .flat_map(|reference| (1..=LONGEST).flat_map(move |order| reference.windows(order)))
                .collect();
            runs.into_iter().for_each(|run| *frames_with.entry(run.to_vec()).or_default() += 1);
        }
        Cider { frames_with, log_frames: (references.len().max(1) as f64).ln() }
    }

    /// The mean of the candidate's similarities to the references.
    pub fn score(&self, candidate: &[String], references: &[Vec<String>]) -> f64 {
        let candidate = self.weighted(candidate);
        let total: f64 = references
            .iter()
            .map(|reference| similarity(&candidate, &self.weighted(reference)))
            .sum();
        SCALE * total / references.len().max(1) as f64
    }

    fn weighted<'a>(&self, words: &'a [String]) -> Weighted<'a> {
        let rareness = |run: &[String]| {
            self.log_frames - (self.frames_with.get(run).copied().unwrap_or(0).max(1) as f64).ln()
        };
        let of_order = |order: usize| -> BTreeMap<&'a [String], f64> {
            counts(words, order)
                .into_iter()
                .map(|(run, count)| (run, count as f64 * rareness(run)))
                .collect()
        };
        let runs: [BTreeMap<&[String], f64>; LONGEST] =
            std::array::from_fn(|place| of_order(place + 1));
        let norm = |runs: &BTreeMap<&[String], f64>| {
            runs.values().map(|weight| weight * weight).sum::<f64>().sqrt()
        };
        Weighted {
            norms: std::array::from_fn(|place| norm(&runs[place])),
            runs,
            length: words.len().saturating_sub(1) as f64,
        }
    }
}

/// The mean of the clipped cosines of the orders, times the penalty for a different length.
fn similarity(candidate: &Weighted, reference: &Weighted) -> f64 {
    let difference = candidate.length - reference.length;
    let penalty = (-difference * difference / (2.0 * SIGMA * SIGMA)).exp();
    let of_order = |order: usize| {
        let clipped = |(run, weight): (&&[String], &f64)| {
            let other = reference.runs[order].get(run).copied().unwrap_or(0.0);
            weight.min(other) * other
        };
        // The sum starts with 0, because the sum of no numbers is -0.
        let product: f64 =
            candidate.runs[order].iter().map(clipped).fold(0.0, |sum, part| sum + part);
        let norms = candidate.norms[order] * reference.norms[order];
        if norms > 0.0 { product / norms * penalty } else { product * penalty }
    };
    (0..LONGEST).map(of_order).sum::<f64>() / LONGEST as f64
}

/// The mean score of some captions. Runs are weighted by how rare they are in their references.
pub fn cider(judged: &[Judged]) -> f64 {
    let references: Vec<Vec<Vec<String>>> =
        judged.iter().map(|one| one.references.clone()).collect();
    let cider = Cider::new(&references);
    judged.iter().map(|one| cider.score(&one.candidate, &one.references)).sum::<f64>()
        / judged.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;

    /// Computed by hand: there are two frames, so a run in one of them weighs ln 2 and a run in
    /// both weighs 0. "hook" agrees and "cuts" does not. The cosine is 1/2 for single words, and
    /// 1/2 for pairs, of which "a hook" agrees. Longer runs do not agree.
    #[test]
    fn rare_words_count_and_common_ones_do_not() {
        let own = vec![tokenize("a hook rests")];
        let cider = Cider::new(&[own.clone(), vec![tokenize("a suction works")]]);
        let expected = 10.0 * (0.5 + 0.5) / 4.0;
        assert!((cider.score(&tokenize("a hook cuts"), &own) - expected).abs() < 1e-9);
        assert_eq!(cider.score(&tokenize("a"), &own), 0.0);
    }
}
