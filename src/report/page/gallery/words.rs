//! What captioners and interaction graphs say about a frame, beside what somebody wrote about it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::super::origins::line;
use super::{FrameName, Indexes};
use crate::report::results::Results;
use surgcam_artifacts::captions::{self, FrameCaption};
use surgcam_artifacts::interaction_predictions;
use surgcam_engine::error::Result;
use surgcam_engine::plan::StageId;
use surgcam_frames::dataset::annotations::{
    self, FrameAnnotation, INTERACTIONS, LabelledInteraction,
};
use surgcam_frames::dataset::index::Frame;
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

#[derive(Clone, Serialize)]
struct Said {
    by: String,
    caption: String,
    interactions: Vec<Answer>,
}

#[derive(Clone, Serialize)]
struct Answer {
    text: String,
    is_wrong: bool,
}

/// All that is said about the frames of the gallery.
pub struct Speakers {
    reference: HashMap<FrameName, Said>,
    speakers: Vec<Speaker>,
    more: usize,
}

/// A cell with a captioner or an interaction graph.
struct Speaker {
    name: String,
    captions: HashMap<FrameName, String>,
    answers: HashMap<FrameName, Vec<Answer>>,
}

impl Speakers {
    /// Reads what is said about the frames of these names.
    pub fn read(
        built: &Built,
        names: &[FrameName],
        indexes: &Indexes,
        results: &Results,
    ) -> Result<Self> {
        let mut known = HashSet::new();
        let says_something_else = |cell: &&PlannedCell| {
            let stages = stages_of(cell);
            stages.iter().any(Option::is_some) && known.insert(stages)
        };
        let cells: Vec<&PlannedCell> = built.cells.iter().filter(says_something_else).collect();
        let mut reference = HashMap::new();
        let mut read = HashSet::new();
        for cell in &cells {
            if read.insert(cell.index.id()) {
                for (name, said) in references(cell, names, indexes, results)? {
                    keep_the_longer(&mut reference, name, said);
                }
            }
        }
        let shown = cells.len().min(MOST_SPEAKERS);
        let speaker = |cell: &&PlannedCell| Speaker::read(built, cell, names, indexes, results);
        Ok(Speakers {
            reference,
            speakers: cells[..shown].iter().map(speaker).collect::<Result<_>>()?,
            more: cells.len() - shown,
        })
    }

    pub fn about(&self, name: &FrameName) -> Words {
        let reference = self.reference.get(name).cloned();
        let said = self.speakers.iter().map(|speaker| speaker.about(name));
        let says_something =
            |said: &Said| !said.caption.is_empty() || !said.interactions.is_empty();
        Words {
            rows: reference.into_iter().chain(said).filter(says_something).collect(),
            more: self.more,
        }
    }
}

/// The stages that say something for a cell: captions and interactions.
fn stages_of(cell: &PlannedCell) -> [Option<StageId>; 2] {
    let stages = &cell.stages;
    [stages.caption.map(StageId::from), stages.predict_interactions.map(StageId::from)]
}

fn is_asked(names: &[FrameName], frame: &Frame) -> bool {
    names.iter().any(|name| name.is_of(frame))
}

/// A label space without an instrument has no interaction of it either. So of several references
/// of a frame the one with the most interactions is kept.
fn keep_the_longer(reference: &mut HashMap<FrameName, Said>, name: FrameName, said: Said) {
    match reference.entry(name) {
        Entry::Vacant(place) => {
            place.insert(said);
        }
        Entry::Occupied(mut known) => {
            if said.interactions.len() > known.get().interactions.len() {
                known.insert(said);
            }
        }
    }
}

/// What somebody wrote about those frames of a cell that are asked for.
fn references(
    cell: &PlannedCell,
    names: &[FrameName],
    indexes: &Indexes,
    results: &Results,
) -> Result<Vec<(FrameName, Said)>> {
    let Some(indexed) = indexes.get(&cell.index.id()) else { return Ok(Vec::new()) };
    let Some(path) = results.output(cell.index, IndexStage::ANNOTATIONS)? else {
        return Ok(Vec::new());
    };
    let reference = |(frame, annotation): (&Frame, FrameAnnotation)| {
        let interactions = annotation.interactions.iter().flatten();
        let answer = |label: &LabelledInteraction| Answer {
            text: told(cell, label.class, label.interaction),
            is_wrong: false,
        };
        let said = Said {
            by: "reference".into(),
            caption: line(annotation.caption.as_deref().unwrap_or_default()),
            interactions: interactions.map(answer).collect(),
        };
        (FrameName::of(frame), said)
    };
    let annotated = indexed.frames.iter().zip(annotations::read(&path)?);
    Ok(annotated.filter(|(frame, _)| is_asked(names, frame)).map(reference).collect())
}

impl Speaker {
    fn read(
        built: &Built,
        cell: &PlannedCell,
        names: &[FrameName],
        indexes: &Indexes,
        results: &Results,
    ) -> Result<Self> {
        // If the matrix sweeps the heads of one task, only the names of their stages have the
        // head's name, at the end. So the longer name tells speakers apart.
        let subjects =
            stages_of(cell).into_iter().flatten().map(|stage| built.plan.stage(stage).subject());
        let name = line(subjects.max_by_key(|subject| subject.len()).unwrap_or_default());
        let mut speaker = Speaker { name, captions: HashMap::new(), answers: HashMap::new() };
        if let Some(stage) = cell.stages.caption
            && let Some(path) = results.output(stage, CaptionStage::CAPTIONS)?
        {
            let captions = captions::read(&path)?.into_iter().map(of_frame);
            speaker.captions.extend(captions.filter(|(name, _)| names.contains(name)));
        }
        let Some(stage) = cell.stages.predict_interactions else { return Ok(speaker) };
        let path = results.output(stage, PredictInteractionsStage::PREDICTIONS)?;
        if let (Some(path), Some(indexed)) = (path, indexes.get(&cell.index.id())) {
            for found in interaction_predictions::read(&path)? {
                let frame = indexed.frames.get(found.row);
                let Some(frame) = frame.filter(|frame| is_asked(names, frame)) else { continue };
                let answer = Answer {
                    text: told(cell, found.class, found.answer()),
                    is_wrong: found.answer() != found.right,
                };
                speaker.answers.entry(FrameName::of(frame)).or_default().push(answer);
            }
        }
        Ok(speaker)
    }

    fn about(&self, name: &FrameName) -> Said {
        Said {
            by: self.name.clone(),
            caption: self.captions.get(name).cloned().unwrap_or_default(),
            interactions: self.answers.get(name).cloned().unwrap_or_default(),
        }
    }
}

fn of_frame(found: FrameCaption) -> (FrameName, String) {
    let FrameCaption { sequence, frame, caption, .. } = found;
    (FrameName { sequence, frame }, line(&caption))
}

/// An instrument and what it does, in words.
fn told(cell: &PlannedCell, class: usize, interaction: usize) -> String {
    let class = cell.label_space.classes.get(class).map_or("?", String::as_str);
    let interaction = INTERACTIONS.get(interaction).copied().unwrap_or("?");
    line(&format!("{class}: {}", interaction.replace('_', " ").to_lowercase()))
}
