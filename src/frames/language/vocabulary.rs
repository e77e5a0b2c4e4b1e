//! The numbers of words: four special tokens, and then the words that occur often enough in the
//! captions for training.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Fills sentences up to the length of the longest one in a batch.
pub const PADDING: usize = 0;
/// A word that is not in the vocabulary.
pub const UNKNOWN: usize = 1;
/// Stands before the first word.
pub const START: usize = 2;
/// Stands behind the last word.
pub const END: usize = 3;

const SPECIAL: [&str; 4] = ["<padding>", "<unknown>", "<start>", "<end>"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Vocabulary {
    words: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl TryFrom<Vec<String>> for Vocabulary {
    type Error = String;

    /// `words` are all words by their number, with the special tokens first.
    fn try_from(words: Vec<String>) -> Result<Self, String> {
        let starts_right = words.len() >= SPECIAL.len()
            && words.iter().zip(SPECIAL).all(|(word, special)| word == special);
        if !starts_right {
            return Err(format!("a vocabulary starts with {}", SPECIAL.join(", ")));
        }
        Ok(Vocabulary::numbered(words))
    }
}

impl From<Vocabulary> for Vec<String> {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.words
    }
}

impl Vocabulary {
    fn numbered(words: Vec<String>) -> Self {
        let numbers =
            words.iter().enumerate().map(|(number, word)| (word.clone(), number)).collect();
        Vocabulary { words, numbers }
    }

    /// The vocabulary of some captions: the words that occur often enough. The most frequent one
    /// comes first, and words that are as frequent are in alphabetical order.
    pub fn of<'a>(
        captions: impl IntoIterator<Item = &'a [String]>,
        minimum_frequency: usize,
    ) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for word in captions.into_iter().flatten() {
            *counts.entry(word).or_default() += 1;
        }
        let mut frequent: Vec<(&str, usize)> =
            counts.into_iter().filter(|(_, count)| *count >= minimum_frequency).collect();
        frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let words =
            frequent.into_iter().map(|(word, _)| word).filter(|word| !SPECIAL.contains(word));
        Vocabulary::numbered(SPECIAL.into_iter().chain(words).map(String::from).collect::<Vec<_>>())
    }

    /// How many numbers there are, with the special tokens.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The numbers of a caption: START, the words, END.
    pub fn encode(&self, words: &[String]) -> Vec<usize> {
        let number = |word: &String| self.numbers.get(word).copied().unwrap_or(UNKNOWN);
        std::iter::once(START).chain(words.iter().map(number)).chain([END]).collect()
    }

    /// The words of some numbers up to END, without the special tokens.
    pub fn decode(&self, numbers: &[usize]) -> Vec<String> {
        let words = numbers
            .iter()
            .take_while(|&&number| number != END)
            .filter(|&&number| number >= SPECIAL.len());
        words.filter_map(|&number| self.words.get(number).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;

    fn vocabulary(minimum_frequency: usize) -> Vocabulary {
        let captions = ["a hook is idle", "a suction is idle", "a hook cuts"].map(tokenize);
        Vocabulary::of(captions.iter().map(Vec::as_slice), minimum_frequency)
    }

    #[test]
    fn frequent_words_come_first_and_rare_ones_are_unknown() {
        let words: Vec<String> = vocabulary(2).into();
        assert_eq!(
            words,
            ["<padding>", "<unknown>", "<start>", "<end>", "a", "hook", "idle", "is"]
        );
        assert_eq!(
            vocabulary(2).encode(&tokenize("a suction cuts")),
            [START, 4, UNKNOWN, UNKNOWN, END]
        );
    }

    #[test]
    fn a_vocabulary_without_the_special_tokens_is_not_read() {
        let wrong: [&[&str]; 3] =
            [&[], &["a", "hook", "is", "idle", "here"], &["<padding>", "<unknown>", "<start>"]];
        for words in wrong {
            let text = serde_json::to_string(words).unwrap();
            assert!(
                serde_json::from_str::<Vocabulary>(&text)
                    .unwrap_err()
                    .to_string()
                    .contains("<padding>, <unknown>"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_encoded_comes_back_up_to_its_end() {
        let vocabulary = vocabulary(1);
        let words = tokenize("a suction is idle");
        assert_eq!(vocabulary.decode(&vocabulary.encode(&words)), words);
        assert_eq!(vocabulary.decode(&[START, 4, END, 5]), ["a"]);
        let text = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(serde_json::from_str::<Vocabulary>(&text).unwrap(), vocabulary);
    }
}
