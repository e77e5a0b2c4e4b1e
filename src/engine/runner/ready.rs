//! The stages that could start now, by the resource that they occupy. The stage with the longest
//! remaining path comes first.

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
        // Among equally long paths, the first in the plan wins.
        self.seconds_behind.total_cmp(&other.seconds_behind).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The most stages of a pass that go to a worker together. Each has up to three files open there
/// (its lock, a Parquet file, an `.npy`), and many systems allow a process 1024.
const MOST_SIBLINGS: usize = 256;

/// Entries may be stale, so a caller checks whether an entry is still ready.
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
        ReadyQueue {
            critical_path: plan.critical_path(seconds),
            by_resource: HashMap::new(),
            passes,
        }
    }

    pub fn push(&mut self, plan: &Plan, id: StageId) {
        let entry = Entry { seconds_behind: self.critical_path[id.0], id };
        self.by_resource.entry(plan.stage(id).resource).or_default().push(entry);
    }

    /// The next stage for which `is_ready` holds.
    pub fn pop(
        &mut self,
        resource: Resource,
        is_ready: impl Fn(StageId) -> bool,
    ) -> Option<StageId> {
        let heap = self.by_resource.get_mut(&resource)?;
        std::iter::from_fn(|| heap.pop()).map(|entry| entry.id).find(|id| is_ready(*id))
    }

    /// Whether there is a stage for which `is_ready` holds.
    pub fn has_any(&self, is_ready: impl Fn(StageId) -> bool) -> bool {
        self.by_resource.values().flatten().any(|entry| is_ready(entry.id))
    }

    /// A stage and the stages of its pass for which `is_ready` holds, as many as fit into one job.
    pub fn job_of(
        &self,
        plan: &Plan,
        id: StageId,
        is_ready: impl Fn(StageId) -> bool,
    ) -> Vec<StageId> {
        let pass = plan.stage(id).pass.as_ref().and_then(|pass| self.passes.get(pass));
        let others =
            pass.into_iter().flatten().copied().filter(|other| *other != id && is_ready(*other));
        std::iter::once(id).chain(others).take(MOST_SIBLINGS).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::inputs;
    use crate::plan::inputs::NoInputs;
    use crate::plan::kind::{OutputOf, StageKind};
    use crate::plan::{Handle, NewStage};

    #[derive(Serialize, Deserialize)]
    struct Numbered {
        number: usize,
    }

    inputs! {
        struct NumberedInputs<S> {
            before: Option<S>,
        }
    }

    impl StageKind for Numbered {
        const NAME: &'static str = "numbered";
        const VERSION: u32 = 1;

        type Inputs<S> = NumberedInputs<S>;
    }

    impl Numbered {
        const OUT: OutputOf<Self> = OutputOf::new("out");
    }

    #[derive(Serialize, Deserialize)]
    struct InPass {
        number: usize,
    }

    impl StageKind for InPass {
        const NAME: &'static str = "in-pass";
        const VERSION: u32 = 1;
        const PASS: Option<&'static str> = Some("pass");

        type Inputs<S> = NoInputs;
    }

    fn in_pass(plan: &mut Plan, number: usize) -> StageId {
        plan.add(NewStage::new(
            format!("stage {number}"),
            &InPass { number },
            NoInputs,
            Resource::Processor,
        ))
        .id()
    }

    fn add(plan: &mut Plan, number: usize, before: Option<Handle<Numbered>>) -> Handle<Numbered> {
        let inputs = NumberedInputs { before: before.map(|before| before.output(Numbered::OUT)) };
        plan.add(NewStage::new(
            format!("stage {number}"),
            &Numbered { number },
            inputs,
            Resource::Processor,
        ))
    }

    #[test]
    fn the_stage_with_the_longest_way_behind_it_comes_first() {
        let mut plan = Plan::default();
        let short = add(&mut plan, 0, None).id();
        let start = add(&mut plan, 1, None);
        let end_of_chain = add(&mut plan, 2, Some(start)).id();
        let long = add(&mut plan, 3, None).id();
        let start_of_chain = start.id();
        let seconds = [1.0, 1.0, 4.0, 4.5];
        let mut queue = ReadyQueue::new(&plan, |id| seconds[id.0]);
        [short, start_of_chain, long].into_iter().for_each(|id| queue.push(&plan, id));
        assert!(!queue.has_any(|id| id == end_of_chain));
        let mut order = Vec::new();
        while let Some(id) = queue.pop(Resource::Processor, |id| id != short) {
            order.push(id);
        }
        assert_eq!(order, [start_of_chain, long], "one that is not ready any more is left out");
        assert_eq!(queue.pop(Resource::Device, |_| true), None);
    }

    #[test]
    fn a_wide_pass_is_cut_into_jobs_that_a_process_can_hold_open() {
        let mut plan = Plan::default();
        let ids: Vec<StageId> =
            (0..MOST_SIBLINGS + 2).map(|number| in_pass(&mut plan, number)).collect();
        let alone = add(&mut plan, ids.len(), None).id();
        let queue = ReadyQueue::new(&plan, |_| 1.0);
        let last = ids[ids.len() - 1];
        let job = queue.job_of(&plan, last, |id| id != ids[0]);
        assert_eq!(
            (job.len(), job[0]),
            (MOST_SIBLINGS, last),
            "the stage whose turn it is goes with it"
        );
        assert!(!job.contains(&ids[0]), "what is not ready does not");
        assert_eq!(queue.job_of(&plan, ids[0], |id| id == last), [ids[0], last]);
        assert_eq!(queue.job_of(&plan, alone, |_| true), [alone]);
    }
}
