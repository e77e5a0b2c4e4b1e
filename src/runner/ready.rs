//! The stages that could start now, by what they occupy, the one with the longest way behind it first.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use crate::plan::{Plan, Resource, StageId};

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    seconds_behind: f64,
    id: StageId,
}

impl Eq for Entry {}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // Of equally long ways the first in the plan.
        self.seconds_behind.total_cmp(&other.seconds_behind).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Entries may be stale: whoever takes one asks whether it still is ready.
#[derive(Debug)]
pub struct ReadyQueue {
    critical_path: Vec<f64>,
    by_resource: HashMap<Resource, BinaryHeap<Entry>>,
    /// Members of each pass, ready or not.
    passes: HashMap<String, Vec<StageId>>,
}

impl ReadyQueue {
    pub fn new(plan: &Plan, seconds: impl Fn(StageId) -> f64) -> Self {
        let mut passes: HashMap<String, Vec<StageId>> = HashMap::new();
        for id in plan.ids() {
            if let Some(pass) = &plan.stage(id).pass {
                passes.entry(pass.clone()).or_default().push(id);
            }
        }
        ReadyQueue { critical_path: plan.critical_path(seconds), by_resource: HashMap::new(), passes }
    }

    pub fn push(&mut self, plan: &Plan, id: StageId) {
        let entry = Entry { seconds_behind: self.critical_path[id.0], id };
        self.by_resource.entry(plan.stage(id).resource).or_default().push(entry);
    }

    /// The next stage for which `is_ready` holds.
    pub fn pop(&mut self, resource: Resource, is_ready: impl Fn(StageId) -> bool) -> Option<StageId> {
        let heap = self.by_resource.get_mut(&resource)?;
        std::iter::from_fn(|| heap.pop()).map(|entry| entry.id).find(|id| is_ready(*id))
    }

    /// All members of a stage's pass, itself among them.
    pub fn pass_of(&self, plan: &Plan, id: StageId) -> Vec<StageId> {
        match plan.stage(id).pass.as_ref().and_then(|pass| self.passes.get(pass)) {
            Some(members) => members.clone(),
            None => vec![id],
        }
    }
}
