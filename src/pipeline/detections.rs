//! The stage that reads a detector's boxes, where an extraction recipe names them.

use std::path::Path;

use super::kinds::*;
use super::models::ModelStages;
use super::naming::{Keys, read};
use super::planner::{Outside, Planner};
use super::sources::Origin;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{Handle, NewStage, Resource, Source};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::stat;
use surgcam_frames::dataset::detections::DetectionFormat;
use surgcam_frames::dataset::labels::{ClassMap, normalized};
use surgcam_recipe::experiment::Cell;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::{ExtractionRecipe, Section};
use surgcam_values::Mode;

/// A detector's boxes, planned.
pub(super) struct Detections {
    pub stage: Handle<DetectionsStage>,
    /// What tells them apart from others, for names of stages.
    pub place: String,
}

impl Detections {
    pub(super) fn boxes(&self) -> Source {
        self.stage.output(DetectionsStage::DETECTED)
    }
}

impl Planner<'_> {
    /// `None` for a mode that uses no detector.
    pub(super) fn detections(
        &mut self,
        cell: &Cell,
        model: &ModelStages,
        extraction: &Resolved<ExtractionRecipe>,
    ) -> Result<Option<Detections>> {
        check_boxes(extraction)?;
        let recipe = &extraction.value;
        let mut keys = Keys::all_up_to(Section::Model);
        let Some(file) = read!(keys, recipe.boxes) else { return Ok(None) };
        let format = format_of(file, &extraction.name)?;
        let annotations = read!(keys, recipe.box_annotations)
            .as_ref()
            .filter(|_| format == DetectionFormat::Coco);
        let parameters = DetectionsStage {
            format,
            classes: with_own_names(&model.frames.classes),
            image_size: model.frames.image_size,
            score_threshold: read!(keys, recipe.score_threshold).value(),
        };
        let digest = self.digest_of(file, &extraction.name)?;
        let annotated =
            annotations.map(|file| self.digest_of(file, &extraction.name)).transpose()?;
        let frames = &model.frames;
        let sample = match &frames.origin {
            Origin::Drawn(sample) => Some(sample.output(SampleStage::SAMPLE)),
            Origin::Folder { .. } => None,
        };
        let inputs = DetectionsInputs {
            boxes: Source::External(digest),
            annotations: annotated.map(Source::External),
            index: frames.index.output(IndexStage::INDEX),
            pictures: frames.index.output(IndexStage::PICTURES),
            sample,
        };
        let place = format!("{} {}{}", model.recipe.name, extraction.name, keys.swept(cell));
        let name = format!("detections {place}");
        let mut stage = NewStage::new(name, &parameters, inputs, Resource::Processor)
            .with_path(DetectionsStage::FILE, self.project.join(file));
        if let Some(file) = annotations {
            stage = stage.with_path(DetectionsStage::ANNOTATIONS, self.project.join(file));
        }
        if let Origin::Folder { root, .. } = &frames.origin {
            stage = stage.with_path(DetectionsStage::ROOT, root.clone());
        }
        Ok(Some(Detections { stage: self.plan.add(stage), place }))
    }

    fn digest_of(&self, file: &Path, extraction: &str) -> Result<Digest> {
        let path = self.project.join(file);
        match self.outside {
            Outside::Assumed => Ok(Digest::of_bytes(path.as_os_str().as_encoded_bytes())),
            Outside::Read(_) if !path.is_file() => Err(Error::usage(format!(
                "a file of boxes that extraction.{extraction} names is not there"
            ))
            .at_path(&path)
            .hint("check the path; it counts from the project's folder")),
            Outside::Read(store) => stat::digest(store, &path).map_err(Error::as_usage),
        }
    }
}

/// Whether the mode and the recipe's boxes belong together.
pub(super) fn check_boxes(extraction: &Resolved<ExtractionRecipe>) -> Result<()> {
    let ExtractionRecipe { mode, boxes, .. } = &extraction.value;
    match (*mode == Mode::DetectorBoxes, boxes) {
        (true, None) => Err(Error::usage(format!(
            "extraction.{} has the mode `detector-boxes` and names no boxes",
            extraction.name
        ))
        .hint(format!(
            "give it your detector's file, which can be CSV or COCO: \
             --set extraction.{}.boxes=boxes.csv",
            extraction.name
        ))),
        (true, Some(file)) => format_of(file, &extraction.name).map(drop),
        (false, Some(_)) => Err(Error::usage(format!(
            "extraction.{} names `boxes`, which its mode `{}` does not use",
            extraction.name,
            mode.name()
        ))
        .hint("they are for `mode = \"detector-boxes\"`")),
        (false, None) => Ok(()),
    }
}

fn format_of(file: &Path, extraction: &str) -> Result<DetectionFormat> {
    DetectionFormat::of(file).ok_or_else(|| {
        Error::usage(format!(
            "extraction.{extraction} names boxes in a file that is neither .csv nor .tsv nor .json"
        ))
        .at_path(file)
        .hint("write a table of boxes as CSV, or boxes in COCO's form as JSON")
    })
}

/// The data set's names of classes, and beside them the label space's own, which a detector that
/// was trained for it has.
fn with_own_names(classes: &ClassMap) -> ClassMap {
    let mut classes = classes.clone();
    for class in &classes.space.classes {
        classes.names.entry(normalized(class)).or_insert_with(|| class.clone());
    }
    classes
}
