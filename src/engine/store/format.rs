//! Files of the store that state the format they are written in. Files of a newer program are
//! distinguished from broken ones: broken files may be replaced, newer ones never.

use std::fmt::Display;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A type that is read from JSON with a field `format`.
pub trait Formatted: DeserializeOwned {
    /// What a person calls such a file: "record".
    const WHAT: &'static str;
    /// The format that this program writes, and the only one that it reads.
    const FORMAT: u32;

    /// The format that was read.
    fn format(&self) -> u32;
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misread {
    /// A newer program wrote it, in this format.
    Newer(u64),
    /// It is malformed, for this reason.
    Broken(String),
}

impl Misread {
    /// An error about the file at `place`.
    pub fn into_error<T: Formatted>(self, place: impl Display) -> Error {
        let (what, known) = (T::WHAT, T::FORMAT);
        match self {
            Misread::Newer(format) => Error::failure(format!(
                "this {what} was made by a newer surgcam: it has the format {format}, and this \
                 program reads {known}"
            ))
            .hint("use the newer surgcam with this store, or another store with this program"),
            Misread::Broken(problem) => {
                Error::failure(format!("cannot understand this {what}: {problem}"))
            }
        }
        .at(place)
    }
}

/// The only field that every format has.
#[derive(Deserialize)]
struct Marked {
    format: u64,
}

/// Reads a file's text.
pub fn understand<T: Formatted>(text: &[u8]) -> Result<T, Misread> {
    let problem = match serde_json::from_slice::<T>(text) {
        Ok(value) if value.format() == T::FORMAT => return Ok(value),
        Ok(value) => {
            format!("it has the format {}, and this program reads {}", value.format(), T::FORMAT)
        }
        Err(error) => error.to_string(),
    };
    // A newer format may have other fields, or give the same ones another meaning. Only its number
    // can be read.
    match serde_json::from_slice::<Marked>(text) {
        Ok(marked) if marked.format > u64::from(T::FORMAT) => Err(Misread::Newer(marked.format)),
        _ => Err(Misread::Broken(problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Note {
        format: u32,
        text: String,
    }

    impl Formatted for Note {
        const WHAT: &'static str = "note";
        const FORMAT: u32 = 2;

        fn format(&self) -> u32 {
            self.format
        }
    }

    #[test]
    fn what_a_newer_program_wrote_is_told_from_what_is_broken() {
        let read = |text: &str| understand::<Note>(text.as_bytes());
        assert_eq!(read(r#"{"format": 2, "text": "a"}"#), Ok(Note { format: 2, text: "a".into() }));
        for newer in [r#"{"format": 3, "text": "a"}"#, r#"{"format": 3, "text": ["of", "lines"]}"#]
        {
            assert_eq!(read(newer), Err(Misread::Newer(3)));
        }
        for broken in [
            "",
            "[]",
            r#"{"format": 1, "text": "a"}"#,
            r#"{"format": 2}"#,
            r#"{"format": -1}"#,
            r#"{"format": 3"#,
        ] {
            assert!(matches!(read(broken), Err(Misread::Broken(_))), "{broken}");
        }
        let error = Misread::Newer(3).into_error::<Note>("a/place").to_string();
        assert!(error.starts_with("a/place: this note was made by a newer surgcam"), "{error}");
    }
}
