//! File name patterns of a recipe: `video{sequence:02}/{frame:06}.png`.

use std::fmt;

use serde::{Deserialize, Serialize};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// A path with numbers in it: `{sequence}` and `{frame}`, with an optional width to which zeros fill up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Number { field: Field, width: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Sequence,
    Frame,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) =
                after.split_once('}').ok_or_else(|| Error::usage(format!("the pattern `{}` has a `{{` without `}}`", shortened(text))))?;
            parts.push(Part::Text(before.to_string()));
            parts.push(parse_number(inside, text)?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_string()));
        Ok(Pattern { text: text.to_string(), parts })
    }

    /// Whether each sequence has a path of its own.
    pub fn has_sequence(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Number { field: Field::Sequence, .. }))
    }

    pub fn fill(&self, sequence: u32, frame: u32) -> String {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Number { field, width } => {
                    let number = match field {
                        Field::Sequence => sequence,
                        Field::Frame => frame,
                    };
                    filled.push_str(&format!("{number:0width$}"));
                }
            }
        }
        filled
    }
}

/// Digits that a number is filled up to, at most.
const MAXIMUM_WIDTH: usize = 100;

fn parse_number(inside: &str, text: &str) -> Result<Part> {
    let (name, width) = inside.split_once(':').unwrap_or((inside, "0"));
    let field = match name {
        "sequence" => Field::Sequence,
        "frame" => Field::Frame,
        _ => {
            return Err(Error::usage(format!("the pattern `{}` has `{{{}}}`", shortened(text), shortened(name)))
                .hint("a pattern may name {sequence} and {frame}, with a width as in {frame:06}"));
        }
    };
    let is_width = |width: &usize| *width <= MAXIMUM_WIDTH;
    let width = width.parse().ok().filter(is_width).ok_or_else(|| {
        Error::usage(format!("the pattern `{}` has the width `{}`", shortened(text), shortened(width)))
            .hint(format!("a width is a number up to {MAXIMUM_WIDTH}, as in {{frame:06}}"))
    })?;
    Ok(Part::Number { field, width })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Pattern::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_filled_up_with_zeros() {
        let pattern = Pattern::parse("frames/video{sequence:02}/{frame:06}.png").unwrap();
        assert_eq!(pattern.fill(3, 30), "frames/video03/000030.png");
        assert_eq!(Pattern::parse("seq_{sequence}").unwrap().fill(12, 0), "seq_12");
    }

    #[test]
    fn one_file_for_all_sequences_names_none() {
        assert!(Pattern::parse("seq_{sequence}/xml").unwrap().has_sequence());
        assert!(!Pattern::parse("captions/captions.json").unwrap().has_sequence());
    }

    #[test]
    fn a_bad_pattern_is_refused() {
        for text in ["{video}", "{frame", "{frame:x}", "{frame:70000}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _ = Pattern::parse(&text);
        }
    }
}
