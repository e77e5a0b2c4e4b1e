//! The gallery: some frames, and what each model found in them and said about them. The frame in
//! which the boxes are worst comes first, then the best one, then one from the middle.

mod chosen;
mod pictures;
mod words;

use std::collections::BTreeMap;
use std::fmt;

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

/// So many heat maps are shown of each frame. The page stays small enough to be sent around.
const MOST_CELLS: usize = 8;

/// A frame, and everything that is shown of it.
#[derive(Serialize)]
pub struct GalleryFrame {
    /// Its name, and why it was chosen.
    title: String,
    pictures: Vec<GalleryPicture>,
    words: Words,
}

/// What a frame is called in every index that has it. Its row differs between indexes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct FrameName {
    sequence: String,
    frame: String,
}

impl FrameName {
    fn of(frame: &Frame) -> Self {
        FrameName { sequence: frame.sequence.clone(), frame: frame.name.clone() }
    }

    fn is_of(&self, frame: &Frame) -> bool {
        self.frame == frame.name && self.sequence == frame.sequence
    }
}

impl fmt::Display for FrameName {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}/{}", self.sequence, self.frame)
    }
}

/// The indexes of an experiment. Models with other label spaces have other indexes of the same
/// frames.
type Indexes = BTreeMap<StageId, Indexed>;

pub struct GallerySource<'a> {
    pub built: &'a Built,
    pub store: &'a Store,
    pub known: &'a Known,
}

impl GallerySource<'_> {
    /// Empty if nothing was localised yet.
    pub fn frames(&self) -> Result<Vec<GalleryFrame>> {
        let results = Results::new(self.store, self.known);
        let of_cells = self.cells_with_pictures(&results)?;
        if of_cells.is_empty() {
            return Ok(Vec::new());
        }
        let indexes = self.indexes(&results)?;
        let cells: Vec<&PlannedCell> = of_cells.iter().map(|of_cell| of_cell.cell).collect();
        let chosen = chosen(&cells, &indexes, &results)?;
        let names: Vec<FrameName> = chosen.iter().map(|chosen| chosen.name.clone()).collect();
        let speakers = Speakers::read(self.built, &names, &indexes, &results)?;
        let mut frames = Vec::new();
        for Chosen { name, why } in chosen {
            let mut pictures = Vec::new();
            for of_cell in &of_cells {
                pictures.extend(of_cell.picture(&name, &indexes)?);
            }
            if !pictures.is_empty() {
                let title = line(&format!("{name}{why}"));
                frames.push(GalleryFrame { title, pictures, words: speakers.about(&name) });
            }
        }
        Ok(frames)
    }

    /// The first finished cell of each stage of heat maps. Its other cells read the same heat maps,
    /// for example at another T_ROI.
    fn cells_with_pictures(&self, results: &Results) -> Result<Vec<CellPictures<'_>>> {
        let mut shown: Vec<CellPictures> = Vec::new();
        for cell in &self.built.cells {
            let is_same =
                |known: &CellPictures| known.cell.stages.heat_maps == cell.stages.heat_maps;
            if shown.len() < MOST_CELLS && !shown.iter().any(is_same) {
                shown.extend(CellPictures::open(cell, self.built, results)?);
            }
        }
        Ok(shown)
    }

    fn indexes(&self, results: &Results) -> Result<Indexes> {
        let mut indexes = Indexes::new();
        for index in self.built.plan.of_kind::<IndexStage>() {
            if let Some(path) = results.output(index, IndexStage::INDEX)? {
                indexes.insert(index.id(), Indexed::read(&path)?);
            }
        }
        Ok(indexes)
    }
}

/// The frame of this name, with its row.
fn frame_named<'a>(indexed: &'a Indexed, name: &FrameName) -> Option<(usize, &'a Frame)> {
    indexed.frames.iter().enumerate().find(|(_, frame)| name.is_of(frame))
}
