//! How far a training came: all that the next epoch depends on, written after each epoch, so that a training that is
//! interrupted goes on from its last epoch and ends with the same bits as one that was not.
//!
//! Random draws need no state: each is seeded by the epoch and the sample (see [`surgcam::random`]).

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use surgcam::artifacts::history::HistoryRow;
use surgcam::error::{AtPath, Result};
use surgcam::store::digest::Digest;
use surgcam::store::file::{Durability, write_with};
use surgcam::store::read_json;
use tch::{Device, Tensor};

use super::plateau::Schedule;
use super::sgd::Sgd;
use crate::model::parameters::Parameters;

const FORMAT: u32 = 1;
const STATE_FILE: &str = "state.json";

/// The part of the state that is no tensor.
#[derive(Debug, Serialize, Deserialize)]
struct StateFile {
    format: u32,
    /// Names the file of tensors: each epoch has its own, so that the one in use is never written to.
    tensors: String,
    digest: Digest,
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
    pub best: Option<(f64, Parameters)>,
}

/// What is written; nothing of it is changed.
pub struct Progress<'a> {
    pub schedule: &'a Schedule,
    pub history: &'a [HistoryRow],
    pub weights: &'a Parameters,
    pub optimizer: &'a Sgd,
    pub best: Option<&'a (f64, Parameters)>,
}

/// An epoch that took so long is worth waiting for the disk.
const WORTH_SYNCING: Duration = Duration::from_secs(30);

impl Progress<'_> {
    /// Writes the state into the folder, in place of the one that is there. `epoch_begun`: when the last epoch began.
    pub fn write(&self, folder: &Path, epoch_begun: Instant) -> Result<()> {
        std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
        let cpu =
            |prefix: &str, name: &str, tensor: &Tensor| (format!("{prefix}/{name}"), tensor.detach().to_device(Device::Cpu).contiguous());
        let mut tensors: Vec<(String, Tensor)> = self.weights.iter().map(|(name, tensor)| cpu("weights", name, tensor)).collect();
        tensors.extend(self.optimizer.buffers.iter().map(|(name, tensor)| cpu("momentum", name, tensor)));
        if let Some((_, best)) = self.best {
            tensors.extend(best.iter().map(|(name, tensor)| cpu("best", name, tensor)));
        }
        let name = format!("epoch-{}.safetensors", self.history.len());
        let path = folder.join(&name);
        Tensor::write_safetensors(&tensors, &path).at_path("write", &path)?;
        let durability = if epoch_begun.elapsed() > WORTH_SYNCING { Durability::Synced } else { Durability::Remade };
        if durability == Durability::Synced {
            std::fs::File::open(&path).and_then(|file| file.sync_all()).at_path("write", &path)?;
        }
        let state = StateFile {
            format: FORMAT,
            digest: Digest::of_file(&path)?,
            tensors: name.clone(),
            schedule: self.schedule.clone(),
            best: self.best.map(|(best, _)| *best),
            history: self.history.to_vec(),
        };
        let state_path = folder.join(STATE_FILE);
        write_with(&state_path, &serde_json::to_vec(&state).at_path("write", &state_path)?, durability)?;
        remove_others(folder, &name);
        Ok(())
    }
}

/// Tensors of earlier epochs.
fn remove_others(folder: &Path, current: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name != current && name != STATE_FILE {
            // Left over, it takes room and nothing else.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The state in the folder; `None` if there is none that is whole.
pub fn read(folder: &Path) -> Option<Resumed> {
    let state: StateFile = read_json(&folder.join(STATE_FILE)).ok()?;
    let path = folder.join(&state.tensors);
    if state.format != FORMAT || Digest::of_file(&path).ok()? != state.digest {
        return None;
    }
    let all = Tensor::read_safetensors(&path).ok()?;
    let part = |prefix: &str| -> Vec<(String, Tensor)> {
        let named = all
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.strip_prefix('/')?.to_string(), tensor.shallow_clone())));
        named.collect()
    };
    Some(Resumed {
        schedule: state.schedule,
        history: state.history,
        weights: part("weights"),
        momentum: part("momentum"),
        best: state.best.map(|best| (best, Parameters::new(part("best")))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam::pipeline::stages::Plateau;
    use tch::Kind;

    /// A best mAP that comes back off by its last bit lets a later epoch of the same mAP win.
    #[test]
    fn every_number_comes_back_with_all_its_bits() {
        let folder = tempfile::tempdir().unwrap();
        let weights = Parameters::new([("fc.bias".to_string(), Tensor::rand([3], (Kind::Float, Device::Cpu)))]);
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
            progress.write(folder.path(), Instant::now()).unwrap();
            let read = read(folder.path()).unwrap();
            assert_eq!(read.best.map(|(best, _)| best), Some(number));
            assert_eq!((read.history, read.schedule), (vec![line], schedule));
        }
    }
}
