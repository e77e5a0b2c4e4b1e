//! The state of a training: everything that the next epoch depends on. A training that was
//! interrupted continues from its last snapshot and ends with the same bits as one that was not.
//!
//! Random draws need no state: each is seeded by the epoch and the sample (see
//! [`surgcam_frames::random`]).

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use surgcam_engine::error::Result;
use tch::Tensor;

use super::snapshot::{self, Groups, Snapshots};
use super::trainable::Training;
use crate::model::weights::Weights;

/// The part of the state that is not a tensor: `N` what the training adds, `H` the rows of the
/// history.
#[derive(Debug, Serialize, Deserialize)]
struct State<N, H> {
    #[serde(flatten)]
    numbers: N,
    best: Option<f64>,
    history: H,
}

/// What the epochs so far left besides the training itself.
pub struct SoFar<R> {
    pub history: Vec<R>,
    /// The best epoch of this phase: its score and its weights.
    pub best: Option<(f64, Weights)>,
}

/// What is read back. Tensors are on the CPU.
pub struct Resumed<N, R> {
    pub so_far: SoFar<R>,
    pub weights: BTreeMap<String, Tensor>,
    pub memory: BTreeMap<String, Tensor>,
    pub numbers: N,
}

const WEIGHTS: &str = "weights";
const BEST: &str = "best";

/// Writes the state in place of the one before.
pub fn write<T: Training>(
    training: &T,
    so_far: &SoFar<T::Row>,
    snapshots: &mut Snapshots,
) -> Result<()> {
    let mut groups = Groups::default();
    groups.add(WEIGHTS, training.weights().iter());
    let memory = training.memory();
    groups.add(T::MEMORY, memory.iter().map(|(name, tensor)| (name, tensor)));
    if let Some((_, best)) = &so_far.best {
        groups.add(BEST, best.iter());
    }
    let best = so_far.best.as_ref().map(|(score, _)| *score);
    let state = State { numbers: training.numbers(), best, history: so_far.history.as_slice() };
    snapshots.write(so_far.history.len(), &state, &groups)
}

/// The state in the folder. `None` if there is no complete one.
pub fn read<T: Training>(folder: &Path) -> Option<Resumed<T::Numbers, T::Row>> {
    let (state, groups): (State<T::Numbers, Vec<T::Row>>, Groups) = snapshot::read(folder)?;
    Some(Resumed {
        so_far: SoFar {
            history: state.history,
            best: state.best.map(|best| (best, Weights::new(groups.group(BEST)))),
        },
        weights: groups.group(WEIGHTS),
        memory: groups.group(T::MEMORY),
        numbers: state.numbers,
    })
}

#[cfg(test)]
mod tests {
    use super::super::plateau::Schedule;
    use super::*;
    use surgcam_artifacts::history::{ClassifierEpoch, HeadEpoch};
    use surgcam_pipeline::settings::Plateau;

    #[derive(Serialize, Deserialize)]
    struct Scheduled {
        schedule: Schedule,
    }

    #[derive(Serialize, Deserialize)]
    struct Counted {
        optimizer_steps: i64,
    }

    /// If the best mAP came back with another last bit, a later epoch with the same mAP could win.
    #[test]
    fn every_number_comes_back_with_all_its_bits() {
        for place in 1..500 {
            let number = f64::from(place) / 499.0 - f64::EPSILON;
            let mut schedule = Schedule::new(
                number * 1e-3,
                Plateau { factor: 0.95, patience: 3, threshold: 1e-4 },
            );
            schedule.step(number);
            let line = ClassifierEpoch {
                epoch: 1,
                train_loss: number,
                validation_loss: number / 3.0,
                accuracy: number / 7.0,
                mean_average_precision: Some(number),
                learning_rate: number * 1e-3,
                seconds: number,
            };
            let written = State {
                numbers: Scheduled { schedule: schedule.clone() },
                best: Some(number),
                history: std::slice::from_ref(&line),
            };
            let text = serde_json::to_vec(&written).unwrap();
            let read: State<Scheduled, Vec<ClassifierEpoch>> =
                serde_json::from_slice(&text).unwrap();
            assert_eq!(
                (read.best, read.history, read.numbers.schedule),
                (Some(number), vec![line], schedule)
            );
        }
    }

    /// What was interrupted by the program before goes on with this one.
    #[test]
    fn states_keep_their_form() {
        let of_a_head = concat!(
            r#"{"optimizer_steps":3,"best":0.5,"#,
            r#""history":[{"epoch":1,"phase":"joint","train_loss":1.0,"score":0.5,"seconds":2.0}]}"#
        );
        let state: State<Counted, Vec<HeadEpoch>> = serde_json::from_str(of_a_head).unwrap();
        assert_eq!(
            (state.numbers.optimizer_steps, state.best, state.history.len()),
            (3, Some(0.5), 1)
        );
        assert_eq!(serde_json::to_string(&state).unwrap(), of_a_head);
        let of_a_classifier = concat!(
            r#"{"schedule":{"settings":{"factor":0.5,"patience":3,"threshold":0.25},"#,
            r#""learning_rate":0.125,"best":null,"bad_epochs":0},"#,
            r#""best":null,"history":[]}"#
        );
        let state: State<Scheduled, Vec<ClassifierEpoch>> =
            serde_json::from_str(of_a_classifier).unwrap();
        assert_eq!(serde_json::to_string(&state).unwrap(), of_a_classifier);
    }
}
