//! The loop of every training: train an epoch, validate, keep the best one, write the history, and
//! go on after an interruption with the same bits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use surgcam_artifacts::history::{self, HistoryFiles, HistoryRow};
use surgcam_engine::error::{Error, Result};
use tch::Tensor;

use super::resume::{self, SoFar};
use super::snapshot::Snapshots;
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

    /// Of two equal epochs the first is the best.
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

/// What the epochs leave beside the weights of the last one.
pub struct Trained<R> {
    /// The weights of the best epoch of the last phase, and its score.
    pub best: Weights,
    pub best_score: f64,
    pub history: Vec<R>,
}

/// Trains so many epochs, those of an interrupted training among them, and writes the history.
pub fn run<T: Training>(
    host: &dyn Host,
    training: &mut T,
    epochs: usize,
    files: &HistoryFiles,
) -> Result<Trained<T::Row>> {
    let mut so_far = begin(host, training)?;
    let mut snapshots = Snapshots::new(host.partial_folder());
    let mut saved = Instant::now();
    for epoch in so_far.history.len() + 1..=epochs {
        if epoch > 1 && training.phase(epoch) != training.phase(epoch - 1) {
            begin_phase(training, so_far.best.take())?;
        }
        let row = one_epoch(host, training, epoch, epochs)?;
        let score = T::score(&row);
        if so_far.best.as_ref().is_none_or(|(best, _)| T::is_better(score, *best)) {
            so_far.best = Some((score, training.weights().copied()));
        }
        training.tell(host, &row, epochs);
        so_far.history.push(row);
        if epoch < epochs && saved.elapsed() >= T::SNAPSHOT_INTERVAL {
            resume::write(training, &so_far, &mut snapshots)?;
            saved = Instant::now();
        }
    }
    let (best_score, best) = so_far.best.ok_or_else(|| Error::failure("no epoch was trained"))?;
    history::write(&so_far.history, files)?;
    Ok(Trained { best, best_score, history: so_far.history })
}

/// From nothing, or from where an interrupted training came to.
fn begin<T: Training>(host: &dyn Host, training: &mut T) -> Result<SoFar<T::Row>> {
    let Some(resumed) = resume::read::<T>(&host.partial_folder()) else {
        return Ok(SoFar { history: Vec::new(), best: None });
    };
    host.note(format!("goes on after epoch {}", resumed.so_far.history.len()));
    training.weights().set(&resumed.weights)?;
    training.resume(resumed.numbers, resumed.memory);
    Ok(resumed.so_far)
}

/// From the best epoch of the phase before.
fn begin_phase<T: Training>(training: &mut T, best: Option<(f64, Weights)>) -> Result<()> {
    if let Some((_, best)) = best {
        training.weights().set(best.iter())?;
    }
    training.begin_phase();
    Ok(())
}

fn one_epoch<T: Training>(
    host: &dyn Host,
    training: &mut T,
    epoch: usize,
    epochs: usize,
) -> Result<T::Row> {
    let begun = Instant::now();
    let steps = training.steps();
    let on_step = |step: usize| host.progress((epoch - 1) * steps + step, epochs * steps);
    let train_loss = training.train(epoch, &on_step)?;
    must_be_a_number(training, train_loss, epoch)?;
    let row = training.validate(&TrainedEpoch { number: epoch, train_loss, begun })?;
    if let Some(loss) = T::validation_loss(&row) {
        must_be_a_number(training, loss, epoch)?;
    }
    training.adjust(&row);
    Ok(row)
}

/// From a loss that is not a number, no later epoch recovers.
fn must_be_a_number<T: Training>(training: &T, loss: f64, epoch: usize) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::failure(format!("the loss is not a number any more in epoch {epoch}"))
        .hint(training.remedy()))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::path::Path;

    use serde::Deserialize;
    use surgcam_artifacts::history::HeadEpoch;
    use tch::{Kind, no_grad};

    use super::*;

    /// Stops a training after so many steps.
    struct Patience {
        folder: PathBuf,
        steps_left: Cell<usize>,
        notes: RefCell<Vec<String>>,
    }

    impl Patience {
        fn of(steps: usize, folder: &Path) -> Self {
            Patience {
                folder: folder.join("partial"),
                steps_left: Cell::new(steps),
                notes: RefCell::default(),
            }
        }
    }

    impl Host for Patience {
        fn partial_folder(&self) -> PathBuf {
            self.folder.clone()
        }

        fn note(&self, text: String) {
            self.notes.borrow_mut().push(text);
        }

        fn progress(&self, _done: usize, _total: usize) -> Result<()> {
            let left = self
                .steps_left
                .get()
                .checked_sub(1)
                .ok_or_else(|| Error::interrupted("interrupted"))?;
            self.steps_left.set(left);
            Ok(())
        }
    }

    const EPOCHS: usize = 6;
    const STEPS: usize = 2;
    /// Of each epoch; the first three are one phase.
    const SCORES: [f64; EPOCHS] = [0.1, 0.9, 0.5, 0.2, 0.4, 0.4];

    /// Everything in it depends on every epoch before.
    struct Toy {
        weights: Weights,
        momentum: Tensor,
        rate: f64,
        /// Whose loss is not a number.
        broken: Option<usize>,
        /// The weight after each epoch, and where the second phase began.
        weight_after: Vec<f64>,
        second_phase_from: Option<f64>,
    }

    #[derive(Serialize, Deserialize)]
    struct Rate {
        rate: f64,
    }

    impl Toy {
        fn new(broken: Option<usize>) -> Self {
            let weights = Weights::new([("w".to_string(), Tensor::from_slice(&[1f64]))]);
            Toy {
                weights,
                momentum: Tensor::from_slice(&[0.3f64]),
                rate: 0.7,
                broken,
                weight_after: Vec::new(),
                second_phase_from: None,
            }
        }

        fn weight(&self) -> f64 {
            value(&self.weights.get("w").unwrap())
        }
    }

    fn value(tensor: &Tensor) -> f64 {
        f64::try_from(tensor.sum(Kind::Double)).unwrap()
    }

    impl Training for Toy {
        type Row = HeadEpoch;
        type Numbers = Rate;

        const MEMORY: &'static str = "momentum";
        const SNAPSHOT_INTERVAL: Duration = Duration::ZERO;

        fn weights(&self) -> &Weights {
            &self.weights
        }

        fn memory(&self) -> Vec<(String, Tensor)> {
            vec![("w".into(), self.momentum.shallow_clone())]
        }

        fn numbers(&self) -> Rate {
            Rate { rate: self.rate }
        }

        fn resume(&mut self, numbers: Rate, memory: BTreeMap<String, Tensor>) {
            self.rate = numbers.rate;
            self.momentum.copy_(&memory["w"]);
        }

        fn phase(&self, epoch: usize) -> &'static str {
            if epoch <= 3 { "first" } else { "second" }
        }

        fn begin_phase(&mut self) {
            self.second_phase_from = Some(self.weight());
        }

        fn steps(&self) -> usize {
            STEPS
        }

        fn train(&mut self, epoch: usize, on_step: &dyn Fn(usize) -> Result<()>) -> Result<f64> {
            for step in 1..=STEPS {
                let mut weight = self.weights.get("w")?;
                let moved = &weight * 0.9 + &self.momentum * self.rate;
                self.momentum.copy_(&(&self.momentum * 0.5 + &weight * 0.1));
                no_grad(|| weight.copy_(&moved));
                on_step(step)?;
            }
            Ok(if self.broken == Some(epoch) { f64::NAN } else { self.weight() })
        }

        fn validate(&mut self, epoch: &TrainedEpoch) -> Result<HeadEpoch> {
            self.weight_after.push(self.weight());
            let (number, train_loss) = (epoch.number, epoch.train_loss);
            let phase = self.phase(number).into();
            Ok(HeadEpoch {
                epoch: number as u32,
                phase,
                train_loss,
                score: SCORES[number - 1],
                seconds: epoch.seconds(),
            })
        }

        fn score(row: &HeadEpoch) -> f64 {
            row.score
        }

        fn remedy(&self) -> String {
            format!("lower the rate (it is {})", self.rate)
        }

        fn adjust(&mut self, row: &HeadEpoch) {
            self.rate *= row.score;
        }

        fn tell(&self, _host: &dyn Host, _row: &HeadEpoch, _epochs: usize) {}
    }

    fn run_toy(host: &Patience, toy: &mut Toy) -> Result<Trained<HeadEpoch>> {
        let file = |name: &str| host.folder.with_file_name(name);
        run(
            host,
            toy,
            EPOCHS,
            &HistoryFiles { parquet: file("history.parquet"), csv: file("history.csv") },
        )
    }

    #[test]
    fn an_interrupted_training_ends_as_one_that_was_not() {
        let numbers = |toy: &Toy, trained: &Trained<HeadEpoch>| {
            let losses: Vec<f64> = trained.history.iter().map(|row| row.train_loss).collect();
            (toy.weight(), value(&trained.best.get("w").unwrap()), trained.best_score, losses)
        };
        let folder = tempfile::tempdir().unwrap();
        let mut whole = Toy::new(None);
        let trained = run_toy(&Patience::of(EPOCHS * STEPS, folder.path()), &mut whole).unwrap();
        let expected = numbers(&whole, &trained);
        for stop in 0..EPOCHS * STEPS {
            let folder = tempfile::tempdir().unwrap();
            assert!(run_toy(&Patience::of(stop, folder.path()), &mut Toy::new(None)).is_err());
            assert!(!folder.path().join("history.csv").exists());
            let host = Patience::of(EPOCHS * STEPS, folder.path());
            let mut toy = Toy::new(None);
            let trained = run_toy(&host, &mut toy).unwrap();
            assert_eq!(numbers(&toy, &trained), expected, "after {stop} steps");
            let noted = match stop / STEPS {
                0 => vec![],
                epoch => vec![format!("goes on after epoch {epoch}")],
            };
            assert_eq!(*host.notes.borrow(), noted);
        }
    }

    #[test]
    fn a_phase_begins_with_the_best_epoch_before_and_the_first_best_of_the_last_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut toy = Toy::new(None);
        let trained = run_toy(&Patience::of(EPOCHS * STEPS, folder.path()), &mut toy).unwrap();
        assert_eq!(toy.second_phase_from, Some(toy.weight_after[1]));
        assert_eq!(
            (trained.best_score, value(&trained.best.get("w").unwrap())),
            (0.4, toy.weight_after[4])
        );
        assert!(
            std::fs::read_to_string(folder.path().join("history.csv"))
                .unwrap()
                .contains("\n4,second,")
        );
    }

    #[test]
    fn a_loss_that_is_not_a_number_ends_a_training_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let mut toy = Toy::new(Some(2));
        let error = run_toy(&Patience::of(EPOCHS * STEPS, folder.path()), &mut toy)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("not a number any more in epoch 2") && error.contains("lower the rate"),
            "{error}"
        );
        assert_eq!(toy.weight_after.len(), 1, "it is not validated");
    }
}
