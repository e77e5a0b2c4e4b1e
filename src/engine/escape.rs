//! Escapes text that somebody else wrote, such as a name, a label, a path or a library's message.
//! There is one function for each form of output.

use std::borrow::Cow;
use std::fmt::Write;

/// One line on a terminal or in a log. Characters that would act on the terminal are written as in
/// JSON, so that a line of JSON does not change.
pub fn line(text: &str) -> Cow<'_, str> {
    visible(text, acts)
}

/// Several lines that this program composed: their line breaks and tabs stay. Quoted text must have
/// gone through [`line`] before.
pub fn lines(text: &str) -> Cow<'_, str> {
    visible(text, |letter| acts(letter) && letter != '\n' && letter != '\t')
}

/// A cell, a title or a note of Markdown. A reader sees the text as it is: it cannot end its line
/// or its cell, and it cannot begin a tag, a picture, a link, emphasis, code, a formula or an
/// entity.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let (text, mut before) = (line(text), None);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_in_a_word = before.is_some_and(char::is_alphanumeric)
            && letters.peek().is_some_and(|next| next.is_alphanumeric());
        // An underscore inside of a word does not begin emphasis.
        if matches!(letter, '\\' | '|' | '<' | '!' | '$' | '&' | '*' | '[' | '`' | '~')
            || (letter == '_' && !is_in_a_word)
        {
            escaped.push('\\');
        }
        escaped.push(letter);
        before = Some(letter);
    }
    escaped
}

/// Text or the value of an attribute in XML, SVG among them.
pub fn xml(text: &str) -> String {
    line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Text in LaTeX. In a comment, which ends with its line and has no commands, [`line`] is enough.
pub fn latex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = None;
    for letter in line(text).chars() {
        if before.is_some_and(|before| becomes_another(before, letter)) {
            escaped.push_str("{}");
        }
        before = Some(letter);
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', letter]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            // These three are other characters in TeX's own font encoding.
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            // After the end of a row, TeX would take them for its argument or its star.
            '[' | ']' | '*' => escaped.extend(['{', letter, '}']),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Whether LaTeX's fonts have one other character for these two, such as a dash for two hyphens.
/// `<<` and `>>` are not among them, because they are written as commands.
fn becomes_another(one: char, next: char) -> bool {
    matches!(
        (one, next),
        ('-', '-') | ('`', '`') | ('\'', '\'') | (',', ',') | ('?', '`') | ('!', '`')
    )
}

/// A text cell or a header of CSV, not yet quoted. A spreadsheet would evaluate text that begins
/// like a formula, so an apostrophe is put before it. Numbers stay numbers, and each row stays one
/// line.
pub fn csv(text: &str) -> String {
    const BEGIN_A_FORMULA: [char; 8] =
        ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
    let text = line(text);
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    if text.starts_with(BEGIN_A_FORMULA) && !is_number {
        format!("'{text}")
    } else {
        text.into_owned()
    }
}

/// Whether a terminal acts on this character instead of drawing it: control characters, and
/// characters that reverse the order of text or begin a new line.
fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn visible(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            _ if !is_escaped(letter) => escaped.push(letter),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
            }
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_and_all_else_stays() {
        assert_eq!(line("gc-a, 50% of \"µ\" é😀"), "gc-a, 50% of \"µ\" é😀");
        assert_eq!(
            line("\u{1b}[2Ja\u{7}\u{7f}\u{9b}1m\u{202e}b"),
            "\\u001b[2Ja\\u0007\\u007f\\u009b1m\\u202eb"
        );
        assert_eq!(line("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(lines("a\r\nb\tc"), "a\\r\nb\tc");
    }

    #[test]
    fn nothing_in_a_text_acts_on_markdown() {
        assert_eq!(markdown("*a* [b](c) $d$ &lt;"), "\\*a\\* \\[b](c) \\$d\\$ \\&lt;");
        assert_eq!(markdown("_a_ `b` ~~c~~"), "\\_a\\_ \\`b\\` \\~\\~c\\~\\~");
        assert_eq!(markdown("gc_a, 50%, T_ROI 0.3"), "gc_a, 50%, T_ROI 0.3");
    }

    #[test]
    fn no_two_characters_become_another_one_in_latex() {
        assert_eq!(latex("a--b---c - d"), "a-{}-b-{}-{}-c - d");
        assert_eq!(latex("``a'' ,,b?`!`"), "`{}`a'{}' ,{},b?{}`!{}`");
        assert_eq!(latex("<<a>>"), "\\textless{}\\textless{}a\\textgreater{}\\textgreater{}");
        assert_eq!(latex("it's 1,2, `x`!"), "it's 1,2, `x`!");
    }

    #[test]
    fn json_reads_back_as_it_was_written() {
        let value = serde_json::json!({"name": "\u{1b}[31m\u{9b}\u{7f}\u{202e}\\u001b\n"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&lines(&text)).unwrap(), value);
    }

    #[test]
    fn a_text_that_begins_like_a_formula_is_marked_and_a_number_is_not() {
        for formula in ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "-", "-inf", "＝1"] {
            assert_eq!(csv(formula), format!("'{formula}"));
        }
        for other in ["0.3", "-0.5", "+1e-4", "", "gc-a", "a=b", "[-1, 2]"] {
            assert_eq!(csv(other), other);
        }
    }

    proptest! {
        #[test]
        fn no_form_keeps_a_character_that_acts(text in "[\\x00-\\x{ff}\\x{2020}-\\x{2070}]{0,40}") {
            for escaped in [line(&text).into_owned(), markdown(&text), latex(&text), csv(&text)] {
                prop_assert!(!escaped.contains(acts), "{escaped:?}");
            }
            prop_assert!(!lines(&text).replace(['\n', '\t'], "").contains(acts));
        }
    }
}
