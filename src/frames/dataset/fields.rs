//! What single fields of label, box, caption and interaction files say, whatever layout they belong to.

use surgcam_engine::error::{Error, Result};

/// The largest number of pixels that is taken for a coordinate, so that no sum or product of some overflows.
const LARGEST_COORDINATE: f64 = i32::MAX as f64;

/// `1` or `0`, in any file of labels.
pub fn label(text: &str) -> Result<bool> {
    match text.trim() {
        "0" => Ok(false),
        "1" => Ok(true),
        other => Err(Error::failure(format!("`{other}` is no label; 0 or 1 is expected"))),
    }
}

/// `010` or `frame010`.
pub fn frame_number(text: &str) -> Result<u32> {
    let digits = text.trim().trim_start_matches("frame");
    digits.parse().map_err(|_| Error::failure(format!("`{text}` is no frame number")))
}

/// `2`, `seq_2` or `video02`.
pub fn sequence_number(text: &str) -> Result<u32> {
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix("seq_").or_else(|| trimmed.strip_prefix("video")).unwrap_or(trimmed);
    digits.parse().map_err(|_| Error::failure(format!("`{text}` is no sequence")).hint("2, seq_2 and video02 are understood"))
}

/// A whole or decimal number of pixels, truncated.
pub fn coordinate(text: &str) -> Result<i64> {
    text.trim()
        .parse::<f64>()
        .ok()
        // Nor is `nan` below it.
        .filter(|value| value.abs() <= LARGEST_COORDINATE)
        .map(|value| value as i64)
        .ok_or_else(|| Error::failure(format!("`{text}` is no coordinate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinate_is_a_number_of_pixels() {
        assert_eq!((coordinate(" 12.9 ").unwrap(), coordinate("-0.5").unwrap()), (12, 0));
        for text in ["", "x", "nan", "inf", "-inf", "1e300", "-1e300", "4294967296"] {
            assert!(coordinate(text).unwrap_err().to_string().contains("is no coordinate"), "{text}");
        }
    }

    #[test]
    fn frames_and_sequences_are_numbers_with_or_without_their_prefix() {
        assert_eq!(["010", "frame010"].map(|text| frame_number(text).ok()), [Some(10); 2]);
        assert_eq!(["2", "seq_2", " video02"].map(|text| sequence_number(text).ok()), [Some(2); 3]);
        assert!(frame_number("-1").is_err() && sequence_number("seq_").is_err());
    }
}
