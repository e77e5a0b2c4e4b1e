//! Some stages of a plan. A run for them makes those that are not in the store, and no others.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::plan::status::Known;
use crate::plan::{Plan, StageId};

/// Stages that can be made without others: what they need is in the store or among them.
#[derive(Debug)]
pub struct Choice(BTreeSet<StageId>);

impl Choice {
    /// Fails if one of the stages must be made and needs another that is neither in the store nor
    /// chosen.
    pub fn new(plan: &Plan, known: &Known, stages: BTreeSet<StageId>) -> Result<Self> {
        let to_make = stages.iter().filter(|id| !known.is_made(**id));
        let missing: BTreeSet<StageId> = to_make
            .flat_map(|id| plan.dependencies(*id))
            .filter(|id| !known.is_made(*id) && !stages.contains(id))
            .collect();
        if missing.is_empty() {
            return Ok(Choice(stages));
        }
        let names: Vec<String> =
            missing.into_iter().map(|id| format!("`{}`", plan.stage(id).name)).collect();
        Err(Error::failure(format!(
            "stages that are needed are not in the store: {}",
            names.join(", ")
        ))
        .hint("make these stages first, or in the same call"))
    }

    pub fn has(&self, id: StageId) -> bool {
        self.0.contains(&id)
    }

    /// In the order of the plan.
    pub fn stages(&self) -> impl Iterator<Item = StageId> + '_ {
        self.0.iter().copied()
    }

    /// How many of the stages are not made.
    pub fn to_run(&self, known: &Known) -> usize {
        self.stages().filter(|id| !known.is_made(*id)).count()
    }
}
