//! Where exported files lie below the folder that a person names: the one place where names become
//! paths of an export.
//!
//! Names of recipes are checked where they are read, and so are those of frames. But a swept value
//! can be any text. So every part of a path goes through [`part`], which makes one safe file name
//! from any text.

use std::fmt;
use std::path::{Path, PathBuf};

use surgcam_engine::store::digest::Digest;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::vision::geometry::Box2;
use surgcam_pipeline::planned::PlannedCell;
use surgcam_pipeline::recipe_key;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::ExtractionRecipe;

/// The most bytes of a part. File systems allow 255, and something may be put behind a part.
const LONGEST: usize = 200;
/// The most bytes of a text that digits of its digest are put behind. Together they are not longer
/// than [`LONGEST`].
const LONGEST_START: usize = LONGEST - 14;

/// A text as one part of a path. A safe name stays as it is. In any other text, unsafe letters are
/// replaced, and what is too long is cut off. The first digits of its digest are then put behind
/// it, so that two texts never become one part.
pub(super) fn part(text: impl fmt::Display) -> String {
    let text = text.to_string();
    let is_unsafe = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
    if !text.is_empty()
        && !text.starts_with('.')
        && text.len() <= LONGEST
        && !text.contains(is_unsafe)
    {
        return text;
    }
    let start = text
        .char_indices()
        .take_while(|(place, letter)| place + letter.len_utf8() <= LONGEST_START);
    let safe: String =
        start.map(|(_, letter)| if is_unsafe(letter) { '_' } else { letter }).collect();
    format!("_{safe}~{}", Digest::of_bytes(text.as_bytes()).short())
}

/// The folder of a model; cells that differ in swept values of the model or its data have folders
/// of their own.
pub(super) fn model(cell: &PlannedCell) -> String {
    // They are in the names below, each of a folder or of a file.
    let shown_below = [
        recipe_key!(ExtractionRecipe, roi_threshold).axis(),
        recipe_key!(ExtractionRecipe, pool).axis(),
    ];
    let swept: Vec<String> = cell
        .cell
        .assignment
        .iter()
        .filter(|(axis, _)| axis.contains('.') && !shown_below.contains(axis))
        .map(|(axis, value)| format!("{axis}={}", swept_value(value)))
        .collect();
    part(if swept.is_empty() {
        cell.model.name.clone()
    } else {
        format!("{}[{}]", cell.model.name, swept.join(";"))
    })
}

/// A swept value in the name of a folder. A text stays as it is, so that two texts stay different.
/// Any other value is written as in TOML, without spaces.
fn swept_value(value: &toml::Value) -> String {
    match value.as_str() {
        Some(text) => text.to_string(),
        None => value.to_string().replace(['"', ' '], ""),
    }
}

/// The folder of a model where several extractions find other boxes at one T_ROI.
pub(super) fn model_by_extraction(model: &str, extraction: &Resolved<ExtractionRecipe>) -> String {
    part(format!("{model}[{}]", extraction.name))
}

pub(super) fn roi_threshold(cell: &PlannedCell) -> String {
    cell.extraction
        .as_ref()
        .map(|extraction| part(extraction.value.roi_threshold))
        .unwrap_or_default()
}

/// The folder of one way of extraction.
pub(super) fn extraction(extraction: &Resolved<ExtractionRecipe>) -> String {
    part(format!(
        "{}_roi{}_pool{}",
        extraction.name,
        extraction.value.roi_threshold,
        extraction.value.pool.channels()
    ))
}

/// The folder of a captioner: of the extraction, and of the head where a matrix sweeps heads.
pub(super) fn captioner(cell: &PlannedCell, of: &Resolved<ExtractionRecipe>) -> String {
    match &cell.cell.head {
        Some(head) => part(format!("{}_{head}", extraction(of))),
        None => extraction(of),
    }
}

/// A frame's logits, heat maps and boxes, in the folder of its model.
pub(super) fn localized_frame(folder: &Path, of: &Frame) -> PathBuf {
    frame(folder, of, "", "npz")
}

/// A region that is cut out of a frame, in the folder of its model and T_ROI.
pub(super) fn crop(
    folder: &Path,
    of: &Frame,
    class: usize,
    index: usize,
    bounds: &Box2,
) -> PathBuf {
    frame(folder, of, &region(class, index, bounds), "png")
}

/// A region's features, in the folder of its extraction.
pub(super) fn region_features(
    folder: &Path,
    of: &Frame,
    class: usize,
    index: usize,
    bounds: &Box2,
) -> PathBuf {
    frame(&folder.join("per_region"), of, &region(class, index, bounds), "npz")
}

/// A frame's features, in the folder of its extraction.
pub(super) fn frame_features(folder: &Path, of: &Frame) -> PathBuf {
    frame(&folder.join("per_frame"), of, "", "npy")
}

fn region(class: usize, index: usize, bounds: &Box2) -> String {
    format!("_{class}_{index}_{}", bounds.file_name_part())
}

/// A frame's file: in the folder of its sequence, with `more` behind its name.
fn frame(folder: &Path, frame: &Frame, more: &str, extension: &str) -> PathBuf {
    folder
        .join(part(&frame.sequence))
        .join(format!("{}.{extension}", part(format!("{}{more}", frame.name))))
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn safe_names_stay_as_they_are() {
        for name in [
            "gc-d",
            "sl-fe_roi0.3_pool512",
            "seq_1",
            "frame010_3_0_-4,2,30,40",
            "tiny[data.image_size=[64,80];model.epochs=3]",
        ] {
            assert_eq!(part(name), name);
        }
    }

    #[test]
    fn swept_values_stay_apart_and_keep_their_form() {
        let value = |text: &str| toml::Value::from(text);
        assert_ne!(part(swept_value(&value("w/a.pth"))), part(swept_value(&value("wa.pth"))));
        assert_ne!(part(swept_value(&value("w a"))), part(swept_value(&value("wa"))));
        assert_eq!(swept_value(&toml::Value::from(vec![64, 80])), "[64,80]");
        assert_eq!(swept_value(&value("bf16")), "bf16");
    }

    #[test]
    fn two_unsafe_names_stay_two() {
        assert_ne!(part("a:b"), part("a*b"));
        assert_ne!(part("x".repeat(300)), part("x".repeat(301)));
    }

    proptest! {
        #[test]
        fn every_text_is_one_part_of_a_path(text in "(\\PC|[./\\\\\\x00-\\x1f]){0,300}") {
            let made = part(&text);
            let path = Path::new("folder").join(&made);
            let parts: Vec<Component> = path.components().collect();
            prop_assert_eq!(parts.len(), 2);
            prop_assert!(matches!(parts[1], Component::Normal(_)) && made.len() < 255);
            prop_assert_eq!(part(&made), made);
        }
    }
}
