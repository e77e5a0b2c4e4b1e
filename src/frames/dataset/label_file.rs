//! How large label files may be, and the line of a place in one.

/// The largest file of labels, boxes, captions or interactions. The largest known ones have a few
/// MB.
pub const LABEL_FILE_BYTES: u64 = 64 << 20;
/// The largest XML file of a single frame. Real ones have some kB.
pub const XML_FILE_BYTES: u64 = 1 << 20;
/// The largest text file of a single frame. A box takes some tens of bytes.
pub const FRAME_TEXT_BYTES: u64 = 1 << 20;

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
