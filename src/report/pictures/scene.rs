//! What the store knows of a frame: its picture, heat maps, boxes and truth.

use std::path::PathBuf;

use image::RgbImage;

use super::panel::{NamedBox, Place};
use crate::report::exports::object;
use crate::report::results::Results;
use surgcam_artifacts::boxes::{self, BoxRow};
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::Plan;
use surgcam_engine::suggestion::did_you_mean;
use surgcam_frames::dataset::index::{Frame, LabelledBox, Picture, read_frames, read_lines};
use surgcam_frames::dataset::labels::{CLASS_COLOURS, LabelSpace};
use surgcam_frames::dataset::pack::Pack;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::picture;
use surgcam_pipeline::kinds::{
    DetectionsStage, HeatMapsStage, IndexStage, LocalizeStage, PackStage,
};
use surgcam_pipeline::planned::PlannedCell;

/// The frames of a cell.
pub struct Frames<'a> {
    cell: &'a PlannedCell,
    results: &'a Results<'a>,
    pub all: Vec<Frame>,
    pictures: Vec<Picture>,
    root: Option<PathBuf>,
}

impl<'a> Frames<'a> {
    pub fn open(cell: &'a PlannedCell, results: &'a Results<'a>, plan: &Plan) -> Result<Self> {
        let pack = plan.stage(cell.pack.id());
        let drawn = pack.inputs.get("sample").map(|sample| results.source(sample)).transpose()?;
        let root = drawn.flatten().or_else(|| pack.paths.get(PackStage::ROOT.name()).cloned());
        Ok(Frames {
            cell,
            results,
            all: read_frames(&object(results, Some(cell.index), IndexStage::INDEX)?)?,
            pictures: read_lines(&object(results, Some(cell.index), IndexStage::PICTURES)?)?,
            root,
        })
    }

    /// The row of SEQUENCE/NAME, by default of the first validation frame.
    pub fn find(&self, wanted: Option<&str>) -> Result<usize> {
        let full_name = |frame: &Frame| format!("{}/{}", frame.sequence, frame.name);
        let found = match wanted {
            Some(wanted) => self.all.iter().position(|frame| full_name(frame) == wanted),
            None => self.all.iter().position(|frame| frame.validation).or(Some(0)),
        };
        found.filter(|&row| row < self.all.len()).ok_or_else(|| {
            let names: Vec<String> = self.all.iter().map(full_name).collect();
            let wanted = wanted.unwrap_or_default();
            Error::usage(format!(
                "the data have no frame `{wanted}`{}",
                did_you_mean(wanted, names.iter().map(String::as_str))
            ))
        })
    }

    /// Validation frames, spread evenly.
    pub fn spread(&self, count: usize) -> Vec<usize> {
        let rows: Vec<usize> =
            (0..self.all.len()).filter(|&row| self.all[row].validation).collect();
        let mut places: Vec<usize> =
            (0..count).map(|place| (2 * place + 1) * rows.len() / (2 * count)).collect();
        places.dedup();
        places.into_iter().filter_map(|place| rows.get(place).copied()).collect()
    }

    pub fn scene(&self, row: usize) -> Result<Scene<'a>> {
        let frame = self.all[row].clone();
        let folder = object(self.results, self.cell.stages.heat_maps, HeatMapsStage::HEAT_MAPS)?;
        let sequence = heat_maps::read_sequence(&folder, &frame.sequence)?;
        let heat = sequence.into_iter().find(|heat| heat.row == row).ok_or_else(|| {
            Error::failure(format!(
                "{}/{} was skipped: its picture cannot be read",
                frame.sequence, frame.name
            ))
        })?;
        Ok(Scene { space: &self.cell.label_space, picture: self.picture(row)?, frame, heat })
    }

    /// In the resolution of its file; as it was packed where the file is not there any more.
    fn picture(&self, row: usize) -> Result<RgbImage> {
        if let (Some(root), Some(of_row)) = (&self.root, self.pictures.get(row)) {
            match picture::read(&root.join(&of_row.path)) {
                Ok(found) => return Ok(found),
                Err(error) => tracing::warn!("the packed picture is shown: {error}"),
            }
        }
        let pack = Pack::open(&object(self.results, Some(self.cell.pack), PackStage::PACK)?)?;
        let [height, width] = self.cell.image_size;
        Ok(picture::from_planes(pack.row(row), height, width))
    }
}

/// A frame with what a model found in it.
pub struct Scene<'a> {
    pub space: &'a LabelSpace,
    pub frame: Frame,
    pub picture: RgbImage,
    pub heat: FrameHeat,
}

impl Scene<'_> {
    pub fn name(&self) -> String {
        format!("{}/{}", self.frame.sequence, self.frame.name)
    }

    /// The present instrument with the highest logit; the tissue where no instrument is present.
    pub fn most_present(&self) -> Option<usize> {
        let logit = |class: usize| self.heat.logits.get(class).copied().unwrap_or(f32::MIN);
        let present = &self.heat.present;
        let instruments = present.iter().copied().filter(|&class| class != self.space.tissue());
        instruments.max_by(|&a, &b| logit(a).total_cmp(&logit(b))).or(present.first().copied())
    }

    /// How sure the model is that a class is there.
    pub fn probability(&self, class: usize) -> f32 {
        self.heat.logits.get(class).map_or(0.0, |logit| 1.0 / (1.0 + (-logit).exp()))
    }

    pub fn class_name(&self, class: usize) -> &str {
        class_name(self.space, class)
    }

    /// The heat map of a class in the picture's size, if the class is present.
    pub fn map(&self, class: usize) -> Option<HeatMap> {
        let (width, height) = self.picture.dimensions();
        let position = self.heat.present.iter().position(|&present| present == class)?;
        let map = self.heat.maps.get(position)?;
        Some(map.resized(height as usize, width as usize))
    }
}

/// The class of this name or id.
pub fn class_of(space: &LabelSpace, wanted: &str) -> Result<usize> {
    let by_id = wanted.parse().ok().filter(|&class: &usize| class < space.len());
    by_id.or_else(|| space.index_of(wanted)).ok_or_else(|| {
        let suggestion = did_you_mean(wanted, space.classes.iter().map(String::as_str));
        Error::usage(format!("there is no class `{wanted}`{suggestion}"))
            .hint(format!("the classes are {}", space.classes.join(", ")))
    })
}

/// The boxes of a cell at its T_ROI.
pub fn boxes_of(cell: &PlannedCell, results: &Results) -> Result<Vec<BoxRow>> {
    boxes::read(&object(results, cell.stages.localize, LocalizeStage::BOXES)?)
}

/// The boxes that a detector found for a cell.
pub fn detected_boxes(cell: &PlannedCell, results: &Results) -> Result<Vec<BoxRow>> {
    boxes::read(&object(results, cell.stages.detections, DetectionsStage::DETECTED)?)
}

pub fn colour_of(class: usize) -> [u8; 3] {
    CLASS_COLOURS[class % CLASS_COLOURS.len()]
}

pub fn class_name(space: &LabelSpace, class: usize) -> &str {
    space.classes.get(class).map_or("?", String::as_str)
}

/// The boxes that were found in a row of the index, with their confidence.
pub fn predicted_boxes(found: &[BoxRow], row: usize, cell: &PlannedCell) -> Vec<NamedBox> {
    let [height, width] = cell.image_size;
    let of_row = found.iter().filter(|found| found.row == row);
    let named = |found: &BoxRow| {
        let name = class_name(&cell.label_space, found.class);
        NamedBox {
            class: Some(found.class),
            place: shares(&found.scored.bounds, [width, height]),
            name: format!("{name} {:.2}", found.scored.confidence),
            colour: colour_of(found.class),
            is_true: false,
        }
    };
    of_row.map(named).collect()
}

/// The boxes that somebody drew.
pub fn true_boxes(frame: &Frame, space: &LabelSpace) -> Vec<NamedBox> {
    let named = |labelled: &LabelledBox| NamedBox {
        class: Some(labelled.class),
        place: shares(&labelled.bounds, frame.box_space),
        name: format!("{}, true", class_name(space, labelled.class)),
        colour: colour_of(labelled.class),
        is_true: true,
    };
    frame.boxes.iter().flatten().map(named).collect()
}

fn shares(bounds: &Box2, [width, height]: [u32; 2]) -> Place {
    let share = |value: i64, all: u32| value as f64 / f64::from(all.max(1));
    [
        share(bounds.x1, width),
        share(bounds.y1, height),
        share(bounds.x2, width),
        share(bounds.y2, height),
    ]
}
