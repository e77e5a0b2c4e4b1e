//! File name patterns of a recipe, such as `video{sequence:02}/{frame:06}.png`.
//!
//! A pattern is a path in which `{sequence}` and `{frame}` stand for numbers. It is filled in with
//! numbers to find a file, and compared with a file's name to find the numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// A path with `{sequence}` and `{frame}` for numbers. In `{frame:06}` the number is filled up with
/// zeros to six digits. The first of two fields without a character between them must have a width:
/// it has exactly that many digits when a name is compared with the pattern.
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

/// The numbers that a text has where a pattern has its fields. `None`: the pattern does not have
/// that field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    pub sequence: Option<u32>,
    pub frame: Option<u32>,
}

impl Pattern {
    /// Reads a pattern. Unknown fields, wide fields, and neighbouring fields whose numbers could
    /// not be told apart are refused.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = after.split_once('}').ok_or_else(|| {
                Error::usage(format!("the pattern `{}` has a `{{` without `}}`", shortened(text)))
            })?;
            parts.push(Part::Text(before.to_string()));
            parts.push(parse_number(inside, text)?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_string()));
        let pattern = Pattern { text: text.to_string(), parts };
        let is_unclear = |index: usize| {
            let has_width = |part: &Part| matches!(part, Part::Number { width: 1.., .. });
            pattern.is_beside_another(index) && !pattern.parts.get(index).is_some_and(has_width)
        };
        if (0..pattern.parts.len()).any(is_unclear) {
            return Err(Error::usage(format!(
                "the pattern `{}` has two fields without a character between them",
                shortened(text)
            ))
            .hint(
                "put a character between them, or give the first one a width, as in \
                 {sequence:02}{frame:06}",
            ));
        }
        Ok(pattern)
    }

    /// Whether each sequence has a path of its own.
    pub fn has_sequence(&self) -> bool {
        self.has(Field::Sequence)
    }

    /// Whether each frame has a path of its own.
    pub fn has_frame(&self) -> bool {
        self.has(Field::Frame)
    }

    fn has(&self, wanted: Field) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Number { field, .. } if *field == wanted))
    }

    /// The pattern of the last `count` parts of the path.
    pub fn ending(&self, count: usize) -> Result<Pattern> {
        let parts: Vec<&str> = self.text.split('/').collect();
        Pattern::parse(&parts[parts.len().saturating_sub(count)..].join("/"))
    }

    /// The patterns of the folders in the path, from the outermost to the innermost.
    pub fn folders(&self) -> Result<Vec<Pattern>> {
        let mut parts: Vec<&str> = self.text.split('/').collect();
        // The last part is the file's name.
        parts.pop();
        parts.into_iter().map(Pattern::parse).collect()
    }

    /// The numbers that a text was filled in with, whatever their width. `None`: the text is not of
    /// this pattern. If two fields stand side by side, the first has as many digits as its width,
    /// and the second has at most as many as its own width, if it has one.
    pub fn numbers_in(&self, text: &str) -> Option<Numbers> {
        let mut numbers = Numbers::default();
        let mut rest = text;
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(expected) => rest = rest.strip_prefix(expected.as_str())?,
                Part::Number { field, width } => {
                    let (digits, after) = rest.split_at(self.digits_of(index, *width, rest)?);
                    let known = match field {
                        Field::Sequence => &mut numbers.sequence,
                        Field::Frame => &mut numbers.frame,
                    };
                    let number: u32 = digits.parse().ok()?;
                    if *known.get_or_insert(number) != number {
                        return None;
                    }
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(numbers)
    }

    /// How many digits at the start of `rest` belong to the field that is part `index`. `None`:
    /// there are more digits than two neighbouring fields have, so that it is not clear where the
    /// second one begins.
    fn digits_of(&self, index: usize, width: usize, rest: &str) -> Option<usize> {
        let all = rest.bytes().take_while(u8::is_ascii_digit).count();
        if self.is_beside_another(index) {
            return Some(all.min(width));
        }
        // The empty text between neighbouring fields is a part, too.
        let follows_another = index >= 2 && self.is_beside_another(index - 2);
        (!follows_another || width == 0 || all <= width).then_some(all)
    }

    /// Whether part `index` is a field that another field follows without a character between.
    fn is_beside_another(&self, index: usize) -> bool {
        let Some([Part::Number { .. }, Part::Text(between), Part::Number { .. }, ..]) =
            self.parts.get(index..)
        else {
            return false;
        };
        between.is_empty()
    }

    /// The path of a sequence and a frame. Numbers with more digits than their field is wide are
    /// written in full.
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

/// The largest width of a field, in digits.
const MAXIMUM_WIDTH: usize = 100;

fn parse_number(inside: &str, text: &str) -> Result<Part> {
    let (name, width) = inside.split_once(':').unwrap_or((inside, "0"));
    let field = match name {
        "sequence" => Field::Sequence,
        "frame" => Field::Frame,
        _ => {
            return Err(Error::usage(format!(
                "the pattern `{}` has `{{{}}}`",
                shortened(text),
                shortened(name)
            ))
            .hint("a pattern may name {sequence} and {frame}, with a width as in {frame:06}"));
        }
    };
    let is_width = |width: &usize| *width <= MAXIMUM_WIDTH;
    let width = width.parse().ok().filter(is_width).ok_or_else(|| {
        Error::usage(format!(
            "the pattern `{}` has the width `{}`",
            shortened(text),
            shortened(width)
        ))
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
    fn a_text_gives_the_numbers_it_was_filled_in_with() {
        let numbers = |pattern: &str, text: &str| Pattern::parse(pattern).unwrap().numbers_in(text);
        let both = |sequence, frame| Some(Numbers { sequence: Some(sequence), frame: Some(frame) });
        assert_eq!(numbers("v{sequence:02}_{frame:06}.xml", "v01_002075.xml"), both(1, 2075));
        assert_eq!(numbers("v{sequence}_{frame}.xml", "v01_002075.xml"), both(1, 2075));
        assert_eq!(numbers("{sequence}/{sequence}_{frame}", "3/3_4"), both(3, 4));
        assert_eq!(
            numbers("{frame}.xml", "7.xml"),
            Some(Numbers { sequence: None, frame: Some(7) })
        );
        for text in
            ["", "v1_.xml", "v1_2.xml.bak", "w1_2.xml", "v1_99999999999.xml", "v+1_2.xml", "v1_2"]
        {
            assert_eq!(numbers("v{sequence}_{frame}.xml", text), None, "{text}");
        }
        assert_eq!(numbers("{sequence}/{sequence}_{frame}", "3/5_4"), None);
    }

    #[test]
    fn neighbouring_fields_are_told_apart_by_their_width() {
        let numbers = |pattern: &str, text: &str| Pattern::parse(pattern).unwrap().numbers_in(text);
        let both = |sequence, frame| Some(Numbers { sequence: Some(sequence), frame: Some(frame) });
        assert_eq!(numbers("{sequence:02}{frame:04}", "120034"), both(12, 34));
        assert_eq!(numbers("{sequence:02}{frame}", "1234"), both(12, 34));
        assert_eq!(numbers("{sequence:02}{frame:04}", "1000034"), None, "sequence 10 or 100");
        let error = Pattern::parse("v{sequence}{frame:06}.png").unwrap_err().to_string();
        assert!(error.contains("two fields without a character between them"), "{error}");
    }

    #[test]
    fn the_folders_of_a_pattern_are_patterns() {
        let pattern = Pattern::parse("left/{frame:03}/v{sequence}_{frame}.png").unwrap();
        let folders = pattern.folders().unwrap();
        assert_eq!(folders, ["left", "{frame:03}"].map(|text| Pattern::parse(text).unwrap()));
        assert_eq!(folders.iter().map(Pattern::has_frame).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn the_end_of_a_pattern_is_a_pattern() {
        let pattern = Pattern::parse("images/video{sequence:02}/{frame:06}.png").unwrap();
        assert_eq!(pattern.ending(1).unwrap().fill(3, 4), "000004.png");
        assert_eq!(pattern.ending(2).unwrap().fill(3, 4), "video03/000004.png");
        assert_eq!(pattern.ending(9).unwrap(), pattern);
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

        #[test]
        fn no_text_makes_a_pattern_panic(text in "(v|[0-9]{1,12}|_|\\PC){0,6}") {
            for pattern in ["v{sequence}_{frame}", "{sequence:02}{frame:06}", "{sequence:2}{frame}"]
            {
                let _ = Pattern::parse(pattern).unwrap().numbers_in(&text);
            }
        }

        #[test]
        fn what_is_filled_in_is_read_back(sequence in any::<u32>(), frame in any::<u32>()) {
            let pattern = Pattern::parse("a/v{sequence:02}_{frame:06}.txt").unwrap();
            let numbers = Numbers { sequence: Some(sequence), frame: Some(frame) };
            prop_assert_eq!(pattern.numbers_in(&pattern.fill(sequence, frame)), Some(numbers));
        }
    }
}
