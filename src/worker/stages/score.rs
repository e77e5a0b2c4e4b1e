//! `score`: compares boxes with the ground truth of the validation frames (METHOD 7), and with that
//! of another frame as the control.

use std::collections::HashMap;

use surgcam_artifacts::boxes;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::metrics::LocalizationMetrics;
use surgcam_frames::vision::localization_metrics::{FrameBoxes, against_other_frames, score};
use surgcam_frames::vision::regions::ScoredBox;
use surgcam_pipeline::kinds::ScoreStage;

use super::ground_truth::{GroundTruth, TrueBoxes};
use super::{KindRun, Make};

impl Make for ScoreStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let GroundTruth { classes, validation_frames, frames } = GroundTruth::read(
            stage,
            stage.inputs.index,
            stage.inputs.pack,
            parameters.image_size,
            parameters.classes,
        )?;
        let mut predicted: HashMap<usize, Vec<Vec<ScoredBox>>> = HashMap::new();
        let path = stage.path_of(stage.inputs.boxes)?;
        for found in boxes::read(&path)? {
            let by_class =
                predicted.entry(found.row).or_insert_with(|| vec![Vec::new(); parameters.classes]);
            let of_class = by_class.get_mut(found.class).ok_or_else(|| {
                Error::failure(format!(
                    "there is a box of class {}, which the model does not have",
                    found.class
                ))
                .at_path(&path)
            })?;
            of_class.push(found.scored);
        }
        let with_predicted = |TrueBoxes { row, by_class }: TrueBoxes| {
            let predicted =
                predicted.remove(&row).unwrap_or_else(|| vec![Vec::new(); parameters.classes]);
            FrameBoxes { predicted, truth: by_class }
        };
        let scored: Vec<FrameBoxes> = frames.into_iter().map(with_predicted).collect();
        let control = against_other_frames(&scored);
        let metrics = LocalizationMetrics {
            validation_frames,
            scored_frames: scored.len(),
            boxes: score(&scored, &classes, parameters.classes),
            control: score(&control, &classes, parameters.classes),
        };
        stage.write_metrics(&metrics)
    }
}
