//! What planning shares: the experiment, what is wanted of it, and the plan as far as it is made.
//! `sources`, `models`, `localization`, `extraction` and `heads` add their stages to it; `build`
//! puts them together.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::goal::Goal;
use super::settings::MeasuredMachine;
use surgcam_engine::plan::Plan;
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_recipe::experiment::Experiment;

/// How a plan treats data folders and weights files, which are not made by stages.
#[derive(Clone, Copy)]
pub(super) enum Outside<'a> {
    /// They must be there, and they are hashed. The store remembers their digests.
    Read(&'a Store),
    /// They need not be there. Such a plan only finds mistakes in recipes and is not run.
    Assumed,
}

pub(super) struct Planner<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) project: &'a Path,
    pub(super) outside: Outside<'a>,
    pub(super) plan: Plan,
    /// Digests of data folders, by the folder and by the part of it that is in use.
    pub(super) source_digests: HashMap<String, Digest>,
    pub(super) machine: Option<&'a MeasuredMachine>,
    goals: BTreeSet<Goal>,
}

impl<'a> Planner<'a> {
    /// `machine` is what speed stages would run on. Without it, no speed stages are planned.
    pub(super) fn new(
        experiment: &'a Experiment,
        project: &'a Path,
        outside: Outside<'a>,
        goals: &BTreeSet<Goal>,
        machine: Option<&'a MeasuredMachine>,
    ) -> Self {
        Planner {
            experiment,
            project,
            outside,
            plan: Plan::default(),
            source_digests: HashMap::new(),
            machine,
            goals: goals.clone(),
        }
    }

    pub(super) fn wants(&self, goals: &[Goal]) -> bool {
        goals.iter().any(|goal| self.goals.contains(goal))
    }
}
