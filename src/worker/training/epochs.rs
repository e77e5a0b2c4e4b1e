//! The loop of every training: it trains an epoch, validates, keeps the best epoch, and writes the
//! history. After an interruption it continues and ends with the same bits.

use std::time::Instant;

use surgcam_artifacts::history::{self, HistoryFiles};
use surgcam_engine::error::{Error, Result};

use super::resume::{self, SoFar};
use super::snapshot::Snapshots;
use super::trainable::{Host, TrainedEpoch, Training};
use crate::model::weights::Weights;

/// What the epochs leave besides the weights of the last one.
pub struct Trained<R> {
    /// The weights of the best epoch of the last phase, and its score.
    pub best: Weights,
    pub best_score: f64,
    pub history: Vec<R>,
}

/// Trains this number of epochs, counting those of an interrupted training, and writes the history.
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
            must_be_usable(training, score, epoch)?;
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

/// Begins from the start, or where an interrupted training ended.
fn begin<T: Training>(host: &dyn Host, training: &mut T) -> Result<SoFar<T::Row>> {
    let Some(resumed) = resume::read::<T>(&host.partial_folder()) else {
        return Ok(SoFar { history: Vec::new(), best: None });
    };
    host.note(format!("goes on after epoch {}", resumed.so_far.history.len()));
    training.weights().set(&resumed.weights)?;
    training.resume(resumed.numbers, resumed.memory);
    Ok(resumed.so_far)
}

/// Begins a phase from the best epoch of the phase before.
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
    let row = training.validate(&TrainedEpoch::new(epoch, train_loss, begun))?;
    if let Some(loss) = T::validation_loss(&row) {
        must_be_a_number(training, loss, epoch)?;
    }
    training.adjust(&row);
    Ok(row)
}

/// A training does not recover from a loss that is not a number, so it ends.
fn must_be_a_number<T: Training>(training: &T, loss: f64, epoch: usize) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::failure(format!("the loss is not a number any more in epoch {epoch}"))
        .hint(training.remedy()))
}

/// Whether an epoch may be kept as the best one. Its last step can break weights after the last
/// loss was computed, and a score can hide that.
fn must_be_usable<T: Training>(training: &T, score: f64, epoch: usize) -> Result<()> {
    let problem = match training.weights().first_not_finite() {
        Some(name) => format!("the weights of `{name}` are not numbers any more"),
        None if !score.is_finite() => "the score is not a number".to_string(),
        None => return Ok(()),
    };
    Err(Error::failure(format!("{problem} in epoch {epoch}")).hint(training.remedy()))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use serde::{Deserialize, Serialize};
    use surgcam_artifacts::history::HeadEpoch;
    use tch::{Kind, Tensor, no_grad};

    use super::*;

    /// Stops a training after this number of steps.
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

        fn set_newest_epoch(&self, _text: String) {}

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
    /// The score of each epoch; the first three are one phase.
    const SCORES: [f64; EPOCHS] = [0.1, 0.9, 0.5, 0.2, 0.4, 0.4];

    /// Everything in it depends on every epoch before.
    struct Toy {
        weights: Weights,
        momentum: Tensor,
        rate: f64,
        /// Whose loss is not a number.
        broken: Option<usize>,
        /// The epoch whose last step breaks the weight.
        breaks_weight: Option<usize>,
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
                breaks_weight: None,
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
            let loss = if self.broken == Some(epoch) { f64::NAN } else { self.weight() };
            if self.breaks_weight == Some(epoch) {
                let mut weight = self.weights.get("w")?;
                let _ = no_grad(|| weight.fill_(f64::NAN));
            }
            Ok(loss)
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

    #[test]
    fn weights_that_are_not_numbers_are_never_kept_as_the_best() {
        let folder = tempfile::tempdir().unwrap();
        let mut toy = Toy::new(None);
        toy.breaks_weight = Some(2);
        let error = run_toy(&Patience::of(EPOCHS * STEPS, folder.path()), &mut toy)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the weights of `w` are not numbers any more in epoch 2")
                && error.contains("lower the rate"),
            "{error}"
        );
    }
}
