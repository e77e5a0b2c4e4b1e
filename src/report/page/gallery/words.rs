//! What captioners and interaction graphs say about a frame, beside what somebody wrote about it.

use std::collections::HashMap;

use serde::Serialize;

use super::super::origins::line;
use crate::report::results::Results;
use surgcam_artifacts::interaction_predictions::InteractionPrediction;
use surgcam_artifacts::{captions, interaction_predictions};
use surgcam_engine::error::Result;
use surgcam_engine::plan::StageId;
use surgcam_frames::dataset::annotations::{self, FrameAnnotation, INTERACTIONS};
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::dataset::labels::LabelSpace;
use surgcam_pipeline::kinds::{CaptionStage, IndexStage, PredictInteractionsStage};
use surgcam_pipeline::planned::{Built, PlannedCell};

/// More rows than this make nobody wiser.
const MOST_SPEAKERS: usize = 24;

/// What is said about a frame. The first row is the reference.
#[derive(Serialize)]
pub struct Words {
    rows: Vec<Said>,
    /// So many more cells say something.
    more: usize,
}

#[derive(Serialize)]
struct Said {
    by: String,
    caption: String,
    interactions: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    text: String,
    is_wrong: bool,
}

/// All that is said about the frames of an index.
pub struct Speakers {
    space: Option<LabelSpace>,
    annotations: Vec<FrameAnnotation>,
    speakers: Vec<Speaker>,
    more: usize,
}

/// A cell with a captioner or an interaction graph.
struct Speaker {
    name: String,
    /// By sequence and frame.
    captions: HashMap<(String, String), String>,
    /// By the frame's row.
    predictions: HashMap<usize, Vec<InteractionPrediction>>,
}

impl Speakers {
    pub fn read(built: &Built, index: StageId, results: &Results) -> Result<Self> {
        let mut cells: Vec<&PlannedCell> = Vec::new();
        for cell in built.cells.iter().filter(|cell| cell.index.id() == index) {
            let said = |cell: &PlannedCell| (cell.stages.caption, cell.stages.predict_interactions);
            let says_nothing = said(cell) == (None, None);
            if !says_nothing && !cells.iter().any(|known| said(known) == said(cell)) {
                cells.push(cell);
            }
        }
        let annotations = match cells.first() {
            Some(cell) => results.output(cell.index, IndexStage::ANNOTATIONS)?,
            None => None,
        };
        let shown = cells.len().min(MOST_SPEAKERS);
        Ok(Speakers {
            space: cells.first().map(|cell| cell.label_space.clone()),
            annotations: annotations.map_or(Ok(Vec::new()), |path| annotations::read(&path))?,
            speakers: cells[..shown]
                .iter()
                .map(|cell| Speaker::read(built, cell, results))
                .collect::<Result<_>>()?,
            more: cells.len() - shown,
        })
    }

    pub fn about(&self, row: usize, frame: &Frame) -> Words {
        let reference = self.annotations.get(row).map(|annotation| self.reference(annotation));
        let said = self.speakers.iter().map(|speaker| self.said(speaker, row, frame));
        let says_something =
            |said: &Said| !said.caption.is_empty() || !said.interactions.is_empty();
        Words {
            rows: reference.into_iter().chain(said).filter(says_something).collect(),
            more: self.more,
        }
    }

    fn reference(&self, annotation: &FrameAnnotation) -> Said {
        let interactions = annotation.interactions.iter().flatten();
        Said {
            by: "reference".into(),
            caption: line(annotation.caption.as_deref().unwrap_or_default()),
            interactions: interactions
                .map(|label| Answer {
                    text: self.answer(label.class, label.interaction),
                    is_wrong: false,
                })
                .collect(),
        }
    }

    fn said(&self, speaker: &Speaker, row: usize, frame: &Frame) -> Said {
        let place = (frame.sequence.clone(), frame.name.clone());
        let predictions = speaker.predictions.get(&row).into_iter().flatten();
        Said {
            by: speaker.name.clone(),
            caption: speaker.captions.get(&place).map(|caption| line(caption)).unwrap_or_default(),
            interactions: predictions
                .map(|found| Answer {
                    text: self.answer(found.class, found.answer()),
                    is_wrong: found.answer() != found.right,
                })
                .collect(),
        }
    }

    fn answer(&self, class: usize, interaction: usize) -> String {
        let class = self.space.as_ref().and_then(|space| space.classes.get(class));
        let interaction = INTERACTIONS.get(interaction).copied().unwrap_or("?");
        line(&format!(
            "{}: {}",
            class.map_or("?", String::as_str),
            interaction.replace('_', " ").to_lowercase()
        ))
    }
}

impl Speaker {
    fn read(built: &Built, cell: &PlannedCell, results: &Results) -> Result<Self> {
        let mut name = String::new();
        let mut said = HashMap::new();
        if let Some(stage) = cell.stages.caption {
            name = line(built.plan.stage(stage.id()).subject());
            if let Some(path) = results.output(stage, CaptionStage::CAPTIONS)? {
                let of_frame =
                    |found: captions::FrameCaption| ((found.sequence, found.frame), found.caption);
                said = captions::read(&path)?.into_iter().map(of_frame).collect();
            }
        }
        let mut predictions: HashMap<usize, Vec<InteractionPrediction>> = HashMap::new();
        if let Some(stage) = cell.stages.predict_interactions {
            name = line(built.plan.stage(stage.id()).subject());
            if let Some(path) = results.output(stage, PredictInteractionsStage::PREDICTIONS)? {
                for found in interaction_predictions::read(&path)? {
                    predictions.entry(found.row).or_default().push(found);
                }
            }
        }
        Ok(Speaker { name, captions: said, predictions })
    }
}
