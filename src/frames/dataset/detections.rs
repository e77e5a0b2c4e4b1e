//! Boxes that a detector found in the frames of a data set, as another program wrote them: a table
//! (`table_file`) or a COCO file (`coco_file`).
//!
//! Boxes count in the pixels of the pictures, as annotated boxes do. Every problem is an error with
//! its place: a box of an unknown frame or class would otherwise be missing without a word. A box
//! that runs off its picture by a little is cut, as annotated boxes are.

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

/// In which form a file of detections is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectionFormat {
    Csv,
    Tsv,
    Coco,
}

impl DetectionFormat {
    /// By the ending of the file's name.
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

/// Where a detector's boxes are, and which of them are wanted.
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
    /// Of its frame, in the index.
    row: usize,
    class_name: String,
    bounds: Box2,
    score: f64,
    /// `file:line`, or the entry of a JSON file.
    place: String,
}

/// The boxes, each with the row of its frame, sorted by row, class and box; in pixels of frames of
/// `[height, width]`. Those of classes that the label space lacks are dropped.
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

/// A detector's score; a file without scores is sure of all its boxes.
fn checked_score(score: Option<f64>) -> Result<f64> {
    let score = score.unwrap_or(1.0);
    if (0.0..=1.0).contains(&score) {
        return Ok(score);
    }
    Err(Error::failure(format!("the score {score} is not from 0 to 1")))
}

#[cfg(test)]
mod tests;
