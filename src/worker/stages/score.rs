//! `score`: boxes against the ground truth of the validation frames (METHOD 7), and the control.

use std::collections::HashMap;

use surgcam_artifacts::boxes;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::read_summary;
use surgcam_frames::metrics::{Localization, LocalizationMetrics};
use surgcam_frames::vision::localization_metrics::{
    FrameBoxes, LocalizationScore, ScoredClasses, against_other_frames, score,
};
use surgcam_frames::vision::regions::ScoredBox;
use surgcam_pipeline::kinds::ScoreStage;

use super::{KindRun, Make};

impl Make for ScoreStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let frames = stage.frames(stage.inputs.index, stage.inputs.pack)?;
        let summary = read_summary(&stage.path_of(stage.inputs.index)?)?;
        let classes =
            ScoredClasses { annotated: summary.annotated_classes, tissue: parameters.classes - 1 };
        let mut predicted: HashMap<usize, Vec<Vec<ScoredBox>>> = HashMap::new();
        for found in boxes::read(&stage.path_of(stage.inputs.boxes)?)? {
            predicted.entry(found.row).or_insert_with(|| vec![Vec::new(); parameters.classes])
                [found.class]
                .push(found.scored);
        }
        let [height, width] = parameters.image_size;
        let validation: Vec<usize> =
            (0..frames.len()).filter(|&row| frames[row].validation).collect();
        let scored: Vec<FrameBoxes> = validation
            .iter()
            .filter_map(|&row| {
                let mut truth = vec![Vec::new(); parameters.classes];
                for labelled in frames[row].boxes.as_ref()? {
                    truth[labelled.class]
                        .push(labelled.bounds.scaled(frames[row].box_space, [width, height]));
                }
                let predicted =
                    predicted.remove(&row).unwrap_or_else(|| vec![Vec::new(); parameters.classes]);
                Some(FrameBoxes { predicted, truth })
            })
            .collect();
        let control = against_other_frames(&scored);
        let metrics = LocalizationMetrics {
            validation_frames: validation.len(),
            scored_frames: scored.len(),
            boxes: summarized(score(&scored, &classes, parameters.classes)),
            control: summarized(score(&control, &classes, parameters.classes)),
        };
        stage.write_metrics(&metrics)
    }
}

fn summarized(score: LocalizationScore) -> Localization {
    Localization {
        mean_iou: score.mean_iou,
        mean_iou_without_tissue: score.mean_iou_without_tissue,
        iou_per_class: score.iou_per_class,
        detection_map: score.detection_map,
        ap_per_class: score.ap_per_class,
    }
}
