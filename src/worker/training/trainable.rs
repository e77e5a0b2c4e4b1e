//! What the loop of epochs needs from a training, and from the stage that the training is made for.

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

/// A training, as the loop sees it. Everything that an epoch depends on is in its weights, in the
/// state of its optimizer, and in its numbers; random draws are seeded by the epoch.
pub trait Training {
    /// A row of the history, whose fields are its columns.
    type Row: HistoryRow + Serialize + DeserializeOwned;

    /// The part of the state that is not a tensor.
    type Numbers: Serialize + DeserializeOwned;

    /// The name of the optimizer's state in snapshots.
    const MEMORY: &'static str;

    /// The least time between two snapshots.
    const SNAPSHOT_INTERVAL: Duration;

    /// The weights that are trained. The loop writes the values of a snapshot into these tensors,
    /// and those of the best epoch where a new phase begins.
    fn weights(&self) -> &Weights;

    fn memory(&self) -> Vec<(String, Tensor)>;

    fn numbers(&self) -> Self::Numbers;

    /// Continues from a snapshot whose weights are set already.
    fn resume(&mut self, numbers: Self::Numbers, memory: BTreeMap<String, Tensor>);

    /// The name of the phase that an epoch belongs to, for people. Epochs count from 1. Each phase
    /// starts from the best epoch of the phase before, and has a best epoch of its own.
    fn phase(&self, _epoch: usize) -> &'static str {
        ""
    }

    /// Called where a phase follows another one, with the weights of that one's best epoch set.
    fn begin_phase(&mut self) {}

    /// How many steps an epoch has.
    fn steps(&self) -> usize;

    /// Makes one pass over the train frames and gives the mean of the batch losses. `on_step` is
    /// called after each of [`Training::steps`].
    fn train(&mut self, epoch: usize, on_step: &dyn Fn(usize) -> Result<()>) -> Result<f64>;

    /// Makes one pass over the validation frames and gives the epoch's row of the history.
    fn validate(&mut self, epoch: &TrainedEpoch) -> Result<Self::Row>;

    /// The loss of the validation, if it has one. It must be a number, as the loss of the training
    /// must.
    fn validation_loss(_row: &Self::Row) -> Option<f64> {
        None
    }

    /// How good an epoch is.
    fn score(row: &Self::Row) -> f64;

    /// If two epochs are equally good, the first one is the best.
    fn is_better(score: f64, best: f64) -> bool {
        score > best
    }

    /// A hint what to do if the loss is not a number any more.
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

/// The stage that a training is made for.
pub trait Host {
    /// Where snapshots are.
    fn partial_folder(&self) -> PathBuf;

    fn note(&self, text: String);

    /// Words about an epoch that is too quick for a note of its own. They go with the progress.
    fn set_newest_epoch(&self, text: String);

    /// Is told of each step.
    ///
    /// # Errors
    /// If the training is to stop.
    fn progress(&self, done: usize, total: usize) -> Result<()>;
}

impl Host for StageRun<'_> {
    fn partial_folder(&self) -> PathBuf {
        StageRun::partial_folder(self)
    }

    fn note(&self, text: String) {
        StageRun::note(self, text);
    }

    fn set_newest_epoch(&self, text: String) {
        StageRun::set_newest_epoch(self, text);
    }

    fn progress(&self, done: usize, total: usize) -> Result<()> {
        StageRun::progress(self, done, total, "steps")
    }
}
