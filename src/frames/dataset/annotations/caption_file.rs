//! Captions as JSON: `[{"id_path": "seq_2/features/frame045_features.npy", "caption": "..."}]`.
//! Other keys are passed over.
//!
//! The path only names a frame, and such a file need not exist. Its first part is the sequence
//! (`seq_2`, `video03`), and the digits at the start of its last part are the frame (`frame045...`,
//! `000030...`). White space in a caption becomes one space. An empty caption counts as none
//! (docs/method.md, section 2).

use std::path::Path;

use serde::Deserialize;

use super::FrameNumber;
use crate::dataset::fields::{frame_number, sequence_number};
use crate::dataset::json_values::{JsonValue, bounded_list, not_understood};
use crate::dataset::label_file::LABEL_FILE_BYTES;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::regular_file;

#[derive(Debug, Clone, PartialEq)]
pub struct PlacedCaption {
    pub frame: FrameNumber,
    pub caption: String,
    /// The file and the number of the entry, because the whole file may be one line.
    pub place: String,
}

/// The values are checked later, so that a bad one is a problem of its entry.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    id_path: JsonValue,
    #[serde(default)]
    caption: JsonValue,
}

/// Reads a file. An entry that cannot be used is added to `problems`. A file that is not a list of
/// objects is an error.
pub fn read(path: &Path, problems: &mut Vec<Error>) -> Result<Vec<PlacedCaption>> {
    let text = regular_file::read_to_string(path, LABEL_FILE_BYTES)?;
    captions_in(&text, path, problems)
}

pub(super) fn captions_in(
    text: &str,
    path: &Path,
    problems: &mut Vec<Error>,
) -> Result<Vec<PlacedCaption>> {
    let entries = entries_in(text.trim_start_matches('\u{feff}')).map_err(|error| {
        not_understood("the captions", &error, path)
            .hint("a list of objects is expected, each with an `id_path` and a `caption`")
    })?;
    let mut captions = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("{}: entry {}", path.display(), index + 1);
        match caption(entry) {
            Ok((_, caption)) if caption.is_empty() => {}
            Ok((frame, caption)) => captions.push(PlacedCaption { frame, caption, place }),
            Err(error) => problems.push(error.at(place)),
        }
    }
    Ok(captions)
}

fn entries_in(text: &str) -> serde_json::Result<Vec<Entry>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = bounded_list(&mut json)?;
    json.end()?;
    Ok(entries)
}

fn caption(entry: &Entry) -> Result<(FrameNumber, String)> {
    let text_of = |value: &JsonValue, key: &str| {
        value.text().map(str::to_string).ok_or_else(|| {
            Error::failure(format!("this is not a caption: `{key}` is {}", shortened(value)))
        })
    };
    let frame = frame_of(&text_of(&entry.id_path, "id_path")?)?;
    Ok((frame, evened(&text_of(&entry.caption, "caption")?)))
}

/// The text with one space between words and none around them.
pub(super) fn evened(caption: &str) -> String {
    caption.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn frame_of(id_path: &str) -> Result<FrameNumber> {
    let unclear = |_| {
        Error::failure(format!("`{id_path}` names no frame")).hint(
            "an id_path has the sequence first and the frame last, as in \
             seq_2/features/frame045_features.npy",
        )
    };
    let (first, rest) = id_path.split_once('/').unwrap_or((id_path, ""));
    let last = rest.rsplit('/').next().unwrap_or(rest);
    let digits: String =
        last.trim_start_matches("frame").chars().take_while(char::is_ascii_digit).collect();
    Ok(FrameNumber {
        sequence: sequence_number(first).map_err(unclear)?,
        frame: frame_number(&digits).map_err(unclear)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_path_gives_sequence_and_frame() {
        let numbers = |path: &str| frame_of(path).map(|found| (found.sequence, found.frame)).ok();
        assert_eq!(numbers("seq_2/features/frame045_features.npy"), Some((2, 45)));
        assert_eq!(numbers("seq_16/frame000"), Some((16, 0)));
        assert_eq!(numbers("video03/000030.png"), Some((3, 30)));
        for path in [
            "",
            "seq_2",
            "seq_2/",
            "seq_x/frame000.npy",
            "frames/frame000.npy",
            "seq_2/picture.npy",
            "seq_2/frame99999999999",
        ] {
            assert_eq!(numbers(path), None, "{path}");
        }
    }

    #[test]
    fn a_bad_entry_is_a_problem_with_its_number_and_the_rest_is_read() {
        let text = r#"[
            {"id_path": "seq_2/frame001.npy", "caption": " A suction  suctioning\u3000blood "},
            {"id_path": "here", "caption": "A", "another": 1},
            {"id_path": "seq_2/frame003.npy"},
            {"id_path": "seq_2/frame004", "caption": " "}]"#;
        let mut problems = Vec::new();
        let captions = captions_in(text, Path::new("captions.json"), &mut problems).unwrap();
        let found: Vec<(u32, &str)> =
            captions.iter().map(|found| (found.frame.frame, found.caption.as_str())).collect();
        assert_eq!(found, [(1, "A suction suctioning blood")]);
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            texts[0].starts_with("captions.json: entry 2: `here` names no frame"),
            "{}",
            texts[0]
        );
        assert!(
            texts[1]
                .starts_with("captions.json: entry 3: this is not a caption: `caption` is missing"),
            "{}",
            texts[1]
        );
        assert_eq!(texts.len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,80}", id_path in ".{0,30}") {
            let _ = captions_in(&text, Path::new("x"), &mut Vec::new());
            let _ = frame_of(&id_path);
        }
    }
}
