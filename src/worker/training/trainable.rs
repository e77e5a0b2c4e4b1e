//! What the loop of epochs asks of a training, and of whoever the training is made for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use surgcam_artifacts::history::HistoryRow;
use surgcam_engine::error::Result;
use tch::Tensor;

use crate::model::weights::Weights;
use crate::stages::StageRun;

/// What is trained, as the loop sees it. All that an epoch depends on is in its weights, in what
/// its optimizer remembers, and in its numbers; random draws are seeded by the epoch.
pub trait Training {
    /// Decides the columns of the history.
    type Row: HistoryRow + Serialize + DeserializeOwned;

    /// The part of the state that is not a tensor.
    type Numbers: Serialize + DeserializeOwned;

    /// The name of what the optimizer remembers, in snapshots.
    const MEMORY: &'static str;

    /// The least time between two snapshots.
    const SNAPSHOT_INTERVAL: Duration;

    /// What is trained. The loop writes values into these tensors: of a snapshot, and of the best
    /// epoch where a phase begins.
    fn weights(&self) -> &Weights;

    fn memory(&self) -> Vec<(String, Tensor)>;

    fn numbers(&self) -> Self::Numbers;

    /// Goes on from a snapshot whose weights are set already.
    fn resume(&mut self, numbers: Self::Numbers, memory: BTreeMap<String, Tensor>);

    /// A phase's name for people, by epoch from 1. Each phase goes on from the best epoch of the
    /// one before, and has a best epoch of its own.
    fn phase(&self, _epoch: usize) -> &'static str {
        ""
    }

    /// Called where a phase follows another one, with the weights of that one's best epoch set.
    fn begin_phase(&mut self) {}

    /// Steps of an epoch.
    fn steps(&self) -> usize;

    /// One pass over the train frames; the mean of the batch losses. `on_step` is called after each
    /// of [`Training::steps`].
    fn train(&mut self, epoch: usize, on_step: &dyn Fn(usize) -> Result<()>) -> Result<f64>;

    /// One pass over the validation frames, and all that the history says of the epoch.
    fn validate(&mut self, epoch: &TrainedEpoch) -> Result<Self::Row>;

    /// Where a validation has a loss, which must be a number as the training's must.
    fn validation_loss(_row: &Self::Row) -> Option<f64> {
        None
    }

    /// How good an epoch is.
    fn score(row: &Self::Row) -> f64;

    /// If two epochs are equally good, the first one is the best.
    fn is_better(score: f64, best: f64) -> bool {
        score > best
    }

    /// What to do where the loss is not a number any more.
    fn remedy(&self) -> String;

    /// Learns from an epoch what the next one depends on.
    fn adjust(&mut self, _row: &Self::Row) {}

    fn tell(&self, host: &dyn Host, row: &Self::Row, epochs: usize);
}

/// An epoch that is to be validated.
pub struct TrainedEpoch {
    /// From 1.
    pub number: usize,
    pub train_loss: f64,
    begun: Instant,
}

impl TrainedEpoch {
    pub fn new(number: usize, train_loss: f64, begun: Instant) -> Self {
        TrainedEpoch { number, train_loss, begun }
    }

    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

/// Whoever a training is made for.
pub trait Host {
    /// Where snapshots are.
    fn partial_folder(&self) -> PathBuf;

    fn note(&self, text: String);

    /// Hears of each step.
    ///
    /// # Errors
    /// Where the training is to stop.
    fn progress(&self, done: usize, total: usize) -> Result<()>;
}

impl Host for StageRun<'_> {
    fn partial_folder(&self) -> PathBuf {
        StageRun::partial_folder(self)
    }

    fn note(&self, text: String) {
        StageRun::note(self, text);
    }

    fn progress(&self, done: usize, total: usize) -> Result<()> {
        StageRun::progress(self, done, total, "steps")
    }
}
