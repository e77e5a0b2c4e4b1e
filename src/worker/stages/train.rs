//! `train`: trains a classifier (METHOD 3), and keeps its best and its last epoch and the history
//! of all epochs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use surgcam_artifacts::history::{ClassifierEpoch, HistoryFiles};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::digest::Digest;
use surgcam_pipeline::kinds::TrainStage;
use surgcam_values::TrainingPrecision;
use tch::{Device, Kind, Tensor};

use super::evaluate::{self, LabelScore};
use super::{KindRun, Make, StageRun};
use crate::frame_set::{FrameSet, label_tensor};
use crate::generator;
use crate::model::checkpoint;
use crate::model::classifier::{self, DifferentiableClassifier};
use crate::model::half_precision;
use crate::model::weights::Weights;
use crate::predictions::{self, Forwarding};
use crate::training::batches::{Batching, TrainFrames};
use crate::training::epochs;
use crate::training::multi_label_soft_margin;
use crate::training::plateau::Schedule;
use crate::training::sgd::Sgd;
use crate::training::trainable::{Host, TrainedEpoch, Training};

impl Make for TrainStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let mut trainer = Trainer::new(stage)?;
        let run: &StageRun = stage;
        let files = HistoryFiles {
            parquet: stage.output(Self::HISTORY),
            csv: stage.output(Self::HISTORY_CSV),
        };
        let trained = epochs::run(run, &mut trainer, stage.parameters.epochs, &files)?;
        checkpoint::write(&trained.best, &stage.output(Self::CHECKPOINT))?;
        checkpoint::write(&trainer.weights, &stage.output(Self::LAST))
    }
}

struct Trainer<'a> {
    parameters: &'a TrainStage,
    device: Device,
    frames: TrainFrames,
    validation: FrameSet,
    weights: Weights,
    classifier: Box<dyn DifferentiableClassifier>,
    optimizer: Sgd,
    schedule: Schedule,
}

/// The part of its state that is not a tensor.
#[derive(Serialize, Deserialize)]
struct Numbers {
    schedule: Schedule,
}

impl<'a> Trainer<'a> {
    fn new(stage: &'a KindRun<'_, TrainStage>) -> Result<Self> {
        let (parameters, inputs) = (&stage.parameters, &stage.inputs);
        let device = stage.worker.device;
        let open = |pack: Digest, index: Digest| {
            FrameSet::open(&stage.path_of(pack)?, &stage.path_of(index)?)
        };
        let parts = inputs.pack.iter().zip(&inputs.index).map(|(pack, index)| open(*pack, *index));
        let parts = parts.collect::<Result<Vec<FrameSet>>>()?;
        let validation = open(inputs.validation_pack, inputs.validation_index)?;
        for set in parts.iter().chain([&validation]) {
            set.check_order_for(parameters.architecture)?;
        }
        let train_frames: usize = parts.iter().map(|part| part.train_rows().len()).sum();
        for (count, split) in
            [(train_frames, "train"), (validation.validation_rows().len(), "validation")]
        {
            if count == 0 {
                return Err(Error::failure(format!("there is no {split} frame"))
                    .hint(format!("give the data recipe `{split}` sequences")));
            }
        }
        let clip_length = parameters.architecture.frames_in_a_clip();
        let frames = TrainFrames::new(parts, clip_length);
        if frames.len() == 0 {
            return Err(Error::failure(format!(
                "no sequence has {clip_length} train frames in a row, as many as a clip"
            ))
            .hint("lower model.clip_length"));
        }
        let weights = initial_weights(stage)?.for_training(device);
        let optimizer = Sgd::new(&weights, parameters.momentum, parameters.weight_decay);
        let classifier =
            classifier::differentiable(parameters.architecture, &weights, parameters.precision)?;
        if parameters.precision == TrainingPrecision::Bf16 {
            half_precision::warning(Kind::BFloat16, device)
                .into_iter()
                .for_each(|warning| stage.note(warning));
        }
        let schedule = Schedule::new(parameters.learning_rate, parameters.plateau);
        Ok(Trainer {
            parameters,
            device,
            frames,
            validation,
            weights,
            classifier,
            optimizer,
            schedule,
        })
    }

    /// The mean of the batch losses, and the score, on the validation frames.
    fn validation_score(&self) -> Result<(f64, LabelScore)> {
        let TrainStage { architecture, batch_size, .. } = *self.parameters;
        let rows = self.validation.validation_rows();
        let classifier = classifier::for_evaluation(architecture, &self.weights, self.device)?;
        let forwarding = Forwarding {
            normalization: &self.parameters.validation_normalization,
            batch_size,
            device: self.device,
        };
        let logits = predictions::logits_of(
            classifier.as_ref(),
            &self.validation,
            &rows,
            &forwarding,
            |_, _| Ok(()),
        )?;
        let labels: Vec<&[usize]> =
            rows.iter().map(|&row| self.validation.frames[row].labels.as_slice()).collect();
        let mut losses = Vec::new();
        for (number, labels) in labels.chunks(batch_size).enumerate() {
            let logits = logits.narrow(0, (number * batch_size) as i64, labels.len() as i64);
            let labels = label_tensor(labels.iter().copied(), architecture.classes, self.device)?;
            losses.push(multi_label_soft_margin(&logits, &labels));
        }
        Ok((mean_of(&losses), evaluate::score(&logits.to_device(Device::Cpu), &labels)))
    }
}

impl Training for Trainer<'_> {
    type Row = ClassifierEpoch;
    type Numbers = Numbers;

    const MEMORY: &'static str = "momentum";
    /// After each epoch.
    const SNAPSHOT_INTERVAL: Duration = Duration::ZERO;

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn memory(&self) -> Vec<(String, Tensor)> {
        self.optimizer
            .buffers
            .iter()
            .map(|(name, buffer)| (name.clone(), buffer.shallow_clone()))
            .collect()
    }

    fn numbers(&self) -> Numbers {
        Numbers { schedule: self.schedule.clone() }
    }

    fn resume(&mut self, numbers: Numbers, memory: BTreeMap<String, Tensor>) {
        self.schedule = numbers.schedule;
        self.optimizer.resume(memory);
    }

    fn steps(&self) -> usize {
        self.frames.batches(self.parameters.batch_size)
    }

    fn train(&mut self, epoch: usize, on_step: &dyn Fn(usize) -> Result<()>) -> Result<f64> {
        let mut losses = Vec::with_capacity(self.steps());
        let Trainer { parameters, device, frames, classifier, optimizer, schedule, .. } = self;
        let batching = Batching {
            seed: parameters.seed,
            batch_size: parameters.batch_size,
            augmentation: parameters.augmentation,
            device: *device,
        };
        frames.for_each_batch(&batching, epoch, |number, batch| {
            let images = batch.pixels.images(&parameters.normalization, *device);
            let labels = label_tensor(batch.labels, parameters.architecture.classes, *device)?;
            let _kept = generator::seeded_step(parameters.seed, epoch, number);
            let loss = multi_label_soft_margin(
                &classifier.training_logits(&images, parameters.dropout),
                &labels,
            );
            optimizer.step(&loss, schedule.learning_rate)?;
            losses.push(loss.detach());
            on_step(number + 1)
        })?;
        Ok(mean_of(&losses))
    }

    fn validate(&mut self, epoch: &TrainedEpoch) -> Result<ClassifierEpoch> {
        let (validation_loss, score) = self.validation_score()?;
        Ok(ClassifierEpoch {
            epoch: epoch.number as u32,
            train_loss: epoch.train_loss,
            validation_loss,
            accuracy: score.accuracy,
            mean_average_precision: score.mean_average_precision,
            learning_rate: self.schedule.learning_rate,
            seconds: epoch.seconds(),
        })
    }

    fn validation_loss(row: &ClassifierEpoch) -> Option<f64> {
        Some(row.validation_loss)
    }

    /// If no frame has a positive label there is no mAP, and the first epoch is as good as any
    /// other.
    fn score(row: &ClassifierEpoch) -> f64 {
        row.mean_average_precision.unwrap_or(0.0)
    }

    fn remedy(&self) -> String {
        format!("lower model.learning_rate (it is {})", self.schedule.learning_rate)
    }

    fn adjust(&mut self, row: &ClassifierEpoch) {
        self.schedule.step(row.validation_loss);
    }

    fn tell(&self, host: &dyn Host, row: &ClassifierEpoch, epochs: usize) {
        host.note(format!(
            "epoch {}/{epochs}: train loss {:.4}, validation loss {:.4}, accuracy {:.3}, \
             mAP {:.3}, learning rate {:.3e}, {:.1} s",
            row.epoch,
            row.train_loss,
            row.validation_loss,
            row.accuracy,
            Self::score(row),
            row.learning_rate,
            row.seconds
        ));
    }
}

/// Random, or from a checkpoint with a new head.
fn initial_weights(stage: &KindRun<TrainStage>) -> Result<Weights> {
    let parameters = &stage.parameters;
    let random = Weights::random(parameters.architecture, parameters.seed);
    let Some(start) = stage.inputs.checkpoint else { return Ok(random) };
    let given = Weights::new(checkpoint::read_safetensors(&stage.path_of(start)?)?);
    given.checked(parameters.architecture, false).map(|backbone| backbone.with_head_of(&random))
}

fn mean_of(losses: &[Tensor]) -> f64 {
    f64::try_from(Tensor::stack(losses, 0).mean(tch::Kind::Double)).unwrap_or(f64::NAN)
}
