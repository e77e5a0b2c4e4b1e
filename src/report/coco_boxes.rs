//! Boxes in COCO's form, in the pixels of the pictures as they lie in the data set's folder.
//!
//! * `DIR/MODEL/ground-truth.json` has all images and categories, and the true boxes. If nobody
//!   annotated the boxes of an image, it has `"boxes_annotated": false`.
//! * `DIR/MODEL/T/predictions.json` is the list that pycocotools' `loadRes` takes.
//! * `DIR/MODEL/T/instances.json` has the same boxes with images and categories, for CVAT and other
//!   tools that want one file.
//!
//! The id of an image is its row in the index and that of a category its class, both counted from
//! 1: they stay the same as long as the data recipe does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::export_paths;
use super::exports::{
    Exported, Frames, boxes_by_row, localized_cells, missing, object, write_atomically_quick,
};
use super::results::Results;
use surgcam_artifacts::boxes::BoxRow;
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::plan::{Handle, Source};
use surgcam_frames::dataset::frame::Picture;
use surgcam_frames::dataset::index::{Frame, read_lines};
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::picture;
use surgcam_pipeline::kinds::{IndexStage, SampleStage};
use surgcam_pipeline::planned::{Built, PlannedCell};

/// `[width, height]`.
type Size = [u32; 2];

#[derive(Serialize)]
struct File<'a> {
    info: Info,
    licenses: [u8; 0],
    images: &'a [Image],
    categories: &'a [Category],
    annotations: Vec<Annotation>,
}

#[derive(Serialize)]
struct Info {
    description: &'static str,
}

#[derive(Serialize)]
struct Image {
    id: usize,
    file_name: String,
    width: u32,
    height: u32,
    sequence: String,
    frame: String,
    train: bool,
    validation: bool,
    boxes_annotated: bool,
}

#[derive(Serialize)]
struct Category {
    id: usize,
    name: String,
    supercategory: &'static str,
}

#[derive(Serialize)]
struct Prediction {
    image_id: usize,
    category_id: usize,
    bbox: [f64; 4],
    score: f32,
}

#[derive(Serialize)]
struct Annotation {
    id: usize,
    image_id: usize,
    category_id: usize,
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    segmentation: [u8; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
}

pub fn boxes(built: &Built, results: &Results, folder: &Path) -> Result<Exported> {
    let mut files = 0;
    for (name, cells) in localized_cells(built) {
        let set = Set::of(built, results, cells[0])?;
        let folder = folder.join(&name);
        set.write(&folder.join("ground-truth.json"), "the true boxes", set.truth())?;
        files += 1;
        for cell in cells {
            let folder = folder.join(export_paths::roi_threshold(cell));
            let predictions = set.predictions(&boxes_by_row(results, cell)?);
            write_json(&folder.join("predictions.json"), &predictions)?;
            let annotations =
                numbered(predictions.into_iter().map(|found| {
                    (found.image_id, found.category_id, found.bbox, Some(found.score))
                }));
            set.write(&folder.join("instances.json"), "boxes that a model found", annotations)?;
            files += 2;
        }
    }
    Ok(Exported { files })
}

/// The images of a data set, and what their boxes count in.
struct Set {
    frames: Frames,
    rows: Vec<usize>,
    /// The image of each of the rows.
    images: Vec<Image>,
    categories: Vec<Category>,
    /// The size of the pictures that a model sees.
    seen: Size,
}

impl Set {
    fn of(built: &Built, results: &Results, cell: &PlannedCell) -> Result<Self> {
        let frames = Frames::of(results, cell)?;
        let pictures: Vec<Picture> =
            read_lines(&object(results, Some(cell.index), IndexStage::PICTURES)?)?;
        let root = root_of(built, results, cell)?;
        let rows = frames.rows();
        let images: Vec<Image> = rows
            .par_iter()
            .map(|&row| -> Result<Image> {
                let path = &pictures.get(row).ok_or_else(|| missing("a frame's picture"))?.path;
                let size = picture::dimensions(&root.join(path))?;
                Ok(image(row, &frames.frames[row], path, size))
            })
            .collect::<Result<Vec<Image>>>()?;
        let tissue = cell.label_space.tissue();
        let category = |(class, name): (usize, &String)| Category {
            id: class + 1,
            name: name.clone(),
            supercategory: if class == tissue { "tissue" } else { "instrument" },
        };
        let [height, width] = cell.image_size;
        Ok(Set {
            rows,
            images,
            categories: cell.label_space.classes.iter().enumerate().map(category).collect(),
            seen: [width, height],
            frames,
        })
    }

    fn truth(&self) -> Vec<Annotation> {
        let of_row = self.rows.iter().zip(&self.images).flat_map(|(&row, image)| {
            let frame = &self.frames.frames[row];
            frame.boxes.iter().flatten().map(move |labelled| {
                let bbox = scaled(&labelled.bounds, frame.box_space, size_of(image));
                (image.id, labelled.class + 1, bbox, None)
            })
        });
        numbered(of_row)
    }

    fn predictions(&self, found: &HashMap<usize, Vec<BoxRow>>) -> Vec<Prediction> {
        let of_row = self.rows.iter().zip(&self.images).flat_map(|(row, image)| {
            found.get(row).into_iter().flatten().map(move |found| Prediction {
                image_id: image.id,
                category_id: found.class + 1,
                bbox: scaled(&found.scored.bounds, self.seen, size_of(image)),
                score: found.scored.confidence,
            })
        });
        of_row.collect()
    }

    fn write(
        &self,
        path: &Path,
        description: &'static str,
        annotations: Vec<Annotation>,
    ) -> Result<()> {
        let (images, categories) = (&self.images, &self.categories);
        let info = Info { description };
        write_json(path, &File { info, licenses: [], images, categories, annotations })
    }
}

/// The folder that the paths of pictures count from.
fn root_of(built: &Built, results: &Results, cell: &PlannedCell) -> Result<PathBuf> {
    let stage = built.plan.stage(cell.index.id());
    if let Some(root) = stage.paths.get(IndexStage::ROOT.name()) {
        return Ok(root.clone());
    }
    let is_input = |sample: &Handle<SampleStage>| {
        stage.inputs.values().any(|input| match input {
            Source::Stage { id, .. } => *id == sample.id(),
            Source::External(_) => false,
        })
    };
    let sample = built.plan.of_kind::<SampleStage>().find(is_input);
    object(results, sample, SampleStage::SAMPLE)
}

fn image(row: usize, frame: &Frame, path: &Path, [width, height]: Size) -> Image {
    Image {
        id: row + 1,
        file_name: path.to_string_lossy().into_owned(),
        width,
        height,
        sequence: frame.sequence.clone(),
        frame: frame.name.clone(),
        train: frame.train,
        validation: frame.validation,
        boxes_annotated: frame.boxes.is_some(),
    }
}

fn size_of(image: &Image) -> Size {
    [image.width, image.height]
}

type Found = (usize, usize, [f64; 4], Option<f32>);

fn numbered(found: impl Iterator<Item = Found>) -> Vec<Annotation> {
    found
        .enumerate()
        .map(|(place, (image_id, category_id, bbox, score))| Annotation {
            id: place + 1,
            image_id,
            category_id,
            bbox,
            area: rounded(bbox[2] * bbox[3]),
            iscrowd: 0,
            segmentation: [],
            score,
        })
        .collect()
}

/// `[x, y, width, height]` of a box in a picture of another size.
fn scaled(bounds: &Box2, from: Size, to: Size) -> [f64; 4] {
    let scale = |value: i64, axis: usize| {
        rounded(value as f64 * f64::from(to[axis]) / f64::from(from[axis].max(1)))
    };
    [scale(bounds.x1, 0), scale(bounds.y1, 1), scale(bounds.width(), 0), scale(bounds.height(), 1)]
}

/// To hundredths of a pixel.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_atomically_quick(path, &serde_json::to_vec(value).at_path("write", path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_told_in_the_pixels_of_its_picture() {
        let bounds = Box2::from([10, 20, 40, 80]);
        assert_eq!(scaled(&bounds, [320, 256], [854, 480]), [26.69, 37.5, 80.06, 112.5]);
        assert_eq!(scaled(&bounds, [320, 256], [320, 256]), [10.0, 20.0, 30.0, 60.0]);
    }

    #[test]
    fn an_annotation_has_what_pycocotools_and_cvat_ask_for() {
        let annotations = numbered(
            [(7, 2, [1.0, 2.0, 3.0, 4.0], None), (7, 1, [0.5; 4], Some(0.25))].into_iter(),
        );
        let value = serde_json::to_value(annotations).unwrap();
        let expected = serde_json::json!([
            {
                "id": 1, "image_id": 7, "category_id": 2, "bbox": [1.0, 2.0, 3.0, 4.0],
                "area": 12.0, "iscrowd": 0, "segmentation": []
            },
            {
                "id": 2, "image_id": 7, "category_id": 1, "bbox": [0.5, 0.5, 0.5, 0.5],
                "area": 0.25, "iscrowd": 0, "segmentation": [], "score": 0.25
            }
        ]);
        assert_eq!(value, expected);
    }
}
