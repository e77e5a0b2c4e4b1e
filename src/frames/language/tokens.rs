//! Splits a caption into words as the COCO caption tools do: into the tokens of the Penn Treebank,
//! in lower case and without punctuation.

/// Endings that the Treebank separates from their word.
const CLITICS: [&str; 7] = ["n't", "'s", "'re", "'ve", "'ll", "'d", "'m"];

/// The words of a caption in lower case. A hyphen or a point inside a word stays (`3.5`,
/// `non-surgical`). All other punctuation separates words and is dropped.
pub fn tokenize(caption: &str) -> Vec<String> {
    let lower = caption.to_lowercase().replace(['\u{2019}', '`'], "'");
    let parted = |letter: char| {
        letter.is_whitespace() || !(letter.is_alphanumeric() || "'-.&%$/+_".contains(letter))
    };
    lower.split(parted).map(bare).filter(|word| !word.is_empty()).flat_map(without_clitic).collect()
}

/// The word without quotes, points and hyphens at its ends.
fn bare(word: &str) -> &str {
    word.trim_matches(|letter| "'-./_".contains(letter))
}

fn without_clitic(word: &str) -> Vec<String> {
    for clitic in CLITICS {
        if let Some(before) = word.strip_suffix(clitic).filter(|before| !before.is_empty()) {
            return vec![before.to_string(), clitic.to_string()];
        }
    }
    vec![word.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(caption: &str) -> String {
        tokenize(caption).join(" ")
    }

    #[test]
    fn words_are_lower_case_and_punctuation_is_gone() {
        assert_eq!(
            words("A Bipolar forcep, and (two) suction... are idle!"),
            "a bipolar forcep and two suction are idle"
        );
        assert_eq!(
            words("a 3.5 mm non-surgical \"hook\" - here"),
            "a 3.5 mm non-surgical hook here"
        );
        assert_eq!(words("  "), "");
    }

    #[test]
    fn clitics_are_words_of_their_own() {
        assert_eq!(words("The surgeon's hand doesn't move"), "the surgeon 's hand does n't move");
    }

    proptest! {
        #[test]
        fn words_are_never_empty_and_stay_as_they_are(text in ".{0,60}") {
            for word in tokenize(&text) {
                prop_assert!(!word.is_empty() && !word.contains(char::is_whitespace));
            }
        }
    }
}
