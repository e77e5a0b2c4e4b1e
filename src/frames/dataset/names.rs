//! Checks the names of sequences and frames. Exports make folders and files of these names, so a
//! name must not lead to another place.
//!
//! Adapters make names of numbers alone: whatever folders and label files say, a sequence or a
//! frame is a number first. The names are checked again when an index is read, because it may have
//! been pulled from somebody else's store.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The longest name in bytes. The names of all layouts are far shorter.
const MAXIMUM_LENGTH: usize = 64;

/// For serde's `deserialize_with`: refuses every name that is not a plain file name.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if is_plain(&name) {
        return Ok(name);
    }
    let shown: String = name.chars().take(MAXIMUM_LENGTH).flat_map(char::escape_debug).collect();
    Err(D::Error::custom(format!(
        "`{shown}` is not a name of a sequence or frame: only letters, digits and `_` are expected"
    )))
}

pub(super) fn is_plain(name: &str) -> bool {
    let is_expected = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.len() <= MAXIMUM_LENGTH && name.bytes().all(is_expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            "..",
            ".",
            "../x",
            "/x",
            "a/b",
            "a\nb",
            "\u{1b}[31m",
            "a b",
            "a\0",
            "frame001.png",
            "é",
            &"a".repeat(65),
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
