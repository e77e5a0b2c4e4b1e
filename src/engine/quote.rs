//! Quotes a user's text in a message: short enough to be read, and without control characters.

use std::fmt;

use crate::escape;

/// The most bytes of a message or a hint. Longer ones are cut.
const LONGEST_MESSAGE: usize = 1200;

/// A user's value as a message quotes it: a long value is cut in the middle, and control characters
/// are written as `\u001b`.
pub fn shortened(value: impl fmt::Display) -> String {
    cut(escape::line(&value.to_string()).into_owned(), 120, 60)
}

/// A whole message, which may contain a value that was not shortened. Its line breaks stay.
pub(crate) fn limited(message: String) -> String {
    // A message has line breaks but no tabs.
    let message = escape::lines(&message).replace('\t', "\\t");
    if message.len() <= LONGEST_MESSAGE {
        message
    } else {
        cut(message, LONGEST_MESSAGE / 2, LONGEST_MESSAGE / 3)
    }
}

/// The first and last characters of a text that is longer than this.
fn cut(text: String, start: usize, end: usize) -> String {
    let letters = text.chars().count();
    // The mark that replaces the middle takes room, too.
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
        assert!(
            short.starts_with("starté")
                && short.ends_with("éend")
                && short.contains("199828 characters"),
            "{short}"
        );
        assert!(limited(long).len() < 3 * LONGEST_MESSAGE);
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(shortened("\u{1b}[31mred\n"), "\\u001b[31mred\\n");
        assert_eq!(limited("one\ntwo\r\u{7}".into()), "one\ntwo\\r\\u0007");
    }
}
