//! BLEU-1 to BLEU-4 of a corpus (Papineni, Roukos, Ward, Zhu: "BLEU: a Method for Automatic
//! Evaluation of Machine Translation", ACL 2002), with the reference of the closest length and the
//! smoothing constants of the COCO caption tools.

use super::ngrams::{LONGEST, counts};
use super::scores::Judged;

/// Smoothing constants, with which a count of 0 does not make a precision 0 or undefined.
const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

pub fn bleu(judged: &[Judged]) -> [f64; LONGEST] {
    let mut right = [0usize; LONGEST];
    let mut said = [0usize; LONGEST];
    let (mut length, mut reference_length) = (0, 0);
    for one in judged {
        length += one.candidate.len();
        reference_length += closest_length(one);
        for order in 1..=LONGEST {
            said[order - 1] += (one.candidate.len() + 1).saturating_sub(order);
            right[order - 1] += clipped(one, order);
        }
    }
    if length == 0 {
        return [0.0; LONGEST];
    }
    let ratio = (length as f64 + TINY) / (reference_length as f64 + SMALL);
    let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
    let mut product = 1.0;
    std::array::from_fn(|place| {
        product *= (right[place] as f64 + TINY) / (said[place] as f64 + SMALL);
        product.powf(1.0 / (place + 1) as f64) * brevity
    })
}

/// The length of the reference whose length is closest. Of two that are as close, it is the
/// shorter.
fn closest_length(one: &Judged) -> usize {
    let lengths = one.references.iter().map(Vec::len);
    lengths.min_by_key(|length| (length.abs_diff(one.candidate.len()), *length)).unwrap_or(0)
}

/// How many runs of the candidate match a reference: each counts at most as often as in the
/// reference that has it most often.
fn clipped(one: &Judged, order: usize) -> usize {
    let references: Vec<_> =
        one.references.iter().map(|reference| counts(reference, order)).collect();
    let most = |run: &[String]| {
        references.iter().map(|counts| counts.get(run).copied().unwrap_or(0)).max().unwrap_or(0)
    };
    counts(&one.candidate, order).into_iter().map(|(run, count)| count.min(most(run))).sum()
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;

    /// Computed by hand: 3 of 4 words, 2 of 3 pairs, 1 of 2 triples and no run of four match, and
    /// the candidate is one word shorter than the reference.
    #[test]
    fn precisions_are_clipped_and_short_candidates_pay() {
        let judged = Judged {
            candidate: tokenize("a hook is it"),
            references: vec![tokenize("a hook is cutting tissue")],
        };
        let brevity = (1.0 - 5.0 / 4.0f64).exp();
        let found = bleu(&[judged]);
        for (found, product) in found
            .iter()
            .zip([0.75, 0.75 * 2.0 / 3.0, 0.75 * 2.0 / 3.0 * 0.5])
            .take(3)
            .enumerate()
            .map(|(n, (found, product))| (found, f64::powf(product, 1.0 / (n + 1) as f64)))
        {
            assert!((found - product * brevity).abs() < 1e-6, "{found}");
        }
        assert!(found[3] < 1e-3);
    }
}
