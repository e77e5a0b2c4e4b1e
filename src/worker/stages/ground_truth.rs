//! What localisation is scored against: the true boxes of the validation frames.

use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::digest::Digest;
use surgcam_frames::dataset::index::{Frame, LabelledBox, read_summary};
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::localization_metrics::ScoredClasses;

use super::StageRun;

pub struct GroundTruth {
    pub classes: ScoredClasses,
    pub validation_frames: usize,
    /// The validation frames whose boxes were annotated, in the order of the index.
    pub frames: Vec<TrueBoxes>,
}

pub struct TrueBoxes {
    /// The row of the frame in the index.
    pub row: usize,
    pub by_class: Vec<Vec<Box2>>,
}

impl GroundTruth {
    /// Boxes are scaled to pictures of `[height, width]`.
    pub fn read(
        stage: &StageRun,
        index: Digest,
        pack: Digest,
        image_size: [u32; 2],
        classes: usize,
    ) -> Result<Self> {
        let frames = stage.frames(index, pack)?;
        let summary = read_summary(&stage.path_of(index)?)?;
        let mut truth = GroundTruth {
            classes: ScoredClasses {
                annotated: summary.annotated_classes,
                tissue: classes.saturating_sub(1),
            },
            validation_frames: 0,
            frames: Vec::new(),
        };
        for (row, frame) in frames.iter().enumerate().filter(|(_, frame)| frame.validation) {
            truth.validation_frames += 1;
            if let Some(boxes) = &frame.boxes {
                truth.frames.push(TrueBoxes {
                    row,
                    by_class: by_class(frame, boxes, image_size, classes)?,
                });
            }
        }
        Ok(truth)
    }
}

fn by_class(
    frame: &Frame,
    boxes: &[LabelledBox],
    [height, width]: [u32; 2],
    classes: usize,
) -> Result<Vec<Vec<Box2>>> {
    let mut by_class = vec![Vec::new(); classes];
    for labelled in boxes {
        let of_class = by_class.get_mut(labelled.class).ok_or_else(|| {
            let class = labelled.class;
            Error::failure(format!(
                "{} {} has a box of class {class}, but there are {classes} classes",
                frame.sequence, frame.name
            ))
        })?;
        of_class.push(labelled.bounds.scaled(frame.box_space, [width, height]));
    }
    Ok(by_class)
}
