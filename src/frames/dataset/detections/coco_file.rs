//! Boxes of a detector in one of COCO's two forms. A results file is a list of objects with
//! `image_id`, `category_id`, `bbox` and `score`, about the images and categories of an annotation
//! file. A complete file has `images`, `categories`, and `annotations` with scores.
//!
//! The `file_name` of an image says which frame it is.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::{DetectionFiles, FoundBox, FrameFinder, checked_score};
use crate::dataset::adapters::coco::{Category, Image, bounds_of, id_of};
use crate::dataset::json_values::{JsonValue, bounded_list, not_understood};
use crate::dataset::label_file::{LABEL_FILE_BYTES, expect_short_name};
use crate::dataset::labels::normalized;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::regular_file;

/// The values of entries are checked one by one later, so that a bad one is named by its place.
#[derive(Deserialize)]
struct Detection {
    #[serde(default)]
    image_id: JsonValue,
    #[serde(default)]
    category_id: JsonValue,
    #[serde(default)]
    bbox: JsonValue,
    #[serde(default)]
    score: JsonValue,
}

struct Results(Vec<Detection>);

impl<'de> Deserialize<'de> for Results {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        bounded_list(deserializer).map(Results)
    }
}

/// The images and categories of an annotation file. Its annotations are passed over.
#[derive(Deserialize)]
struct Annotated {
    #[serde(deserialize_with = "bounded_list")]
    images: Vec<Image>,
    #[serde(deserialize_with = "bounded_list")]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Complete {
    #[serde(deserialize_with = "bounded_list")]
    annotations: Vec<Detection>,
    #[serde(deserialize_with = "bounded_list")]
    images: Vec<Image>,
    #[serde(deserialize_with = "bounded_list")]
    categories: Vec<Category>,
}

pub(super) fn read(files: &DetectionFiles, finder: &mut FrameFinder) -> Result<Vec<FoundBox>> {
    let text = text_of(files.boxes)?;
    if text.trim_start().starts_with('{') {
        let Complete { annotations, images, categories } = parsed(&text, files.boxes)?;
        let names = Names::of(&images, &categories, files.boxes)?;
        return names.boxes(&annotations, files.boxes, "annotations", finder);
    }
    let Results(results) = parsed::<Results>(&text, files.boxes)?;
    let Some(annotations) = files.annotations else {
        return Err(Error::failure(
            "a list of COCO results names its images and categories by ids alone",
        )
        .at_path(files.boxes)
        .hint(
            "name the COCO file that has these images and categories in the extraction recipe: \
             `box_annotations = \"instances.json\"`",
        ));
    };
    let Annotated { images, categories } = parsed(&text_of(annotations)?, annotations)?;
    let names = Names::of(&images, &categories, annotations)?;
    names.boxes(&results, files.boxes, "results", finder)
}

fn text_of(path: &Path) -> Result<String> {
    let text = regular_file::read_to_string(path, LABEL_FILE_BYTES)?;
    Ok(text.trim_start_matches('\u{feff}').to_string())
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str, path: &Path) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        not_understood("the COCO file", &error, path).hint(
            "a list of results is expected, or an object with `images`, `annotations` and \
             `categories`",
        )
    })
}

/// The names of the images and categories of a file, by their ids.
struct Names<'a> {
    /// The `file_name` of each image.
    images: HashMap<String, &'a str>,
    categories: HashMap<String, String>,
}

impl<'a> Names<'a> {
    fn of(images: &'a [Image], categories: &[Category], path: &Path) -> Result<Self> {
        let mut names = Names { images: HashMap::new(), categories: HashMap::new() };
        for (index, image) in images.iter().enumerate() {
            names
                .add_image(image)
                .map_err(|error| error.at(format!("{}: images[{index}]", path.display())))?;
        }
        for (index, category) in categories.iter().enumerate() {
            names
                .add_category(category)
                .map_err(|error| error.at(format!("{}: categories[{index}]", path.display())))?;
        }
        Ok(names)
    }

    fn add_image(&mut self, image: &'a Image) -> Result<()> {
        let id = id_of(&image.id, "id")?;
        let name =
            image.file_name.text().ok_or_else(|| Error::failure("the image has no `file_name`"))?;
        match self.images.insert(id.clone(), name) {
            None => Ok(()),
            Some(_) => Err(twice("image", &id)),
        }
    }

    fn add_category(&mut self, category: &Category) -> Result<()> {
        let id = id_of(&category.id, "id")?;
        let name =
            category.name.text().ok_or_else(|| Error::failure("the category has no `name`"))?;
        expect_short_name(name)?;
        match self.categories.insert(id.clone(), normalized(name)) {
            None => Ok(()),
            Some(_) => Err(twice("category", &id)),
        }
    }

    fn boxes(
        &self,
        detections: &[Detection],
        path: &Path,
        list: &str,
        finder: &mut FrameFinder,
    ) -> Result<Vec<FoundBox>> {
        let of_entry = |(index, detection): (usize, &Detection)| {
            let place = format!("{}: {list}[{index}]", path.display());
            self.box_of(detection, &place, finder).map_err(|error| error.at(place))
        };
        detections.iter().enumerate().map(of_entry).collect()
    }

    fn box_of(
        &self,
        detection: &Detection,
        place: &str,
        finder: &mut FrameFinder,
    ) -> Result<FoundBox> {
        let image = id_of(&detection.image_id, "image_id")?;
        let name = self.images.get(&image).ok_or_else(|| unknown("image", &image, "image_id"))?;
        let category = id_of(&detection.category_id, "category_id")?;
        let class_name = self
            .categories
            .get(&category)
            .ok_or_else(|| unknown("category", &category, "category_id"))?;
        Ok(FoundBox {
            row: finder.by_path(name)?,
            class_name: class_name.clone(),
            bounds: bounds_of(&detection.bbox)?,
            score: checked_score(score_of(&detection.score)?)?,
            place: place.to_string(),
        })
    }
}

fn score_of(score: &JsonValue) -> Result<Option<f64>> {
    match score {
        JsonValue::Absent => Ok(None),
        score => score.number().map(Some).ok_or_else(|| {
            Error::failure(format!("`score` is {}, which is not a number", shortened(score)))
        }),
    }
}

fn twice(what: &str, id: &str) -> Error {
    Error::failure(format!("a second {what} has the id {}", shortened(id)))
}

fn unknown(what: &str, id: &str, key: &str) -> Error {
    Error::failure(format!("no {what} has the id {} that `{key}` names", shortened(id)))
}
