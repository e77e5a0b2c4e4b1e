//! Splits a data set into training and validation if nobody has decided the split. It splits by
//! sequence, because neighbouring frames look alike. The same labels always give the same split.

use std::collections::{BTreeMap, BTreeSet};

/// The share of the frames that validation should have.
const VALIDATION_SHARE: f64 = 0.3;
/// The largest share that it may have, unless there are only two sequences.
const LARGEST_SHARE: f64 = 0.4;

/// The contents of a sequence.
#[derive(Debug, Default, Clone)]
pub struct SequenceContent {
    pub frames: usize,
    /// The classes that are labelled in it.
    pub names: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Both rising.
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
}

/// Goes through the sequences, the largest first. A sequence goes to validation if this brings the
/// share of validation nearer to what it should be and training keeps every class. With a single
/// sequence there is no validation.
pub fn split(contents: &BTreeMap<u32, SequenceContent>) -> Split {
    let total: usize = contents.values().map(|content| content.frames).sum();
    let wanted = total as f64 * VALIDATION_SHARE;
    let mut by_size: Vec<(u32, &SequenceContent)> =
        contents.iter().map(|(number, content)| (*number, content)).collect();
    by_size.sort_by_key(|(number, content)| (std::cmp::Reverse(content.frames), *number));
    let mut training = Training::of(contents);
    let mut validation: BTreeSet<u32> = BTreeSet::new();
    let mut taken = 0;
    for (number, content) in &by_size {
        let off = |frames: usize| (frames as f64 - wanted).abs();
        let with_it = taken + content.frames;
        let is_nearer = off(with_it) < off(taken) && with_it as f64 <= total as f64 * LARGEST_SHARE;
        if is_nearer && training.can_spare(content) {
            training.give(content);
            validation.insert(*number);
            taken = with_it;
        }
    }
    // The smallest one, even if a class is in it alone.
    if let (true, [_, .., (smallest, _)]) = (validation.is_empty(), by_size.as_slice()) {
        validation.insert(*smallest);
    }
    let train = contents.keys().copied().filter(|number| !validation.contains(number)).collect();
    Split { train, validation: validation.into_iter().collect() }
}

/// The sequences that stay for training.
struct Training<'a> {
    sequences: usize,
    /// In how many of them each class is.
    holders: BTreeMap<&'a str, usize>,
}

impl<'a> Training<'a> {
    fn of(contents: &'a BTreeMap<u32, SequenceContent>) -> Self {
        let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
        for name in contents.values().flat_map(|content| &content.names) {
            *holders.entry(name.as_str()).or_default() += 1;
        }
        Training { sequences: contents.len(), holders }
    }

    /// Whether a sequence is left without this one, and every class is in one of them.
    fn can_spare(&self, content: &SequenceContent) -> bool {
        let is_elsewhere =
            |name: &String| self.holders.get(name.as_str()).is_some_and(|count| *count > 1);
        self.sequences > 1 && content.names.iter().all(is_elsewhere)
    }

    fn give(&mut self, content: &SequenceContent) {
        self.sequences -= 1;
        for name in &content.names {
            if let Some(count) = self.holders.get_mut(name.as_str()) {
                *count -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sequences: &[(u32, usize, &[&str])]) -> Split {
        let content = |frames: &usize, names: &[&str]| SequenceContent {
            frames: *frames,
            names: names.iter().map(ToString::to_string).collect(),
        };
        split(
            &sequences
                .iter()
                .map(|(number, frames, names)| (*number, content(frames, names)))
                .collect(),
        )
    }

    #[test]
    fn whole_sequences_are_split_at_about_a_third() {
        let split = of(&[(1, 50, &["a"]), (2, 20, &["a"]), (3, 20, &["a"]), (4, 10, &["a"])]);
        assert_eq!(split, Split { train: vec![1, 3], validation: vec![2, 4] });
    }

    #[test]
    fn the_only_sequence_with_a_class_stays_for_training() {
        let split = of(&[(1, 30, &["a", "b"]), (2, 30, &["a"]), (3, 40, &["a"])]);
        assert_eq!(split.validation, [3]);
        let split = of(&[(1, 30, &["a"]), (2, 30, &["a", "b"]), (3, 40, &["a", "c"])]);
        assert_eq!(split.validation, [1]);
    }

    #[test]
    fn two_sequences_are_split_and_one_is_not() {
        assert_eq!(of(&[(4, 10, &["a"]), (9, 10, &["b"])]).validation, [9]);
        assert_eq!(of(&[(4, 10, &["a"])]), Split { train: vec![4], validation: vec![] });
        assert_eq!(of(&[]), Split::default());
    }
}
