//! METEOR 1.5, English (Denkowski, Lavie: "Meteor Universal: Language Specific Translation
//! Evaluation for Any Target Language", WMT 2014), with its exact and stem matches.
//!
//! The full program also matches synonyms of WordNet and paraphrases from a table. This one does
//! not: on captions with a small vocabulary of instruments and tissue, both give the same scores.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::meteor_alignment::{Match, align, chunks};
use super::scores::Judged;

/// The tuned parameters of version 1.5 for English: the weight of recall against precision (alpha),
/// the shape (beta) and the weight (gamma) of the penalty for chunks, and the weight of content
/// words against function words (delta).
const ALPHA: f64 = 0.85;
const BETA: f64 = 0.2;
const GAMMA: f64 = 0.6;
const DELTA: f64 = 0.75;
/// The weight of a match between words that only have the same stem.
const STEM_WEIGHT: f64 = 0.6;

/// Function words: frequent English words that say little. The list of the full program has the
/// words that are more frequent than one in a thousand in a large corpus. This list was made for
/// this project, so a word near that frequency may be in one list and not in the other.
const FUNCTION_WORDS: &str = "\
    a about after all also an and any are as at back be because been before being but by can \
    could day did do does down even first for from get go good had has have he her here him his \
    how i if in into is it its just know last like made make many may me more most much my new no \
    not now of on one only or other our out over own people said same say see she should so some \
    still such take than that the their them then there these they this those through time to two \
    under up us very was way we well were what when where which while who will with work would \
    year years you your 's n't";

static IS_FUNCTION_WORD: LazyLock<HashSet<&str>> =
    LazyLock::new(|| FUNCTION_WORDS.split_whitespace().collect());

fn weight(word: &str) -> f64 {
    if IS_FUNCTION_WORD.contains(word) { 1.0 - DELTA } else { DELTA }
}

/// What a candidate and a reference have in common. The statistics of several captions are added.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Statistics {
    /// The sum of the weights of all words, which differ for content and function words.
    candidate_weight: f64,
    reference_weight: f64,
    /// The same for the matched words, each also weighted by its kind of match.
    candidate_matched: f64,
    reference_matched: f64,
    matches: usize,
    chunks: usize,
}

impl Statistics {
    fn of(candidate: &[String], reference: &[String]) -> Self {
        let alignment = align(candidate, reference);
        let total = |words: &[String]| words.iter().map(|word| weight(word)).sum();
        let mut statistics = Statistics {
            candidate_weight: total(candidate),
            reference_weight: total(reference),
            chunks: chunks(&alignment),
            ..Statistics::default()
        };
        for (word, partner) in candidate.iter().zip(&alignment) {
            let Some((place, kind)) = partner else { continue };
            let worth = if *kind == Match::Exact { 1.0 } else { STEM_WEIGHT };
            statistics.matches += 1;
            statistics.candidate_matched += worth * weight(word);
            statistics.reference_matched += worth * weight(&reference[*place]);
        }
        let is_whole = statistics.matches == candidate.len()
            && statistics.matches == reference.len()
            && statistics.chunks == 1;
        // The captions are the same, so there is no penalty.
        if is_whole {
            statistics.chunks = 0;
        }
        statistics
    }

    fn plus(self, other: Statistics) -> Statistics {
        Statistics {
            candidate_weight: self.candidate_weight + other.candidate_weight,
            reference_weight: self.reference_weight + other.reference_weight,
            candidate_matched: self.candidate_matched + other.candidate_matched,
            reference_matched: self.reference_matched + other.reference_matched,
            matches: self.matches + other.matches,
            chunks: self.chunks + other.chunks,
        }
    }

    fn score(&self) -> f64 {
        if self.candidate_matched == 0.0 || self.reference_matched == 0.0 {
            return 0.0;
        }
        let precision = self.candidate_matched / self.candidate_weight;
        let recall = self.reference_matched / self.reference_weight;
        let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
        let fragmentation = self.chunks as f64 / self.matches as f64;
        mean * (1.0 - GAMMA * fragmentation.powf(BETA))
    }
}

/// The statistics with the reference that gives the highest score.
fn best(judged: &Judged) -> Statistics {
    let all =
        judged.references.iter().map(|reference| Statistics::of(&judged.candidate, reference));
    all.max_by(|a, b| a.score().total_cmp(&b.score())).unwrap_or_default()
}

/// The score of a corpus, from the sum of the statistics of its captions.
pub fn meteor(judged: &[Judged]) -> f64 {
    judged.iter().map(best).fold(Statistics::default(), Statistics::plus).score()
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;

    fn judged(candidate: &str, references: &[&str]) -> Judged {
        Judged {
            candidate: tokenize(candidate),
            references: references.iter().map(|reference| tokenize(reference)).collect(),
        }
    }

    /// Computed by hand: "a" and "is" weigh 1/4, and "hook", "cuts", "cutting" and "tissue" 3/4.
    /// "cuts" matches "cutting" by its stem.
    #[test]
    fn content_weighs_more_than_function_and_stems_less_than_words() {
        let found = meteor(&[judged("a hook cuts tissue", &["a hook is cutting tissue"])]);
        let matched = 0.25 + 0.75 + 0.6 * 0.75 + 0.75;
        let (precision, recall) = (matched / 2.5, matched / 2.75);
        let mean = precision * recall / (0.85 * precision + 0.15 * recall);
        let expected = mean * (1.0 - 0.6 * (2.0 / 4.0f64).powf(0.2));
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn the_best_reference_counts() {
        let found = meteor(&[judged("a hook is idle", &["nothing of it", "a hook is idle"])]);
        assert!((found - 1.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_in_common_is_zero() {
        assert_eq!(meteor(&[judged("a", &["the hook"]), judged("", &[""])]), 0.0);
    }
}
