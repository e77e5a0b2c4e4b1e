//! What a message quotes of a user's text: short enough to be read, and without what a terminal would obey.

use std::fmt;

use crate::escape;

/// In bytes. Longer messages and hints are cut, whatever they quote.
const LONGEST_MESSAGE: usize = 1200;

/// A user's value as a message quotes it: start and end of a long one, and control characters as `\u001b`.
pub fn shortened(value: impl fmt::Display) -> String {
    cut(escape::line(&value.to_string()).into_owned(), 120, 60)
}

/// A whole message, of which a part may be a value that nobody has shortened. Its line breaks stay.
pub(crate) fn limited(message: String) -> String {
    // A message has line breaks of its own and no tabs.
    let message = escape::lines(&message).replace('\t', "\\t");
    if message.len() <= LONGEST_MESSAGE { message } else { cut(message, LONGEST_MESSAGE / 2, LONGEST_MESSAGE / 3) }
}

/// So many characters of the start and of the end of a text that is longer.
fn cut(text: String, start: usize, end: usize) -> String {
    let letters = text.chars().count();
    // What stands in for the middle takes room, too.
    if letters <= start + end + 40 {
        return text;
    }
    let left_out = letters - start - end;
    let first: String = text.chars().take(start).collect();
    let last: String = text.chars().skip(start + left_out).collect();
    format!("{first}... ({left_out} characters left out) ...{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_keeps_its_start_and_its_end() {
        assert_eq!(shortened("gc-d"), "gc-d");
        let long = format!("start{}end", "é".repeat(200_000));
        let short = shortened(&long);
        assert!(short.starts_with("starté") && short.ends_with("éend") && short.contains("199828 characters"), "{short}");
        assert!(limited(long).len() < 3 * LONGEST_MESSAGE);
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(shortened("\u{1b}[31mred\n"), "\\u001b[31mred\\n");
        assert_eq!(limited("one\ntwo\r\u{7}".into()), "one\ntwo\\r\\u0007");
    }
}
