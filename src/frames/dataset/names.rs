//! Names of sequences and frames. Exports make folders and files of them, so a name must not lead elsewhere.
//!
//! Here they are made, of numbers alone: whatever folders, label files and XML files say, a sequence or a frame is a number
//! first. And here they are checked where an index is read, for it may have been pulled from somebody else's store.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::index::Layout;

/// Far more than any layout's names have.
const MAXIMUM_LENGTH: usize = 64;

pub(super) fn of_sequence(layout: Layout, sequence: u32) -> String {
    match layout {
        Layout::EndoVis18 => format!("seq_{sequence}"),
        Layout::Cholec80 => format!("video{sequence:02}"),
    }
}

pub(super) fn of_frame(layout: Layout, frame: u32) -> String {
    match layout {
        Layout::EndoVis18 => format!("frame{frame:03}"),
        Layout::Cholec80 => format!("{frame:06}"),
    }
}

/// For serde's `deserialize_with`: refuses every name that could be more than a plain file name.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if is_plain(&name) {
        return Ok(name);
    }
    let shown: String = name.chars().take(MAXIMUM_LENGTH).flat_map(char::escape_debug).collect();
    Err(D::Error::custom(format!("`{shown}` is no name of a sequence or frame: only letters, digits and `_` are expected")))
}

fn is_plain(name: &str) -> bool {
    let is_expected = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.len() <= MAXIMUM_LENGTH && name.bytes().all(is_expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_made_is_a_plain_file_name() {
        for layout in [Layout::EndoVis18, Layout::Cholec80] {
            for number in [0, 1, 12, 1234567, u32::MAX] {
                assert!(is_plain(&of_sequence(layout, number)) && is_plain(&of_frame(layout, number)), "{number}");
            }
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", "..", ".", "../x", "/x", "a/b", "a\nb", "\u{1b}[31m", "a b", "a\0", "frame001.png", "é", &"a".repeat(65)] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
