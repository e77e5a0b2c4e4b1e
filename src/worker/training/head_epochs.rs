//! The epochs of a head: train, judge on the validation frames, keep the best, and go on after an interruption with the same bits.

use std::time::Instant;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use surgcam_artifacts::head_history::HeadEpoch;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::random::stream;
use tch::Tensor;

use super::adam::Adam;
use super::snapshot::{self, Groups, Snapshots};
use crate::model::weights::Weights;
use crate::stages::StageRun;

/// A head in training, as its epochs see it.
pub trait HeadInTraining {
    /// What is trained; of a joint training the backbone, too.
    fn parameters(&self) -> &Weights;

    fn optimizer(&mut self) -> &mut Adam;

    /// A new one for a new phase: what the old one remembers is of another loss, and of fewer parameters.
    fn renew_optimizer(&mut self);

    /// A phase's name for people, by epoch from 1. Each phase goes on from the best epoch of the one before.
    fn phase(&self, epoch: usize) -> &'static str;

    /// One pass over the train frames; the mean of the batch losses. `on_step` is called after each of [`HeadInTraining::steps`].
    fn train(&mut self, epoch: usize, on_step: &dyn Fn(usize) -> Result<()>) -> Result<f64>;

    /// Steps of an epoch.
    fn steps(&self) -> usize;

    /// How good it is on the validation frames, the higher the better.
    fn judge(&mut self, epoch: usize) -> Result<f64>;
}

/// The part of the state that is no tensor.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    optimizer_steps: i64,
    best: Option<f64>,
    history: Vec<HeadEpoch>,
}

/// What the epochs leave: the parameters of the last phase's best one, and all their rows.
pub struct Trained {
    pub best: Weights,
    pub history: Vec<HeadEpoch>,
}

const WEIGHTS: &str = "weights";
const OPTIMIZER: &str = "optimizer";
const BEST: &str = "best";
/// Snapshots of quick epochs would take longer than the epochs.
const SNAPSHOT_SECONDS: f64 = 1.0;

pub fn run(stage: &StageRun, head: &mut dyn HeadInTraining, epochs: usize, score_name: &str) -> Result<Trained> {
    let mut history: Vec<HeadEpoch> = Vec::new();
    let mut best: Option<(f64, Weights)> = None;
    if let Some((state, groups)) = snapshot::read::<State>(&stage.partial_folder()) {
        stage.note(format!("goes on after epoch {}", state.history.len()));
        take_up(head, &state, &groups)?;
        best = state.best.map(|score| (score, Weights::new(groups.group(BEST))));
        history = state.history;
    }
    let mut snapshots = Snapshots::new(stage.partial_folder());
    let mut unsaved = Instant::now();
    for epoch in history.len() + 1..=epochs {
        let begun = Instant::now();
        if epoch > 1 && head.phase(epoch) != head.phase(epoch - 1) {
            begin_phase(head, best.take())?;
        }
        let steps = head.steps();
        let on_step = |step: usize| stage.progress((epoch - 1) * steps + step, epochs * steps, "steps");
        let train_loss = head.train(epoch, &on_step)?;
        if !train_loss.is_finite() {
            return Err(Error::failure(format!("the head's loss is no number any more in epoch {epoch}")).hint("lower head.learning_rate"));
        }
        let score = head.judge(epoch)?;
        if best.as_ref().is_none_or(|(best, _)| score > *best) {
            best = Some((score, head.parameters().copied()));
        }
        let row =
            HeadEpoch { epoch: epoch as u32, phase: head.phase(epoch).into(), train_loss, score, seconds: begun.elapsed().as_secs_f64() };
        tracing::debug!("epoch {epoch}/{epochs}: train loss {train_loss:.4}, {score_name} {score:.4}");
        history.push(row);
        if epoch < epochs && unsaved.elapsed().as_secs_f64() > SNAPSHOT_SECONDS {
            save(&mut snapshots, head, &history, best.as_ref())?;
            unsaved = Instant::now();
        }
    }
    let (score, best) = best.ok_or_else(|| Error::failure("no epoch was trained"))?;
    stage.note(summary(&history, score, score_name));
    Ok(Trained { best, history })
}

/// How it went. Where there are several kinds of epochs, whether the last, which is kept, is any better than those before.
fn summary(history: &[HeadEpoch], best: f64, score_name: &str) -> String {
    let last = history.last().map_or("", |row| row.phase.as_str());
    let before = history.iter().filter(|row| row.phase != last).map(|row| row.score).max_by(f64::total_cmp);
    let epochs = history.len();
    match before {
        None => format!("{epochs} epochs, best {score_name} {best:.3}"),
        Some(before) if before > best => {
            format!("{epochs} epochs, best {score_name} of those in {last} {best:.3}, which are kept though {before:.3} was reached before")
        }
        Some(before) => format!("{epochs} epochs, best {score_name} of those in {last} {best:.3}, before {before:.3}"),
    }
}

/// From the best epoch of the phase before.
fn begin_phase(head: &mut dyn HeadInTraining, best: Option<(f64, Weights)>) -> Result<()> {
    if let Some((_, best)) = best {
        head.parameters().set(best.iter())?;
    }
    head.renew_optimizer();
    Ok(())
}

fn take_up(head: &mut dyn HeadInTraining, state: &State, groups: &Groups) -> Result<()> {
    head.parameters().set(&groups.group(WEIGHTS))?;
    head.optimizer().resume(state.optimizer_steps, &groups.group(OPTIMIZER));
    Ok(())
}

fn save(snapshots: &mut Snapshots, head: &mut dyn HeadInTraining, history: &[HeadEpoch], best: Option<&(f64, Weights)>) -> Result<()> {
    let mut groups = Groups::default();
    groups.add(WEIGHTS, head.parameters().iter());
    let optimizer: Vec<(String, Tensor)> = head.optimizer().state();
    groups.add(OPTIMIZER, optimizer.iter().map(|(name, tensor)| (name, tensor)));
    if let Some((_, best)) = best {
        groups.add(BEST, best.iter());
    }
    let state = State { optimizer_steps: head.optimizer().steps(), best: best.map(|(score, _)| *score), history: history.to_vec() };
    snapshots.write(history.len(), &state, &groups)
}

/// The rows in an order of the epoch's own, in batches.
pub fn batches(rows: &[usize], batch_size: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let mut order = rows.to_vec();
    order.shuffle(&mut stream(&format!("head order/{seed}/{epoch}")));
    order.chunks(batch_size.max(1)).map(<[usize]>::to_vec).collect()
}
