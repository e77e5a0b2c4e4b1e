//! What the trainings of all heads share: steps of Adam down a loss, an order of the samples for
//! each epoch, and phases that each have an optimizer of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use surgcam_artifacts::history::{HeadEpoch, HistoryFiles};
use surgcam_engine::error::Result;
use surgcam_frames::random::stream;
use surgcam_pipeline::head_settings::HeadTraining;
use tch::Tensor;

use super::adam::{Adam, AdamSettings};
use super::epochs;
use super::trainable::{Host, TrainedEpoch, Training};
use crate::generator;
use crate::model::weights::Weights;

/// A head that is trained.
pub trait Head {
    /// The name of its score.
    const SCORE: &'static str;

    fn adam(&self) -> AdamSettings;

    fn settings(&self) -> &HeadTraining;

    /// The weights that are trained. In a joint training they include the backbone's.
    fn weights(&self) -> &Weights;

    /// A phase's name for people, by epoch from 1.
    fn phase(&self, epoch: usize) -> &'static str;

    /// The samples of an epoch. Each epoch takes them in another order, batch by batch.
    fn samples(&self) -> Vec<usize>;

    /// The loss of some of [`Head::samples`].
    fn loss(&self, samples: &[usize], epoch: usize) -> Result<Tensor>;

    /// The learning rate of a weight, by its name, at this step. Steps count from 1 through all
    /// phases.
    fn learning_rates(&self, epoch: usize, step: i64) -> impl Fn(&str) -> f64;

    /// How good it is on the validation frames, the higher the better.
    fn judge(&self, epoch: usize) -> Result<f64>;
}

/// Trains a head for this number of epochs, all phases together. Afterwards it has the weights of
/// the best epoch of the last phase.
pub fn train<H: Head>(
    host: &dyn Host,
    head: &H,
    epochs: usize,
    files: &HistoryFiles,
) -> Result<()> {
    let mut training = InTraining { head, optimizer: Adam::new(head.weights(), head.adam()) };
    let trained = epochs::run(host, &mut training, epochs, files)?;
    host.note(summary(&trained.history, trained.best_score, H::SCORE));
    head.weights().set(trained.best.iter())
}

fn in_words(row: &HeadEpoch, epochs: usize, score_name: &str) -> String {
    let HeadEpoch { epoch, train_loss, score, .. } = row;
    format!("epoch {epoch}/{epochs}: train loss {train_loss:.4}, {score_name} {score:.3}")
}

/// How the training went. If there are several kinds of epochs, it also says whether the last kind,
/// which is kept, is better than those before.
fn summary(history: &[HeadEpoch], best: f64, score_name: &str) -> String {
    let last = history.last().map_or("", |row| row.phase.as_str());
    let before =
        history.iter().filter(|row| row.phase != last).map(|row| row.score).max_by(f64::total_cmp);
    let epochs = history.len();
    match before {
        None => format!("{epochs} epochs, best {score_name} {best:.3}"),
        Some(before) if before > best => {
            format!(
                "{epochs} epochs, best {score_name} of those in {last} {best:.3}, which are kept \
                 though {before:.3} was reached before"
            )
        }
        Some(before) => format!(
            "{epochs} epochs, best {score_name} of those in {last} {best:.3}, before {before:.3}"
        ),
    }
}

struct InTraining<'a, H> {
    head: &'a H,
    optimizer: Adam,
}

/// The part of a head's state that is not a tensor.
#[derive(Serialize, Deserialize)]
struct Numbers {
    optimizer_steps: i64,
}

impl<H: Head> InTraining<'_, H> {
    fn batch_size(&self) -> usize {
        self.head.settings().batch_size.max(1)
    }

    /// The samples in the order of this epoch, in batches.
    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut order = self.head.samples();
        order.shuffle(&mut stream(&format!("head order/{}/{epoch}", self.head.settings().seed)));
        order.chunks(self.batch_size()).map(<[usize]>::to_vec).collect()
    }
}

impl<H: Head> Training for InTraining<'_, H> {
    type Row = HeadEpoch;
    type Numbers = Numbers;

    const MEMORY: &'static str = "optimizer";
    /// A snapshot after each quick epoch would take longer than the epochs.
    const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

    fn weights(&self) -> &Weights {
        self.head.weights()
    }

    fn memory(&self) -> Vec<(String, Tensor)> {
        self.optimizer.state()
    }

    fn numbers(&self) -> Numbers {
        Numbers { optimizer_steps: self.optimizer.steps() }
    }

    fn resume(&mut self, numbers: Numbers, memory: BTreeMap<String, Tensor>) {
        self.optimizer.resume(numbers.optimizer_steps, &memory);
    }

    fn phase(&self, epoch: usize) -> &'static str {
        self.head.phase(epoch)
    }

    /// The state of the optimizer belongs to another loss and to fewer weights.
    fn begin_phase(&mut self) {
        self.optimizer = Adam::new(self.head.weights(), self.head.adam());
    }

    fn steps(&self) -> usize {
        self.head.samples().len().div_ceil(self.batch_size())
    }

    fn train(&mut self, epoch: usize, on_step: &dyn Fn(usize) -> Result<()>) -> Result<f64> {
        let batches = self.batches(epoch);
        let seed = self.head.settings().seed;
        let mut sum = 0.0;
        for (step, samples) in batches.iter().enumerate() {
            let _kept = generator::seeded_step(seed, epoch, step);
            let loss = self.head.loss(samples, epoch)?;
            let steps_so_far = (epoch - 1) * batches.len() + step;
            self.optimizer.step(&loss, self.head.learning_rates(epoch, (steps_so_far + 1) as i64));
            sum += f64::try_from(loss.detach()).unwrap_or(f64::NAN);
            on_step(step + 1)?;
        }
        Ok(sum / batches.len() as f64)
    }

    fn validate(&mut self, epoch: &TrainedEpoch) -> Result<HeadEpoch> {
        let score = self.head.judge(epoch.number)?;
        Ok(HeadEpoch {
            epoch: epoch.number as u32,
            phase: self.head.phase(epoch.number).into(),
            train_loss: epoch.train_loss,
            score,
            seconds: epoch.seconds(),
        })
    }

    fn score(row: &HeadEpoch) -> f64 {
        row.score
    }

    fn remedy(&self) -> String {
        "lower head.learning_rate".into()
    }

    /// There are hundreds of quick epochs. A note of each would fill logs and the journal.
    fn tell(&self, host: &dyn Host, row: &HeadEpoch, epochs: usize) {
        let text = in_words(row, epochs, H::SCORE);
        tracing::debug!("{text}");
        host.set_newest_epoch(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_told_with_the_name_of_its_score() {
        let row = HeadEpoch {
            epoch: 3,
            phase: "self-critical".into(),
            train_loss: 0.25,
            score: 0.5,
            seconds: 1.0,
        };
        assert_eq!(in_words(&row, 9, "CIDEr"), "epoch 3/9: train loss 0.2500, CIDEr 0.500");
    }
}
