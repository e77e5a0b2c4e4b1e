//! The pictures of a frame for one cell: the heat map over the picture, the boxes beside the truth,
//! and the hot cells that SL-FE reads.

use std::path::PathBuf;

use image::RgbImage;
use serde::Serialize;

use super::super::origins::line;
use super::{FrameName, Indexes, frame_named};
use crate::report::encoded::{base64, jpeg};
use crate::report::pictures::overlay::Overlay;
use crate::report::pictures::scene::Scene;
use crate::report::pictures::sheets::{hot_cells_panel, of_frame};
use crate::report::results::Results;
use surgcam_artifacts::boxes::{self, BoxRow};
use surgcam_artifacts::heat_maps;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::pack::Pack;
use surgcam_frames::vision::picture;
use surgcam_pipeline::kinds::{HeatMapsStage, LocalizeStage, PackStage};
use surgcam_pipeline::planned::{Built, PlannedCell};
use surgcam_values::Mode;

const QUALITY: u8 = 82;
/// The width of each of the three pictures that stand side by side, in a page of 1,200 pixels.
const PICTURE_WIDTH: u32 = 400;

#[derive(Serialize)]
pub struct GalleryPicture {
    /// A JPEG as a data URL.
    data: String,
    caption: String,
}

/// What the pictures of a cell are drawn from.
pub struct CellPictures<'a> {
    pub cell: &'a PlannedCell,
    /// The model, and the swept values that its heat maps depend on.
    name: &'a str,
    boxes: Vec<BoxRow>,
    pack: Pack,
    heat_maps: PathBuf,
    /// The cell that reads hot cells of the same heat maps.
    semi_localised: Option<&'a PlannedCell>,
}

impl<'a> CellPictures<'a> {
    /// `None` if the cell's stages are not finished.
    pub fn open(
        cell: &'a PlannedCell,
        built: &'a Built,
        results: &Results,
    ) -> Result<Option<Self>> {
        let stages = (cell.stages.localize, cell.stages.heat_maps);
        let (Some(localize), Some(heat_maps)) = stages else { return Ok(None) };
        let name = built.plan.stage(heat_maps.id()).subject();
        let large = (
            results.unread(cell.pack, PackStage::PACK),
            results.unread(heat_maps, HeatMapsStage::HEAT_MAPS),
        );
        let (Some(pack), Some(heat_maps)) = large else { return Ok(None) };
        let boxes = results.output(localize, LocalizeStage::BOXES)?;
        let Some(boxes) = boxes else { return Ok(None) };
        let reads_hot_cells = |other: &&PlannedCell| {
            let extraction = other.extraction.as_ref().map(|extraction| &extraction.value);
            other.stages.heat_maps == cell.stages.heat_maps
                && extraction.is_some_and(|recipe| recipe.mode == Mode::SlFe && !recipe.shuffled)
        };
        let threshold =
            |cell: &PlannedCell| cell.extraction.as_ref().map(|found| found.value.roi_threshold);
        let has_same_threshold = |other: &&PlannedCell| threshold(other) == threshold(cell);
        let all: &'a [PlannedCell] = &built.cells;
        let semi_localised = || all.iter().filter(reads_hot_cells);
        let semi_localised =
            semi_localised().find(has_same_threshold).or_else(|| semi_localised().next());
        Ok(Some(CellPictures {
            cell,
            name,
            boxes: boxes::read(&boxes)?,
            pack: Pack::open(&pack)?,
            heat_maps,
            semi_localised,
        }))
    }

    /// `None` if the cell does not have the frame, or if it was skipped.
    pub fn picture(&self, name: &FrameName, indexes: &Indexes) -> Result<Option<GalleryPicture>> {
        let indexed = indexes.get(&self.cell.index.id());
        let Some((row, frame)) = indexed.and_then(|indexed| frame_named(indexed, name)) else {
            return Ok(None);
        };
        let [height, width] = self.cell.image_size;
        let manifest = &self.pack.manifest;
        let is_packed = [manifest.height, manifest.width] == [height, width]
            && row < manifest.count
            && !self.pack.is_skipped(row);
        if !is_packed {
            return Ok(None);
        }
        let heat = heat_maps::read_sequence(&self.heat_maps, &frame.sequence)?;
        let Some(heat) = heat.into_iter().find(|heat| heat.row == row) else { return Ok(None) };
        let scene = Scene {
            space: &self.cell.label_space,
            frame: frame.clone(),
            picture: picture::from_planes(self.pack.row(row), height, width),
            heat,
        };
        let class = scene.most_present();
        let mut sheet = of_frame(&scene, class, self.cell, &self.boxes, Overlay::Even);
        if let Some(cell) = self.semi_localised {
            sheet.panels.push(hot_cells_panel(&scene, cell));
            sheet.columns = sheet.panels.len();
            sheet.legend.cells = true;
        }
        let drawn = sheet.draw(Some(PICTURE_WIDTH))?.pixels()?;
        let of_class = class.map_or_else(
            || "no class is present".to_string(),
            |class| format!("heat map of {}", scene.class_name(class)),
        );
        let caption = format!(
            "{}{}: {of_class}",
            self.name,
            self.cell
                .extraction
                .as_ref()
                .map(|extraction| format!(", T_ROI {}", extraction.value.roi_threshold.value()))
                .unwrap_or_default(),
        );
        Ok(Some(GalleryPicture { data: data_url(&drawn)?, caption: line(&caption) }))
    }
}

fn data_url(picture: &RgbImage) -> Result<String> {
    Ok(format!("data:image/jpeg;base64,{}", base64(&jpeg(picture, QUALITY)?)))
}
