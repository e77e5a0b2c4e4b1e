//! Pictures of chosen frames: the heat map over the picture, and the boxes beside the truth, for
//! each model and T_ROI.

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use serde::Serialize;

use super::origins::line;
use crate::report::encoded::base64;
use crate::report::pictures::overlay::Overlay;
use crate::report::pictures::scene::Scene;
use crate::report::pictures::sheets::of_frame;
use crate::report::results::Results;
use surgcam_artifacts::boxes::{self, BoxRow};
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Handle, StageId};
use surgcam_engine::store::Store;
use surgcam_frames::dataset::index::{Frame, read_frames};
use surgcam_frames::dataset::pack::Pack;
use surgcam_frames::vision::picture;
use surgcam_pipeline::kinds::{HeatMapsStage, IndexStage, LocalizeStage, PackStage};
use surgcam_pipeline::planned::{Built, PlannedCell};

/// Frames that are shown of each model, spread over the validation frames.
const FRAMES: usize = 3;
/// The page stays small enough to be sent around.
const MOST_PICTURES: usize = 24;
const QUALITY: u8 = 82;
/// The width of the heat map, and of the boxes beside it. A page shows both in little more than
/// half of its width, in which the names of boxes must still be read.
const PICTURE_WIDTH: u32 = 320;

#[derive(Serialize)]
pub struct GalleryPicture {
    /// A JPEG as a data URL.
    pub data: String,
    pub caption: String,
}

pub struct GallerySource<'a> {
    pub built: &'a Built,
    pub store: &'a Store,
    pub known: &'a Known,
}

impl GallerySource<'_> {
    /// Nothing where nothing was localised yet.
    pub fn pictures(&self) -> Result<Vec<GalleryPicture>> {
        let mut shown: Vec<StageId> = Vec::new();
        let mut pictures = Vec::new();
        for cell in &self.built.cells {
            let Some(localize) =
                cell.stages.localize.filter(|localize| !shown.contains(&localize.id()))
            else {
                continue;
            };
            if pictures.len() >= MOST_PICTURES {
                break;
            }
            shown.push(localize.id());
            pictures.extend(self.of_cell(cell, localize)?);
        }
        pictures.truncate(MOST_PICTURES);
        Ok(pictures)
    }

    fn of_cell(
        &self,
        cell: &PlannedCell,
        localize: Handle<LocalizeStage>,
    ) -> Result<Vec<GalleryPicture>> {
        let results = Results::new(self.store, self.known);
        let found = (
            results.output(cell.index, IndexStage::INDEX)?,
            results.output(localize, LocalizeStage::BOXES)?,
            results.unread(cell.pack, PackStage::PACK),
            cell.stages.heat_maps.and_then(|stage| results.unread(stage, HeatMapsStage::HEAT_MAPS)),
        );
        let (Some(index), Some(boxes), Some(pack), Some(heat_maps)) = found else {
            return Ok(Vec::new());
        };
        let frames = read_frames(&index)?;
        let boxes = boxes::read(&boxes)?;
        let pack = Pack::open(&pack)?;
        let mut pictures = Vec::new();
        for row in chosen(&frames) {
            if !pack_has(&pack, row, cell) || pack.is_skipped(row) {
                continue;
            }
            let heat = heat_maps::read_sequence(&heat_maps, &frames[row].sequence)?;
            let Some(heat) = heat.into_iter().find(|heat| heat.row == row) else { continue };
            pictures.push(picture_of(cell, &frames[row], &heat, &boxes, pack.row(row))?);
        }
        Ok(pictures)
    }
}

/// Validation frames that somebody drew boxes in, spread evenly; without such ones, any.
fn chosen(frames: &[Frame]) -> Vec<usize> {
    let rows = |is_meant: &dyn Fn(&Frame) -> bool| {
        (0..frames.len()).filter(|&row| is_meant(&frames[row])).collect::<Vec<usize>>()
    };
    let annotated = rows(&|frame| {
        frame.validation && frame.boxes.as_ref().is_some_and(|boxes| !boxes.is_empty())
    });
    let from = if annotated.is_empty() { rows(&|frame| frame.validation) } else { annotated };
    let mut places: Vec<usize> =
        (0..FRAMES).map(|place| (2 * place + 1) * from.len() / (2 * FRAMES)).collect();
    places.dedup();
    places.into_iter().filter_map(|place| from.get(place).copied()).collect()
}

/// Whether the pack has this row, in the size that the plan has.
fn pack_has(pack: &Pack, row: usize, cell: &PlannedCell) -> bool {
    [pack.manifest.height, pack.manifest.width] == cell.image_size && row < pack.manifest.count
}

fn picture_of(
    cell: &PlannedCell,
    frame: &Frame,
    heat: &FrameHeat,
    boxes: &[BoxRow],
    planes: &[u8],
) -> Result<GalleryPicture> {
    let [height, width] = cell.image_size;
    let scene = Scene {
        space: &cell.label_space,
        frame: frame.clone(),
        picture: picture::from_planes(planes, height, width),
        heat: heat.clone(),
    };
    let class = scene.most_present();
    let sheet = of_frame(&scene, class, cell, boxes, Overlay::Even);
    let drawn = sheet.draw(Some(PICTURE_WIDTH))?.pixels()?;
    let threshold = cell
        .extraction
        .as_ref()
        .map(|extraction| format!(", T_ROI {}", extraction.value.roi_threshold.value()));
    let of_class = class.map_or_else(
        || "no class is present".to_string(),
        |class| format!("heat map of {}", scene.class_name(class)),
    );
    let caption = format!(
        "{} by {}{}: {of_class}; boxes that were found in full lines, true ones dashed",
        scene.name(),
        cell.model.name,
        threshold.unwrap_or_default(),
    );
    Ok(GalleryPicture { data: data_url(&drawn)?, caption: line(&caption) })
}

fn data_url(picture: &RgbImage) -> Result<String> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(picture).map_err(|error| {
        Error::failure(format!("cannot encode a picture of the report: {error}"))
    })?;
    Ok(format!("data:image/jpeg;base64,{}", base64(&jpeg)))
}
