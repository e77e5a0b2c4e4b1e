//! `train`: a classifier (METHOD 3), its best and last epoch, and the history of all.

use std::time::Instant;

use surgcam_artifacts::history::{self, HistoryRow};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::digest::Digest;
use surgcam_pipeline::kinds::TrainStage;
use surgcam_values::{Precision, TrainingPrecision};
use tch::{Device, Kind, Tensor};

use super::evaluate::{self, LabelScore};
use super::{KindRun, Make, StageRun};
use crate::frames::{FrameSet, label_tensor};
use crate::generator;
use crate::model::checkpoint;
use crate::model::half_precision;
use crate::model::inference::InferenceNetwork;
use crate::model::resnet::ResNet;
use crate::model::weights::Weights;
use crate::training::batches::{Batching, TrainFrames};
use crate::training::multi_label_soft_margin;
use crate::training::plateau::Schedule;
use crate::training::resume::{self, Progress};
use crate::training::sgd::Sgd;
use crate::training::snapshot::Snapshots;

struct Trainer<'a> {
    stage: &'a StageRun<'a>,
    parameters: &'a TrainStage,
    device: Device,
    frames: TrainFrames,
    validation: FrameSet,
    weights: Weights,
    network: ResNet,
    optimizer: Sgd,
    schedule: Schedule,
}

impl Make for TrainStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let mut trainer = Trainer::new(stage)?;
        let mut history: Vec<HistoryRow> = Vec::new();
        let mut best: Option<(f64, Weights)> = None;
        if let Some(resumed) = resume::read(&stage.partial_folder()) {
            stage.note(format!("goes on after epoch {}", resumed.history.len()));
            trainer.resume(resumed.weights, resumed.momentum, resumed.schedule)?;
            (history, best) = (resumed.history, resumed.best);
        }
        let mut snapshots = Snapshots::new(stage.partial_folder());
        for epoch in history.len() + 1..=parameters.epochs {
            let line = trainer.epoch(epoch)?;
            // Without a positive label anywhere there is no mAP; the first epoch is as good as any.
            let map = line.mean_average_precision.unwrap_or(0.0);
            if best.as_ref().is_none_or(|(best, _)| map > *best) {
                best = Some((map, trainer.weights.copied()));
            }
            stage.note(format!(
                "epoch {epoch}/{}: train loss {:.4}, validation loss {:.4}, accuracy {:.3}, mAP {:.3}, learning rate {:.3e}, {:.1} s",
                parameters.epochs, line.train_loss, line.validation_loss, line.accuracy, map, line.learning_rate, line.seconds
            ));
            history.push(line);
            if epoch < parameters.epochs {
                trainer.progress(&history, best.as_ref()).write(&mut snapshots)?;
            }
        }
        let (_, best) = best.ok_or_else(|| Error::failure("no epoch was trained"))?;
        checkpoint::write(&best, &stage.output(Self::CHECKPOINT))?;
        checkpoint::write(&trainer.weights, &stage.output(Self::LAST))?;
        history::write(&history, &stage.output(Self::HISTORY), &stage.output(Self::HISTORY_CSV))
    }
}

impl<'a> Trainer<'a> {
    fn new(stage: &'a KindRun<'_, TrainStage>) -> Result<Self> {
        let (parameters, inputs) = (&stage.parameters, &stage.inputs);
        let device = stage.worker.device;
        let open = |pack: Digest, index: Digest| FrameSet::open(&stage.path_of(pack)?, &stage.path_of(index)?);
        let parts = inputs.pack.iter().zip(&inputs.index).map(|(pack, index)| open(*pack, *index));
        let frames = TrainFrames::new(parts.collect::<Result<_>>()?);
        let validation = open(inputs.validation_pack, inputs.validation_index)?;
        for (count, split) in [(frames.len(), "train"), (validation.validation_rows().len(), "validation")] {
            if count == 0 {
                return Err(Error::failure(format!("there is no {split} frame")).hint(format!("give the data recipe `{split}` sequences")));
            }
        }
        let weights = initial_weights(stage)?.for_training(device);
        let optimizer = Sgd::new(&weights, parameters.momentum, parameters.weight_decay);
        let network = network(parameters, &weights)?;
        if parameters.precision == TrainingPrecision::Bf16 {
            half_precision::warning(Kind::BFloat16, device).into_iter().for_each(|warning| stage.note(warning));
        }
        let schedule = Schedule::new(parameters.learning_rate, parameters.plateau);
        Ok(Trainer { stage, parameters, device, frames, validation, weights, network, optimizer, schedule })
    }

    /// Takes up where an interrupted training stopped. Weights are written into the tensors that are there, whose layout the
    /// network relies on.
    fn resume(&mut self, weights: Vec<(String, Tensor)>, momentum: Vec<(String, Tensor)>, schedule: Schedule) -> Result<()> {
        self.weights.set(weights.iter().map(|(name, tensor)| (name, tensor)))?;
        self.optimizer.resume(momentum);
        self.schedule = schedule;
        Ok(())
    }

    fn progress<'b>(&'b self, history: &'b [HistoryRow], best: Option<&'b (f64, Weights)>) -> Progress<'b> {
        Progress { schedule: &self.schedule, history, weights: &self.weights, optimizer: &self.optimizer, best }
    }

    fn epoch(&mut self, epoch: usize) -> Result<HistoryRow> {
        let begun = Instant::now();
        let learning_rate = self.schedule.learning_rate;
        let train_loss = self.train(epoch, learning_rate)?;
        let (validation_loss, score) = self.validate()?;
        if !train_loss.is_finite() || !validation_loss.is_finite() {
            return Err(Error::failure(format!("the loss is no number any more in epoch {epoch}"))
                .hint(format!("lower model.learning_rate (it is {learning_rate})")));
        }
        self.schedule.step(validation_loss);
        Ok(HistoryRow {
            epoch: epoch as u32,
            train_loss,
            validation_loss,
            accuracy: score.accuracy,
            mean_average_precision: score.mean_average_precision,
            learning_rate,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// One pass over the train frames in an order of its own; the mean of the batch losses.
    fn train(&mut self, epoch: usize, learning_rate: f64) -> Result<f64> {
        let Trainer { stage, parameters, device, frames, network, optimizer, .. } = self;
        let steps = frames.len().div_ceil(parameters.batch_size);
        let mut losses = Vec::with_capacity(steps);
        let batching =
            Batching { seed: parameters.seed, batch_size: parameters.batch_size, augmentation: parameters.augmentation, device: *device };
        frames.for_each_batch(&batching, epoch, |number, batch| {
            let images = batch.pixels.images(&parameters.normalization, *device);
            let labels = label_tensor(batch.labels, parameters.architecture.classes, *device)?;
            let _kept = generator::seeded_step(parameters.seed, epoch, number);
            let layer4 = network.feature_maps(&images, true).layer4;
            let loss = multi_label_soft_margin(&network.logits(&layer4, parameters.dropout, true), &labels);
            optimizer.step(&loss, learning_rate)?;
            losses.push(loss.detach());
            stage.progress((epoch - 1) * steps + number + 1, parameters.epochs * steps, "steps")
        })?;
        Ok(mean_of(&losses))
    }

    /// The mean of the batch losses, and the score, on the validation frames.
    fn validate(&self) -> Result<(f64, LabelScore)> {
        let rows = self.validation.validation_rows();
        let classes = self.parameters.architecture.classes;
        let (mut losses, mut logits) = (Vec::new(), Vec::new());
        let network = InferenceNetwork::new(self.parameters.architecture, &self.weights, self.device, Precision::F32)?;
        for batch in rows.chunks(self.parameters.batch_size) {
            let images = self.validation.images(batch, &self.parameters.validation_normalization, self.device);
            let labels = label_tensor(batch.iter().map(|&row| self.validation.frames[row].labels.as_slice()), classes, self.device)?;
            let batch_logits = network.logits(&network.feature_maps(&images)?.layer4);
            losses.push(multi_label_soft_margin(&batch_logits, &labels));
            logits.push(batch_logits);
        }
        let labels: Vec<&[usize]> = rows.iter().map(|&row| self.validation.frames[row].labels.as_slice()).collect();
        Ok((mean_of(&losses), evaluate::score(&Tensor::cat(&logits, 0).to_device(Device::Cpu), &labels)))
    }
}

fn network(parameters: &TrainStage, weights: &Weights) -> Result<ResNet> {
    let network = ResNet::new(parameters.architecture, weights)?;
    if parameters.precision == TrainingPrecision::F32 {
        return Ok(network);
    }
    Ok(network.counting_in(Kind::BFloat16))
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
