//! ROUGE-L (Lin: "ROUGE: A Package for Automatic Evaluation of Summaries", ACL 2004 workshop), as
//! the COCO caption tools compute it.

use super::scores::Judged;

/// The weight of recall against precision.
const BETA: f64 = 1.2;

/// The mean score of some captions.
pub fn rouge_l(judged: &[Judged]) -> f64 {
    judged.iter().map(one).sum::<f64>() / judged.len().max(1) as f64
}

/// The score of one caption, from the highest precision and the highest recall over its references.
fn one(judged: &Judged) -> f64 {
    let (mut precision, mut recall) = (0f64, 0f64);
    for reference in &judged.references {
        let common = longest_common_subsequence(&judged.candidate, reference) as f64;
        precision = precision.max(common / judged.candidate.len().max(1) as f64);
        recall = recall.max(common / reference.len().max(1) as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

fn longest_common_subsequence(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (place, other) in b.iter().enumerate() {
            let above = row[place + 1];
            row[place + 1] = if word == other { diagonal + 1 } else { above.max(row[place]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;

    /// Computed by hand: "a hook tissue" is common to both, so precision is 3/4 and recall is 3/5.
    #[test]
    fn words_count_in_their_order() {
        let judged = Judged {
            candidate: tokenize("a hook near tissue"),
            references: vec![tokenize("a hook is cutting tissue")],
        };
        let (precision, recall) = (0.75, 0.6);
        assert!(
            (rouge_l(&[judged]) - 2.44 * precision * recall / (recall + 1.44 * precision)).abs()
                < 1e-12
        );
    }

    #[test]
    fn nothing_in_common_and_nothing_at_all_are_zero() {
        assert_eq!(rouge_l(&[]), 0.0);
        assert_eq!(rouge_l(&[Judged { candidate: vec![], references: vec![tokenize("a")] }]), 0.0);
    }
}
