//! Names that become names of files: kinds of stages and their outputs.

use std::borrow::{Borrow, Cow};
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result};

/// The most characters that a name may have.
const LONGEST: usize = 100;

/// A name that is safe as a file name: ASCII letters, digits, `-`, `_` and `.`, beginning with a
/// letter or a digit. A record that somebody else wrote can therefore not name a path outside its
/// folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct PlainName(Cow<'static, str>);

impl PlainName {
    /// A name that is written in the code.
    ///
    /// # Panics
    /// Where the name in the code is not plain.
    pub const fn literal(name: &'static str) -> Self {
        assert!(is_plain(name), "a name in the code must be plain");
        PlainName(Cow::Borrowed(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_plain(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > LONGEST || !bytes[0].is_ascii_alphanumeric() {
        return false;
    }
    let mut place = 0;
    while place < bytes.len() {
        if !bytes[place].is_ascii_alphanumeric() && !matches!(bytes[place], b'-' | b'_' | b'.') {
            return false;
        }
        place += 1;
    }
    true
}

impl TryFrom<String> for PlainName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        if is_plain(&name) {
            return Ok(PlainName(Cow::Owned(name)));
        }
        let beginning: String = name.chars().take(LONGEST).collect();
        Err(Error::failure(format!(
            "{beginning:?} cannot be a name in the store: letters, digits, `-`, `_` and `.` can, \
             at most {LONGEST} of them"
        )))
    }
}

impl Serialize for PlainName {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Borrow<str> for PlainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<&str> for PlainName {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_a_path_is_refused_where_it_is_read() {
        let read = |name: &str| serde_json::from_value::<PlainName>(name.into());
        for name in ["train", "heat-maps", "checkpoint.safetensors", "pictures.jsonl", "measure_2"]
        {
            assert_eq!(read(name).unwrap(), name);
        }
        let long = "a".repeat(LONGEST + 1);
        for name in [
            "",
            ".",
            "..",
            "../../PWN",
            "/ABS",
            "a/b",
            "a\\b",
            ".hidden",
            "-rf",
            "a b",
            "é",
            "a\0",
            "a\n",
            "\u{1b}[31m",
            &long,
        ] {
            let problem = read(name).unwrap_err().to_string();
            assert!(problem.contains("cannot be a name"), "{name:?}: {problem}");
            assert!(!problem.contains('\u{1b}'), "{problem:?}");
        }
    }

    #[test]
    fn a_name_reads_back_as_it_is_written() {
        let name = PlainName::literal("heat-maps");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"heat-maps\"");
        assert_eq!(serde_json::from_str::<PlainName>("\"heat-maps\"").unwrap(), name);
    }
}
