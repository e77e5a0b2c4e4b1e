//! Texts and entries in lines that are not wider than their room.

use crate::report::drawing::{text_width, without_excess};
use surgcam_engine::error::Result;
use surgcam_engine::escape;

/// The left edge and the line of each entry. An entry that is wider than the room has a line of its
/// own.
pub fn places_in_lines(
    widths: impl Iterator<Item = f64>,
    gap: f64,
    room: f64,
) -> Vec<(f64, usize)> {
    let (mut left, mut line) = (0.0, 0);
    let mut places = Vec::new();
    for width in widths {
        if left > 0.0 && left + width > room {
            (left, line) = (0.0, line + 1);
        }
        places.push((left, line));
        left += width + gap;
    }
    places
}

/// A text that is broken after commas and semicolons, so that the names in a list stay whole. The
/// last of at most `most_lines` lines ends with an ellipsis where it has no room for the rest.
pub fn text_in_lines(text: &str, size: f64, room: f64, most_lines: usize) -> Result<Vec<String>> {
    let parts = parts(&escape::line(text));
    let widths = parts.iter().map(|part| text_width(part, size)).collect::<Result<Vec<f64>>>()?;
    let places = places_in_lines(widths.into_iter(), text_width(" ", size)?, room);
    let mut lines: Vec<String> = Vec::new();
    for (part, (_, line)) in parts.iter().zip(places) {
        match lines.get_mut(line.min(most_lines.saturating_sub(1))) {
            Some(begun) => {
                begun.push(' ');
                begun.push_str(part);
            }
            None => lines.push(part.clone()),
        }
    }
    lines.iter().map(|line| without_excess(line, size, room)).collect()
}

/// The words of a text, together up to the next comma or semicolon.
fn parts(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split(' ') {
        match parts.last_mut().filter(|_| is_open) {
            Some(part) => {
                part.push(' ');
                part.push_str(word);
            }
            None => parts.push(word.to_string()),
        }
        is_open = !word.ends_with([',', ';']);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_on_in_the_next_line_where_there_is_no_room() {
        let places = places_in_lines([40.0, 40.0, 40.0, 200.0, 10.0].into_iter(), 10.0, 100.0);
        assert_eq!(places, [(0.0, 0), (50.0, 0), (0.0, 1), (0.0, 2), (0.0, 3)]);
        assert!(places_in_lines(std::iter::empty(), 10.0, 100.0).is_empty());
    }

    #[test]
    fn a_text_is_broken_between_names_and_never_cut_without_an_ellipsis() {
        let text = "video01/7 by net; present: large needle driver, hook; labelled: hook";
        let lines = text_in_lines(text, 10.0, 200.0, 9).unwrap();
        assert!(lines.len() > 1, "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert!(lines.iter().any(|line| line.contains("large needle driver,")), "{lines:?}");
        for line in &lines {
            assert!(text_width(line, 10.0).unwrap() <= 200.0, "{line}");
        }
        let cut = text_in_lines(text, 10.0, 120.0, 2).unwrap();
        assert_eq!(cut.len(), 2);
        assert!(cut[1].ends_with('…'), "{cut:?}");
        assert_eq!(text_in_lines("short", 10.0, 200.0, 2).unwrap(), ["short"]);
    }
}
