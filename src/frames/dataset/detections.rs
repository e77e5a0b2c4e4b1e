//! Boxes that a detector found in the frames of a data set, in a file that another program wrote: a
//! table (`table_file`) or a COCO file (`coco_file`).
//!
//! Boxes are in pixels of the pictures, as annotated boxes are. Every problem is an error with its
//! place, because a box of an unknown frame or class would otherwise be missing without a message.
//! A box that runs off its picture by a little is cut, as annotated boxes are.

mod coco_file;
mod frame_finder;
mod table_file;

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::boxes;
use super::frame::DetectedBox;
use super::labels::ClassMap;
use crate::vision::geometry::Box2;
use crate::vision::picture;
use crate::vision::regions::ScoredBox;
use frame_finder::FrameFinder;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

pub use frame_finder::KnownFrames;

/// The form of a file of detections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectionFormat {
    Csv,
    Tsv,
    Coco,
}

impl DetectionFormat {
    /// The form by the ending of the file's name. `None`: the ending is another one.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(DetectionFormat::Csv),
            "tsv" => Some(DetectionFormat::Tsv),
            "json" => Some(DetectionFormat::Coco),
            _ => None,
        }
    }
}

/// Where the boxes of a detector are, and which of them are wanted.
#[derive(Debug, Clone, Copy)]
pub struct DetectionFiles<'a> {
    pub boxes: &'a Path,
    pub format: DetectionFormat,
    /// The COCO annotation file whose images and categories a results file names.
    pub annotations: Option<&'a Path>,
    /// Boxes with a lower score are left out.
    pub score_threshold: f64,
}

/// A box as the file has it.
struct FoundBox {
    /// The row of its frame in the index.
    row: usize,
    class_name: String,
    bounds: Box2,
    score: f64,
    /// `file:line`, or the entry of a JSON file.
    place: String,
}

/// Reads the boxes, each with the row of its frame, sorted by row, class and box. They are scaled
/// to the pixels of frames of `image_size`, which is `[height, width]`. Boxes of classes that the
/// label space does not have are dropped.
pub fn read(
    files: &DetectionFiles,
    known: &KnownFrames,
    classes: &ClassMap,
    image_size: [u32; 2],
) -> Result<Vec<(usize, DetectedBox)>> {
    let mut finder = FrameFinder::of(known);
    let found = match files.format {
        DetectionFormat::Csv | DetectionFormat::Tsv => table_file::read(files, &mut finder)?,
        DetectionFormat::Coco => coco_file::read(files, &mut finder)?,
    };
    let [height, width] = image_size;
    let mut picture_sizes: HashMap<usize, [u32; 2]> = HashMap::new();
    let mut detected = Vec::new();
    for found in found {
        let class = classes.class(&found.class_name).map_err(|error| error.at(&found.place))?;
        let picture_size = match picture_sizes.get(&found.row) {
            Some(&known) => known,
            None => *picture_sizes
                .entry(found.row)
                .or_insert(picture::dimensions(&known.root.join(&known.pictures[found.row]))?),
        };
        let inside = boxes::in_picture(found.bounds, picture_size).map_err(|what| {
            let (corners, name) = (found.bounds.file_name_part(), shortened(&found.class_name));
            Error::failure(format!("the box {corners} of `{name}` {what}")).at(&found.place).hint(
                "boxes count in the pixels of the pictures as they lie in the data set's folder",
            )
        })?;
        let Some(class) = class.filter(|_| found.score >= files.score_threshold) else { continue };
        let bounds = inside.scaled(picture_size, [width, height]);
        let scored = ScoredBox { bounds, confidence: found.score as f32 };
        detected.push((found.row, DetectedBox { class, scored }));
    }
    detected.sort_by_key(|(row, found)| (*row, found.class, found.scored.bounds));
    Ok(detected)
}

/// The score of a box, which must be from 0 to 1. Without scores in the file, all boxes have 1.
fn checked_score(score: Option<f64>) -> Result<f64> {
    let score = score.unwrap_or(1.0);
    if (0.0..=1.0).contains(&score) {
        return Ok(score);
    }
    Err(Error::failure(format!("the score {score} is not from 0 to 1")))
}

#[cfg(test)]
mod tests;
