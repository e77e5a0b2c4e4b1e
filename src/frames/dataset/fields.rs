//! Reads single fields of label, box, caption and interaction files of any layout. A field that
//! cannot be understood is an error that quotes it.

use std::path::{Component, Path, PathBuf};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// The largest coordinate that is accepted, in pixels. Sums and products of a few coordinates then
/// cannot overflow.
pub const LARGEST_COORDINATE: f64 = i32::MAX as f64;

/// The longest path that is accepted, in bytes. The system opens no longer one.
const LONGEST_PATH: usize = 4096;

/// A label: `1` or `0`.
pub fn label(text: &str) -> Result<bool> {
    match text.trim() {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(Error::failure(format!("`{other}` is not a label; 0 or 1 is expected"))),
    }
}

/// The number of a frame, as in `010` or `frame010`.
pub fn frame_number(text: &str) -> Result<u32> {
    let digits = text.trim().trim_start_matches("frame");
    digits.parse().map_err(|_| Error::failure(format!("`{text}` is not a frame number")))
}

/// The number of a sequence, as in `2`, `seq_2` or `video02`.
pub fn sequence_number(text: &str) -> Result<u32> {
    let trimmed = text.trim();
    let digits =
        trimmed.strip_prefix("seq_").or_else(|| trimmed.strip_prefix("video")).unwrap_or(trimmed);
    digits.parse().map_err(|_| {
        Error::failure(format!("`{text}` is not a sequence"))
            .hint("2, seq_2 and video02 are understood")
    })
}

/// A coordinate in pixels: a whole or decimal number, truncated towards 0.
pub fn coordinate(text: &str) -> Result<i64> {
    text.trim()
        .parse::<f64>()
        .ok()
        // This comparison is false for `nan`, too.
        .filter(|value| value.abs() <= LARGEST_COORDINATE)
        .map(|value| value as i64)
        .ok_or_else(|| Error::failure(format!("`{text}` is not a coordinate")))
}

/// A relative path that does not leave the folder that it counts from.
pub fn path_below_root(text: &str) -> Result<PathBuf> {
    let refused = |what: &str| {
        Error::failure(format!("the path `{}` {what}", shortened(text))).hint(
            "a path counts from the data set's root and stays below it, as in \
             frames/video03/000030.png",
        )
    };
    if text.len() > LONGEST_PATH {
        return Err(refused(&format!("has more than {LONGEST_PATH} bytes")));
    }
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(refused("leaves the data set's folder"));
            }
        }
    }
    if path.as_os_str().is_empty() {
        return Err(refused("names no file"));
    }
    if text.chars().any(char::is_control) {
        return Err(refused("has a control character"));
    }
    Ok(path)
}

/// The number at the end of a text, as 3 in `video03`. `None`: the text does not end in digits, or
/// the number is larger than a u32.
pub fn number_at_end(text: &str) -> Option<u32> {
    let before = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
    text[before.len()..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_coordinate_is_a_number_of_pixels() {
        assert_eq!((coordinate(" 12.9 ").unwrap(), coordinate("-0.5").unwrap()), (12, 0));
        for text in ["", "x", "nan", "inf", "-inf", "1e300", "-1e300", "4294967296"] {
            assert!(
                coordinate(text).unwrap_err().to_string().contains("is not a coordinate"),
                "{text}"
            );
        }
    }

    #[test]
    fn frames_and_sequences_are_numbers_with_or_without_their_prefix() {
        assert_eq!(["010", "frame010"].map(|text| frame_number(text).ok()), [Some(10); 2]);
        assert_eq!(["2", "seq_2", " video02"].map(|text| sequence_number(text).ok()), [Some(2); 3]);
        assert!(frame_number("-1").is_err() && sequence_number("seq_").is_err());
    }

    #[test]
    fn a_path_stays_below_the_root() {
        let long = format!("{}1.png", "./".repeat(2048));
        assert_eq!(path_below_root("./a//b/1.png").unwrap(), Path::new("a/b/1.png"));
        for (text, what) in [
            ("../1.png", "leaves the data set's folder"),
            ("a/../../1.png", "leaves the data set's folder"),
            ("/etc/passwd", "leaves the data set's folder"),
            ("", "names no file"),
            (".", "names no file"),
            ("a\n1.png", "has a control character"),
            (long.as_str(), "has more than 4096 bytes"),
        ] {
            assert!(path_below_root(text).unwrap_err().what().contains(what), "{text:?}");
        }
    }

    #[test]
    fn the_digits_at_the_end_are_the_number() {
        let texts = ["video03", "seq_2", "7", "v01_000083", "video", "", "x99999999999", "é5"];
        assert_eq!(
            texts.map(number_at_end),
            [Some(3), Some(2), Some(7), Some(83), None, None, None, Some(5)]
        );
    }

    proptest! {
        #[test]
        fn no_path_leads_out(text in "(\\.\\.|/|\\.|a|\\PC){0,12}") {
            if let Ok(path) = path_below_root(&text) {
                let mut components = path.components();
                prop_assert!(components.all(|part| matches!(part, Component::Normal(_))));
            }
            let _ = number_at_end(&text);
        }
    }
}
