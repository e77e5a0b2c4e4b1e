//! `evaluate`: how well a classifier predicts the labels of the validation frames (METHOD 3).

use surgcam_artifacts::frame_predictions::{self, FramePredictions};
use surgcam_engine::error::{Error, Result};
use surgcam_frames::metrics::Classification;
use surgcam_frames::vision::average_precision::{label_average_precision, mean};
use surgcam_pipeline::kinds::EvaluateStage;
use tch::{Device, Kind, Tensor};

use super::{KindRun, Make};
use crate::feature_extractor::frames_in_a_pass;
use crate::frame_set::FrameSet;
use crate::model::weights::Weights;
use crate::model::{checkpoint, classifier};
use crate::predictions::{self, Forwarding};

impl Make for EvaluateStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let weights =
            Weights::new(checkpoint::read_safetensors(&stage.path_of(stage.inputs.checkpoint)?)?);
        let frames = FrameSet::open(
            &stage.path_of(stage.inputs.pack)?,
            &stage.path_of(stage.inputs.index)?,
        )?;
        let device = stage.worker.device;
        let classifier = classifier::for_evaluation(parameters.architecture, &weights, device)?;
        let rows = frames.validation_rows();
        if rows.is_empty() {
            return Err(Error::failure("there is no validation frame to evaluate on")
                .hint("give the data recipe `validation` sequences"));
        }
        frames.check_order_for(parameters.architecture)?;
        let forwarding = Forwarding {
            normalization: &parameters.normalization,
            batch_size: frames_in_a_pass(device),
            device,
        };
        let logits = predictions::logits_of(
            classifier.as_ref(),
            &frames,
            &rows,
            &forwarding,
            |done, total| stage.progress(done, total, "frames"),
        )?;
        let logits = logits.to_device(Device::Cpu);
        let labels: Vec<&[usize]> =
            rows.iter().map(|&row| frames.frames[row].labels.as_slice()).collect();
        let score = score(&logits, &labels);
        let predictions = FramePredictions {
            classes: logits.size()[1] as usize,
            scores: probabilities(&logits),
            rows,
        };
        frame_predictions::write(&predictions, &stage.output(Self::PREDICTIONS))?;
        stage.write_metrics(&Classification {
            frames: predictions.rows.len(),
            accuracy: score.accuracy,
            mean_average_precision: score.mean_average_precision,
            average_precision: score.average_precision,
        })
    }
}

pub struct LabelScore {
    /// Share of frames whose every label is right at sigmoid > 0.5.
    pub accuracy: f64,
    pub mean_average_precision: Option<f64>,
    /// By class; `None` without a positive.
    pub average_precision: Vec<Option<f64>>,
}

/// The probability of each class: [N, classes], row by row.
fn probabilities(logits: &Tensor) -> Vec<f64> {
    Vec::try_from(logits.sigmoid().to_kind(Kind::Double).flatten(0, 1)).unwrap_or_default()
}

/// Logits [N, classes] against each frame's labels.
pub fn score(logits: &Tensor, labels: &[&[usize]]) -> LabelScore {
    let classes = logits.size()[1] as usize;
    let scores = probabilities(logits);
    let right = labels.iter().zip(scores.chunks(classes)).filter(|(labels, scores)| {
        scores.iter().enumerate().all(|(class, &score)| (score > 0.5) == labels.contains(&class))
    });
    let accuracy = right.count() as f64 / labels.len().max(1) as f64;
    let average_precision = label_precisions(&scores, labels, classes);
    LabelScore {
        accuracy,
        mean_average_precision: mean(average_precision.iter().copied().flatten()),
        average_precision,
    }
}

/// The average precision of each class; `scores` are [N, classes], row by row.
pub fn label_precisions(scores: &[f64], labels: &[&[usize]], classes: usize) -> Vec<Option<f64>> {
    (0..classes)
        .map(|class| {
            let of_class: Vec<f64> = scores.iter().skip(class).step_by(classes).copied().collect();
            let positive: Vec<bool> = labels.iter().map(|labels| labels.contains(&class)).collect();
            label_average_precision(&of_class, &positive)
        })
        .collect()
}
