//! The alignment that METEOR scores: which word of the candidate is matched to which word of the
//! reference.
//!
//! Each word is matched at most once. The best alignment has the most matches, then the fewest
//! chunks (runs of matches that are next to each other in both captions), then the shortest
//! distances. It is found by a beam search, which is exact for captions with this width.

use rust_stemmers::{Algorithm, Stemmer};

/// In which way two words match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    Exact,
    Stem,
}

/// For each word of the candidate its partner in the reference, if it has one.
pub type Alignment = Vec<Option<(usize, Match)>>;

/// The width of the beam: how many unfinished alignments are kept.
const BEAM: usize = 60;

#[derive(Debug, Clone)]
struct Partial {
    partners: Alignment,
    used: Vec<bool>,
    matches: usize,
    exact: usize,
    chunks: usize,
    distance: usize,
}

impl Partial {
    /// How good the alignment is. The lowest rank is the best.
    fn rank(&self) -> impl Ord + use<> {
        (std::cmp::Reverse(self.matches), self.chunks, self.distance, std::cmp::Reverse(self.exact))
    }

    /// The alignment with one more word, which is matched or left alone.
    fn with(&self, partner: Option<(usize, Match)>) -> Partial {
        let mut longer = self.clone();
        let place = self.partners.len();
        if let Some((reference, kind)) = partner {
            let goes_on = self
                .partners
                .last()
                .is_some_and(|last| last.is_some_and(|(before, _)| before + 1 == reference));
            longer.chunks += usize::from(!goes_on);
            longer.matches += 1;
            longer.exact += usize::from(kind == Match::Exact);
            longer.distance += place.abs_diff(reference);
            longer.used[reference] = true;
        }
        longer.partners.push(partner);
        longer
    }
}

pub fn align(candidate: &[String], reference: &[String]) -> Alignment {
    let stemmer = Stemmer::create(Algorithm::English);
    let stems = |words: &[String]| -> Vec<String> {
        words.iter().map(|word| stemmer.stem(word).into_owned()).collect()
    };
    let (candidate_stems, reference_stems) = (stems(candidate), stems(reference));
    let kind = |word: usize, other: usize| {
        if candidate[word] == reference[other] {
            Some(Match::Exact)
        } else {
            (candidate_stems[word] == reference_stems[other]).then_some(Match::Stem)
        }
    };
    let none = Partial {
        partners: Vec::new(),
        used: vec![false; reference.len()],
        matches: 0,
        exact: 0,
        chunks: 0,
        distance: 0,
    };
    let mut beam = vec![none];
    for word in 0..candidate.len() {
        let mut longer: Vec<Partial> = Vec::new();
        for partial in &beam {
            let free = (0..reference.len()).filter(|&other| !partial.used[other]);
            longer.extend(
                free.filter_map(|other| Some((other, kind(word, other)?)))
                    .map(|partner| partial.with(Some(partner))),
            );
            longer.push(partial.with(None));
        }
        longer.sort_by_key(Partial::rank);
        longer.truncate(BEAM);
        beam = longer;
    }
    beam.into_iter().next().map_or_else(Vec::new, |best| best.partners)
}

/// How many runs there are of matches that are next to each other in both captions.
pub fn chunks(alignment: &Alignment) -> usize {
    let mut chunks = 0;
    let mut before: Option<usize> = None;
    for partner in alignment {
        let reference = partner.map(|(reference, _)| reference);
        if let Some(reference) = reference {
            chunks += usize::from(before.is_none_or(|before| before + 1 != reference));
        }
        before = reference;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;

    fn partners(candidate: &str, reference: &str) -> (Vec<Option<usize>>, usize) {
        let alignment = align(&tokenize(candidate), &tokenize(reference));
        (
            alignment.iter().map(|partner| partner.map(|(reference, _)| reference)).collect(),
            chunks(&alignment),
        )
    }

    #[test]
    fn a_repeated_word_is_matched_where_the_fewest_chunks_come_out() {
        let (found, chunks) = partners("a hook and a suction", "a suction and a hook");
        assert_eq!((found, chunks), (vec![Some(3), Some(4), Some(2), Some(0), Some(1)], 3));
    }

    #[test]
    fn stems_match_where_words_do_not() {
        let alignment = align(&tokenize("a hook cuts tissue"), &tokenize("a hook cutting"));
        assert_eq!(alignment[2], Some((2, Match::Stem)));
        assert_eq!(alignment[3], None);
    }
}
