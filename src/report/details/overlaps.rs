//! How well boxes lie on the true ones, frame by frame.

use std::collections::HashMap;
use std::path::Path;

use surgcam_artifacts::boxes;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::{Frame, read_frames, read_summary};
use surgcam_frames::dataset::pack::skipped_rows;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::localization_metrics::{
    FrameBoxes, ScoredClasses, against_other_frames, frame_ious,
};
use surgcam_frames::vision::regions::ScoredBox;
use surgcam_pipeline::kinds::{DetectionsStage, LocalizeStage, PackStage};

use super::frame_list::FrameList;
use super::frame_values::FrameValues;
use crate::report::results::Results;
use crate::report::tables::Row;

/// The frames of an index.
pub struct Indexed {
    pub frames: Vec<Frame>,
    /// The classes that boxes can annotate.
    annotated: Vec<usize>,
}

impl Indexed {
    pub fn read(path: &Path) -> Result<Self> {
        let annotated = read_summary(path)?.annotated_classes;
        Ok(Indexed { frames: read_frames(path)?, annotated })
    }
}

/// The validation frames with true boxes, and the IoU of each class in each of them.
pub struct FrameOverlaps {
    pub frames: FrameList,
    /// For each frame of the list, by class. `None`: the class is not counted in this frame.
    ious: Vec<Vec<Option<f64>>>,
    tissue: usize,
}

impl FrameOverlaps {
    /// `None` if the boxes are not there yet.
    pub fn of(row: &Row, indexed: &Indexed, results: &Results) -> Result<Option<Self>> {
        let cell = row.cell;
        let boxes = match (cell.stages.detections, cell.stages.localize) {
            (Some(stage), _) => results.output(stage, DetectionsStage::DETECTED)?,
            (None, Some(stage)) => results.output(stage, LocalizeStage::BOXES)?,
            (None, None) => None,
        };
        // Only the small list of what was skipped is read, so the pixels are not checked.
        let pack = results.unread(cell.pack, PackStage::PACK);
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
        let tissue = classes.saturating_sub(1);
        let scored_classes = ScoredClasses { annotated: annotated.collect(), tissue };
        let mut of_row: HashMap<usize, Vec<Option<f64>>> = rows
            .iter()
            .zip(&scored)
            .map(|(&row, boxes)| (row, frame_ious(boxes, &scored_classes)))
            .collect();
        let frames = FrameList::of(&indexed.frames, rows);
        let ious = frames.rows.iter().filter_map(|row| of_row.remove(row)).collect();
        Ok(Some(FrameOverlaps { frames, ious, tissue }))
    }

    /// The mean IoU over frames and over the classes that are meant.
    pub fn of_classes(&self, is_meant: impl Fn(usize) -> bool) -> FrameValues {
        let of_frame = |ious: &Vec<Option<f64>>| {
            let meant = ious.iter().enumerate().filter(|(class, _)| is_meant(*class));
            let counted: Vec<f64> = meant.filter_map(|(_, iou)| *iou).collect();
            (counted.iter().sum::<f64>(), counted.len() as f64)
        };
        let (sums, counts) = self.ious.iter().map(of_frame).unzip();
        FrameValues::Ratio { sums, counts }
    }

    pub fn of_instruments(&self) -> FrameValues {
        self.of_classes(|class| class != self.tissue)
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
