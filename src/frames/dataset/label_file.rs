//! How large label files and the parts of one may be, and the line of a place in one.

use std::path::Path;

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// The largest file of labels, boxes, captions or interactions. The largest known ones have a few
/// MB.
pub const LABEL_FILE_BYTES: u64 = 64 << 20;
/// The largest XML file of a single frame. Real ones have some kB.
pub const XML_FILE_BYTES: u64 = 1 << 20;
/// The largest text file of a single frame. A box takes some tens of bytes.
pub const FRAME_TEXT_BYTES: u64 = 1 << 20;
/// The most lines of a file with a line for each frame or box. A line becomes an entry, or a
/// problem, which takes hundreds of bytes however short the line is.
pub const MAXIMUM_LINES: usize = 2_000_000;
/// The longest name, in bytes, that many entries of a file share, such as that of a class. Each
/// entry keeps a copy.
pub const LONGEST_NAME: usize = 200;

/// An error if a text has more lines than a label file may have.
pub fn expect_few_lines(text: &str, path: &Path) -> Result<()> {
    if text.lines().nth(MAXIMUM_LINES).is_none() {
        return Ok(());
    }
    Err(too_many_lines(MAXIMUM_LINES).at_path(path))
}

pub fn too_many_lines(most: usize) -> Error {
    Error::failure(format!("the file has more than {most} lines"))
        .hint("a label file has a line for each frame or box: check that this is one")
}

/// An error if a name that many entries share is too long.
pub fn expect_short_name(name: &str) -> Result<()> {
    if name.len() <= LONGEST_NAME {
        return Ok(());
    }
    Err(Error::failure(format!(
        "the name `{}` has more than {LONGEST_NAME} bytes",
        shortened(name)
    )))
}

/// Finds the lines of places in a text. The places must come in the order of the text, which is
/// counted through once for all of them.
pub struct Lines<'a> {
    text: &'a str,
    counted: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub fn of(text: &'a str) -> Self {
        Lines { text, counted: 0, line: 1 }
    }

    /// The line of the byte at `place`, counted from 1. `place` must not be before that of the last
    /// call.
    pub fn at(&mut self, place: usize) -> usize {
        let passed = self.text.as_bytes().get(self.counted..place).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.counted = self.counted.max(place);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_that_an_editor_shows() {
        let mut lines = Lines::of("a\nb\r\n\nc");
        assert_eq!([0, 1, 2, 2, 5, 6].map(|place| lines.at(place)), [1, 1, 2, 2, 3, 4]);
    }
}
