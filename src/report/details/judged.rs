//! Reads what the store keeps of each frame: what classifiers and probes predict, and boxes.

use std::collections::{BTreeSet, HashMap, HashSet};

use surgcam_artifacts::frame_predictions::{self, FramePredictions};
use surgcam_artifacts::interaction_predictions::{self, InteractionPrediction};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::StageId;
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::kinds::{EvaluateStage, IndexStage, PredictInteractionsStage, ProbeStage};
use surgcam_pipeline::planned::PlannedCell;

use super::frame_list::FrameList;
use super::frame_values::{FrameValues, RankedClass};
use super::overlaps::{FrameOverlaps, Indexed};
use crate::report::results::Results;
use crate::report::statistics::Score;
use crate::report::tables::{Replicates, Row};

/// What is known of the frames of one row of a table.
pub struct JudgedRow {
    /// The index that the frames are in. Rows with other indexes have other frames or labels.
    pub index: StageId,
    pub frames: FrameList,
    pub scores: Vec<JudgedScore>,
}

/// One score of a row.
pub struct JudgedScore {
    /// The name of its column.
    pub name: &'static str,
    /// The score over all frames, for each replicate.
    pub replicates: Vec<Score>,
    /// The score of each sequence, for each replicate in which it is defined.
    pub by_sequence: Vec<Vec<f64>>,
}

impl JudgedScore {
    /// The score of all frames, as the mean over the replicates.
    pub fn of_all_frames(&self) -> Option<Score> {
        Score::mean_of(&self.replicates)
    }
}

impl JudgedRow {
    pub fn new(index: StageId, frames: FrameList, names: &[&'static str]) -> Self {
        let score = |&name: &&'static str| JudgedScore {
            name,
            replicates: Vec::new(),
            by_sequence: vec![Vec::new(); frames.sequences.len()],
        };
        JudgedRow { index, scores: names.iter().map(score).collect(), frames }
    }

    /// Adds what one replicate keeps of the frames of this row. `name`: that of the score.
    pub fn add(&mut self, name: &str, values: &FrameValues) {
        let Some(score) = self.scores.iter_mut().find(|score| score.name == name) else { return };
        score.replicates.extend(values.score(0..self.frames.rows.len()));
        for (sequence, found) in self.frames.sequences.iter().zip(&mut score.by_sequence) {
            found.extend(values.score(sequence.places.clone()).map(|score| score.value));
        }
    }
}

/// What one replicate keeps.
struct Judged {
    frames: FrameList,
    scores: Vec<StageScore>,
}

/// One score of a replicate, and the stage that it comes from.
struct StageScore {
    name: &'static str,
    stage: StageId,
    values: FrameValues,
}

/// The names of the scores of a table.
fn score_names(table: &str) -> &'static [&'static str] {
    match table {
        "classification" => &["accuracy", "mAP"],
        "localization" => &["mIoU", "mIoU instruments"],
        _ => &["probe mAP", "interaction accuracy"],
    }
}

/// Reads the rows of one table.
pub struct Reader<'a> {
    results: &'a Results<'a>,
    table: &'a str,
    indexes: HashMap<StageId, Indexed>,
}

impl<'a> Reader<'a> {
    pub fn new(results: &'a Results<'a>, table: &'a str, rows: &Replicates) -> Result<Self> {
        let mut indexes = HashMap::new();
        for Row { cell, .. } in rows.0.iter().flatten() {
            if indexes.contains_key(&cell.index.id()) {
                continue;
            }
            if let Some(path) = results.output(cell.index, IndexStage::INDEX)? {
                indexes.insert(cell.index.id(), Indexed::read(&path)?);
            }
        }
        Ok(Reader { results, table, indexes })
    }

    /// `None` if no replicate is finished. Replicates with other frames than the first one are left
    /// out. What several replicates have from one stage counts once.
    pub fn row(&self, replicates: &[Row]) -> Result<Option<JudgedRow>> {
        let mut found: Option<JudgedRow> = None;
        let (mut asked, mut known) = (HashSet::new(), HashSet::new());
        for row in replicates {
            if !asked.insert(self.made_by(row.cell)) {
                continue;
            }
            let Some(Judged { frames, scores }) = self.replicate(row)? else { continue };
            let found = found.get_or_insert_with(|| {
                JudgedRow::new(row.cell.index.id(), frames.clone(), score_names(self.table))
            });
            if found.frames != frames {
                continue;
            }
            for StageScore { name, stage, values } in &scores {
                if known.insert((*name, *stage)) {
                    found.add(name, values);
                }
            }
        }
        Ok(found)
    }

    /// The stages whose results are judged.
    fn made_by(&self, cell: &PlannedCell) -> [Option<StageId>; 2] {
        let stages = &cell.stages;
        match self.table {
            "classification" => [stages.evaluate.map(StageId::from), None],
            "localization" => [stages.score.map(StageId::from), None],
            _ => {
                let interactions = stages.predict_interactions.map(StageId::from);
                [stages.probe.map(StageId::from), interactions]
            }
        }
    }

    fn replicate(&self, row: &Row) -> Result<Option<Judged>> {
        let Some(indexed) = self.indexes.get(&row.cell.index.id()) else { return Ok(None) };
        match self.table {
            "classification" => self.classified(row.cell, indexed),
            "localization" => self.localized(row, indexed),
            _ => self.extracted(row.cell, indexed),
        }
    }

    fn classified(&self, cell: &PlannedCell, indexed: &Indexed) -> Result<Option<Judged>> {
        let Some(stage) = cell.stages.evaluate else { return Ok(None) };
        let Some(path) = self.results.output(stage, EvaluateStage::PREDICTIONS)? else {
            return Ok(None);
        };
        let labelled = Labelled::of(&frame_predictions::read(&path)?, &indexed.frames)?;
        let score = |name, values| StageScore { name, stage: stage.id(), values };
        let scores = vec![
            score("accuracy", FrameValues::mean(labelled.all_right())),
            score("mAP", FrameValues::Ranked { classes: labelled.classes }),
        ];
        Ok(Some(Judged { frames: labelled.frames, scores }))
    }

    fn extracted(&self, cell: &PlannedCell, indexed: &Indexed) -> Result<Option<Judged>> {
        let (mut frames, mut scores) = (None, Vec::new());
        if let Some(stage) = cell.stages.probe
            && let Some(path) = self.results.output(stage, ProbeStage::PREDICTIONS)?
        {
            let labelled = Labelled::of(&frame_predictions::read(&path)?, &indexed.frames)?;
            let values = FrameValues::Ranked { classes: labelled.classes };
            scores.push(StageScore { name: "probe mAP", stage: stage.id(), values });
            frames = Some(labelled.frames);
        }
        if let Some(stage) = cell.stages.predict_interactions
            && let Some(path) = self.results.output(stage, PredictInteractionsStage::PREDICTIONS)?
        {
            let predictions = interaction_predictions::read(&path)?;
            check_rows(predictions.iter().map(|found| found.row), &indexed.frames)?;
            if !predictions.is_empty() {
                let annotated = || {
                    let rows: BTreeSet<usize> = predictions.iter().map(|found| found.row).collect();
                    FrameList::of(&indexed.frames, rows.into_iter().collect())
                };
                let frames = frames.get_or_insert_with(annotated);
                let values = right_interactions(&predictions, frames);
                scores.push(StageScore { name: "interaction accuracy", stage: stage.id(), values });
            }
        }
        Ok(frames.map(|frames| Judged { frames, scores }))
    }

    fn localized(&self, row: &Row, indexed: &Indexed) -> Result<Option<Judged>> {
        let Some(stage) = row.cell.stages.score.map(StageId::from) else { return Ok(None) };
        let Some(overlaps) = FrameOverlaps::of(row, indexed, self.results)? else {
            return Ok(None);
        };
        let score = |name, values| StageScore { name, stage, values };
        let scores = vec![
            score("mIoU", overlaps.of_classes(|_| true)),
            score("mIoU instruments", overlaps.of_instruments()),
        ];
        Ok(Some(Judged { frames: overlaps.frames, scores }))
    }
}

/// Fails if a prediction is for a frame that the index does not have.
fn check_rows(mut rows: impl Iterator<Item = usize>, frames: &[Frame]) -> Result<()> {
    let count = frames.len();
    rows.find(|row| *row >= count).map_or(Ok(()), |row| {
        Err(Error::failure(format!(
            "a prediction is for the frame {row}, but the index has {count} frames"
        )))
    })
}

/// Of each frame, how many instruments have the right interaction, and how many there are. A frame
/// that is not in the list counts nowhere.
fn right_interactions(predictions: &[InteractionPrediction], frames: &FrameList) -> FrameValues {
    let places: HashMap<usize, usize> =
        frames.rows.iter().enumerate().map(|(place, &row)| (row, place)).collect();
    let (mut sums, mut counts) = (vec![0.0; frames.rows.len()], vec![0.0; frames.rows.len()]);
    for found in predictions {
        let Some(&place) = places.get(&found.row) else { continue };
        counts[place] += 1.0;
        sums[place] += if found.answer() == found.right { 1.0 } else { 0.0 };
    }
    FrameValues::Ratio { sums, counts }
}

/// What is predicted of the labels of some frames.
struct Labelled {
    frames: FrameList,
    classes: Vec<RankedClass>,
}

impl Labelled {
    fn of(found: &FramePredictions, frames: &[Frame]) -> Result<Labelled> {
        check_rows(found.rows.iter().copied(), frames)?;
        let list = FrameList::of(frames, found.rows.clone());
        let places: HashMap<usize, usize> =
            found.rows.iter().enumerate().map(|(place, &row)| (row, place)).collect();
        let of_class = |class: usize| RankedClass {
            scores: list
                .rows
                .iter()
                .map(|row| found.scores[places[row] * found.classes + class])
                .collect(),
            positive: list.rows.iter().map(|&row| frames[row].labels.contains(&class)).collect(),
        };
        let classes = (0..found.classes).map(of_class).collect();
        Ok(Labelled { frames: list, classes })
    }

    /// 1 for each frame whose every label is right, otherwise 0.
    fn all_right(&self) -> Vec<f64> {
        let is_right = |place: usize| {
            self.classes.iter().all(|class| (class.scores[place] > 0.5) == class.positive[place])
        };
        let right = |place: usize| if is_right(place) { 1.0 } else { 0.0 };
        (0..self.frames.rows.len()).map(right).collect()
    }
}
