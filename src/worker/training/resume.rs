//! How far a training came: all that the next epoch depends on, written after each epoch, so that a training that is
//! interrupted goes on from its last epoch and ends with the same bits as one that was not.
//!
//! Random draws need no state: each is seeded by the epoch and the sample (see [`surgcam_frames::random`]).

use std::path::Path;

use serde::{Deserialize, Serialize};
use surgcam_artifacts::history::HistoryRow;
use surgcam_engine::error::Result;
use tch::Tensor;

use super::plateau::Schedule;
use super::sgd::Sgd;
use super::snapshot::{self, Groups, Snapshots};
use crate::model::weights::Weights;

/// The part of the state that is no tensor.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    schedule: Schedule,
    best: Option<f64>,
    history: Vec<HistoryRow>,
}

/// What is read back. Tensors are on the CPU.
pub struct Resumed {
    pub schedule: Schedule,
    pub history: Vec<HistoryRow>,
    pub weights: Vec<(String, Tensor)>,
    pub momentum: Vec<(String, Tensor)>,
    pub best: Option<(f64, Weights)>,
}

/// What is written; nothing of it is changed.
pub struct Progress<'a> {
    pub schedule: &'a Schedule,
    pub history: &'a [HistoryRow],
    pub weights: &'a Weights,
    pub optimizer: &'a Sgd,
    pub best: Option<&'a (f64, Weights)>,
}

const WEIGHTS: &str = "weights";
const MOMENTUM: &str = "momentum";
const BEST: &str = "best";

impl Progress<'_> {
    /// Writes the state in place of the one before.
    pub fn write(&self, snapshots: &mut Snapshots) -> Result<()> {
        let mut groups = Groups::default();
        groups.add(WEIGHTS, self.weights.iter());
        groups.add(MOMENTUM, &self.optimizer.buffers);
        if let Some((_, best)) = self.best {
            groups.add(BEST, best.iter());
        }
        let best = self.best.map(|(best, _)| *best);
        let state = State { schedule: self.schedule.clone(), best, history: self.history.to_vec() };
        snapshots.write(self.history.len(), &state, &groups)
    }
}

/// The state in the folder; `None` if there is none that is whole.
pub fn read(folder: &Path) -> Option<Resumed> {
    let (state, groups): (State, Groups) = snapshot::read(folder)?;
    Some(Resumed {
        schedule: state.schedule,
        history: state.history,
        weights: groups.group(WEIGHTS).into_iter().collect(),
        momentum: groups.group(MOMENTUM).into_iter().collect(),
        best: state.best.map(|best| (best, Weights::new(groups.group(BEST)))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam_pipeline::settings::Plateau;
    use tch::{Device, Kind};

    /// A best mAP that comes back off by its last bit lets a later epoch of the same mAP win.
    #[test]
    fn every_number_comes_back_with_all_its_bits() {
        let folder = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::new(folder.path().to_path_buf());
        let weights = Weights::new([("fc.bias".to_string(), Tensor::rand([3], (Kind::Float, Device::Cpu)))]);
        let optimizer = Sgd::new(&weights, 0.9, 1e-4);
        for place in 1..500 {
            let number = f64::from(place) / 499.0 - f64::EPSILON;
            let mut schedule = Schedule::new(number * 1e-3, Plateau { factor: 0.95, patience: 3, threshold: 1e-4 });
            schedule.step(number);
            let line = HistoryRow {
                epoch: 1,
                train_loss: number,
                validation_loss: number / 3.0,
                accuracy: number / 7.0,
                mean_average_precision: Some(number),
                learning_rate: number * 1e-3,
                seconds: number,
            };
            let best = (number, weights.copied());
            let progress = Progress {
                schedule: &schedule,
                history: std::slice::from_ref(&line),
                weights: &weights,
                optimizer: &optimizer,
                best: Some(&best),
            };
            progress.write(&mut snapshots).unwrap();
            let read = read(folder.path()).unwrap();
            assert_eq!(read.best.map(|(best, _)| best), Some(number));
            assert_eq!((read.history, read.schedule), (vec![line], schedule));
        }
    }
}
