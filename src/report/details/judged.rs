//! Reads what the store keeps of each frame: what classifiers and probes predict, and boxes.

use std::collections::{HashMap, HashSet};

use surgcam_artifacts::boxes;
use surgcam_artifacts::frame_predictions::{self, FramePredictions};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::StageId;
use surgcam_frames::dataset::index::{Frame, read_frames, read_summary};
use surgcam_frames::dataset::pack::skipped_rows;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::localization_metrics::{
    FrameBoxes, ScoredClasses, against_other_frames, frame_ious,
};
use surgcam_frames::vision::regions::ScoredBox;
use surgcam_pipeline::kinds::{
    DetectionsStage, EvaluateStage, IndexStage, LocalizeStage, PackStage, ProbeStage,
};
use surgcam_pipeline::planned::PlannedCell;

use super::frame_list::FrameList;
use super::frame_values::{FrameValues, RankedClass};
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

    /// Adds a replicate. `values`: one for each score, of the frames of this row.
    pub fn add<'v>(&mut self, values: impl IntoIterator<Item = &'v FrameValues>) {
        for (score, values) in self.scores.iter_mut().zip(values) {
            score.replicates.extend(values.score(0..self.frames.rows.len()));
            for (sequence, found) in self.frames.sequences.iter().zip(&mut score.by_sequence) {
                found.extend(values.score(sequence.places.clone()).map(|score| score.value));
            }
        }
    }
}

/// What one replicate keeps.
struct Judged {
    frames: FrameList,
    scores: Vec<(&'static str, FrameValues)>,
}

/// The frames of an index.
struct Indexed {
    frames: Vec<Frame>,
    /// The classes that boxes can annotate.
    annotated: Vec<usize>,
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
                let indexed = Indexed {
                    frames: read_frames(&path)?,
                    annotated: read_summary(&path)?.annotated_classes,
                };
                indexes.insert(cell.index.id(), indexed);
            }
        }
        Ok(Reader { results, table, indexes })
    }

    /// `None` if no replicate is finished. Replicates with other frames than the first one are left
    /// out. What several replicates have from one stage counts once.
    pub fn row(&self, replicates: &[Row]) -> Result<Option<JudgedRow>> {
        let mut found: Option<JudgedRow> = None;
        let mut known = HashSet::new();
        for row in replicates {
            if self.made_by(row.cell).is_some_and(|stage| !known.insert(stage)) {
                continue;
            }
            let Some(Judged { frames, scores }) = self.replicate(row)? else { continue };
            if found.is_none() {
                let names: Vec<&'static str> = scores.iter().map(|(name, _)| *name).collect();
                found = Some(JudgedRow::new(row.cell.index.id(), frames.clone(), &names));
            }
            if let Some(found) = &mut found
                && found.frames == frames
            {
                found.add(scores.iter().map(|(_, values)| values));
            }
        }
        Ok(found)
    }

    /// The stage whose results are judged.
    fn made_by(&self, cell: &PlannedCell) -> Option<StageId> {
        match self.table {
            "classification" => cell.stages.evaluate.map(StageId::from),
            "localization" => cell.stages.score.map(StageId::from),
            _ => cell.stages.probe.map(StageId::from),
        }
    }

    fn replicate(&self, row: &Row) -> Result<Option<Judged>> {
        let Some(indexed) = self.indexes.get(&row.cell.index.id()) else { return Ok(None) };
        match self.table {
            "classification" => self.classified(row.cell, indexed),
            "localization" => self.localized(row, indexed),
            _ => self.probed(row.cell, indexed),
        }
    }

    fn classified(&self, cell: &PlannedCell, indexed: &Indexed) -> Result<Option<Judged>> {
        let Some(stage) = cell.stages.evaluate else { return Ok(None) };
        let Some(path) = self.results.output(stage, EvaluateStage::PREDICTIONS)? else {
            return Ok(None);
        };
        let labelled = Labelled::of(&frame_predictions::read(&path)?, &indexed.frames)?;
        let scores = vec![
            ("accuracy", FrameValues::mean(labelled.all_right())),
            ("mAP", FrameValues::Ranked { classes: labelled.classes }),
        ];
        Ok(Some(Judged { frames: labelled.frames, scores }))
    }

    fn probed(&self, cell: &PlannedCell, indexed: &Indexed) -> Result<Option<Judged>> {
        let Some(stage) = cell.stages.probe else { return Ok(None) };
        let Some(path) = self.results.output(stage, ProbeStage::PREDICTIONS)? else {
            return Ok(None);
        };
        let labelled = Labelled::of(&frame_predictions::read(&path)?, &indexed.frames)?;
        let scores = vec![("probe mAP", FrameValues::Ranked { classes: labelled.classes })];
        Ok(Some(Judged { frames: labelled.frames, scores }))
    }

    fn localized(&self, row: &Row, indexed: &Indexed) -> Result<Option<Judged>> {
        let cell = row.cell;
        let boxes = match (cell.stages.detections, cell.stages.localize) {
            (Some(stage), _) => self.results.output(stage, DetectionsStage::DETECTED)?,
            (None, Some(stage)) => self.results.output(stage, LocalizeStage::BOXES)?,
            (None, None) => None,
        };
        // Only the small list of what was skipped is read, so the pixels are not checked.
        let pack = self.results.unread(cell.pack, PackStage::PACK);
        let (Some(boxes), Some(pack)) = (boxes, pack) else { return Ok(None) };
        let skipped = skipped_rows(&pack)?;
        let rows: Vec<usize> = (0..indexed.frames.len())
            .filter(|row| indexed.frames[*row].validation && !skipped.contains(row))
            .filter(|&row| indexed.frames[row].boxes.is_some())
            .collect();
        let classes = cell.label_space.len();
        let mut predicted: HashMap<usize, Vec<Vec<ScoredBox>>> = HashMap::new();
        for found in boxes::read(&boxes)? {
            let by_class = predicted.entry(found.row).or_insert_with(|| vec![Vec::new(); classes]);
            if let Some(of_class) = by_class.get_mut(found.class) {
                of_class.push(found.scored);
            }
        }
        let with_boxes = |&row: &usize| FrameBoxes {
            predicted: predicted.remove(&row).unwrap_or_else(|| vec![Vec::new(); classes]),
            truth: true_boxes(&indexed.frames[row], cell.image_size, classes),
        };
        let mut scored: Vec<FrameBoxes> = rows.iter().map(with_boxes).collect();
        if row.is_control {
            scored = against_other_frames(&scored);
        }
        let annotated = indexed.annotated.iter().copied().filter(|&class| class < classes);
        let scored_classes =
            ScoredClasses { annotated: annotated.collect(), tissue: classes.saturating_sub(1) };
        let ious: HashMap<usize, Vec<Option<f64>>> = rows
            .iter()
            .zip(&scored)
            .map(|(&row, boxes)| (row, frame_ious(boxes, &scored_classes)))
            .collect();
        let frames = FrameList::of(&indexed.frames, rows);
        let mean_iou = |is_meant: &dyn Fn(usize) -> bool| {
            let of_frame = |row: &usize| {
                let counted = ious[row].iter().enumerate().filter(|(class, _)| is_meant(*class));
                let counted: Vec<f64> = counted.filter_map(|(_, iou)| *iou).collect();
                (counted.iter().sum::<f64>(), counted.len() as f64)
            };
            let (sums, counts) = frames.rows.iter().map(of_frame).unzip();
            FrameValues::Ratio { sums, counts }
        };
        let scores = vec![
            ("mIoU", mean_iou(&|_| true)),
            ("mIoU instruments", mean_iou(&|class| class != scored_classes.tissue)),
        ];
        Ok(Some(Judged { frames, scores }))
    }
}

/// By class, scaled to pictures of `[height, width]`.
fn true_boxes(frame: &Frame, [height, width]: [u32; 2], classes: usize) -> Vec<Vec<Box2>> {
    let mut by_class = vec![Vec::new(); classes];
    for labelled in frame.boxes.iter().flatten() {
        if let Some(of_class) = by_class.get_mut(labelled.class) {
            of_class.push(labelled.bounds.scaled(frame.box_space, [width, height]));
        }
    }
    by_class
}

/// What is predicted of the labels of some frames.
struct Labelled {
    frames: FrameList,
    classes: Vec<RankedClass>,
}

impl Labelled {
    fn of(found: &FramePredictions, frames: &[Frame]) -> Result<Labelled> {
        if let Some(row) = found.rows.iter().find(|row| **row >= frames.len()) {
            let count = frames.len();
            return Err(Error::failure(format!(
                "a prediction is for the frame {row}, but the index has {count} frames"
            )));
        }
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
