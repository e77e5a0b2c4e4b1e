//! The gallery: some frames, and what each model found in them and said about them. The frame in
//! which the boxes are worst comes first, then the best one, then one from the middle.

mod chosen;
mod pictures;
mod words;

use serde::Serialize;

use super::origins::line;
use crate::report::details::Indexed;
use crate::report::results::Results;
use chosen::{Chosen, chosen};
use pictures::{CellPictures, GalleryPicture};
use surgcam_engine::error::Result;
use surgcam_engine::plan::StageId;
use surgcam_engine::plan::status::Known;
use surgcam_engine::store::Store;
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::kinds::IndexStage;
use surgcam_pipeline::planned::{Built, PlannedCell};
use words::{Speakers, Words};

/// The page stays small enough to be sent around.
const MOST_PICTURES: usize = 24;

/// A frame, and everything that is shown of it.
#[derive(Serialize)]
pub struct GalleryFrame {
    /// Its name, and why it was chosen.
    title: String,
    pictures: Vec<GalleryPicture>,
    words: Words,
}

pub struct GallerySource<'a> {
    pub built: &'a Built,
    pub store: &'a Store,
    pub known: &'a Known,
}

impl GallerySource<'_> {
    /// Empty if nothing was localised yet.
    pub fn frames(&self) -> Result<Vec<GalleryFrame>> {
        let results = Results::new(self.store, self.known);
        let mut frames: Vec<GalleryFrame> = Vec::new();
        for (index, cells) in self.localised_cells() {
            let shown: usize = frames.iter().map(|frame| frame.pictures.len()).sum();
            let room = (MOST_PICTURES - shown.min(MOST_PICTURES)) / chosen::FRAMES;
            let Some(path) = results.output(cells[0].index, IndexStage::INDEX)? else { continue };
            let cells = &cells[..room.min(cells.len())];
            let indexed = Indexed::read(&path)?;
            frames.extend(self.of_index(index, cells, &indexed, &results)?);
        }
        Ok(frames)
    }

    /// Cells with different boxes, by the index that their frames are in.
    fn localised_cells(&self) -> Vec<(StageId, Vec<&PlannedCell>)> {
        let mut by_index: Vec<(StageId, Vec<&PlannedCell>)> = Vec::new();
        for cell in self.built.cells.iter().filter(|cell| cell.stages.localize.is_some()) {
            let index = cell.index.id();
            match by_index.iter_mut().find(|(known, _)| *known == index) {
                Some((_, cells)) => {
                    let is_shown =
                        |known: &&PlannedCell| known.stages.localize == cell.stages.localize;
                    if !cells.iter().any(is_shown) {
                        cells.push(cell);
                    }
                }
                None => by_index.push((index, vec![cell])),
            }
        }
        by_index
    }

    fn of_index(
        &self,
        index: StageId,
        cells: &[&PlannedCell],
        indexed: &Indexed,
        results: &Results,
    ) -> Result<Vec<GalleryFrame>> {
        let mut of_cells = Vec::new();
        for cell in cells {
            of_cells.extend(CellPictures::open(cell, &self.built.cells, results)?);
        }
        if of_cells.is_empty() {
            return Ok(Vec::new());
        }
        let speakers = Speakers::read(self.built, index, results)?;
        let mut frames = Vec::new();
        for Chosen { row, why } in chosen(cells, indexed, results)? {
            let frame: &Frame = &indexed.frames[row];
            let mut pictures = Vec::new();
            for of_cell in &of_cells {
                pictures.extend(of_cell.picture(row, frame)?);
            }
            if !pictures.is_empty() {
                let title = line(&format!("{}/{}{why}", frame.sequence, frame.name));
                frames.push(GalleryFrame { title, pictures, words: speakers.about(row, frame) });
            }
        }
        Ok(frames)
    }
}
