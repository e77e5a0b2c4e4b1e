//! Jobs in the form that Slurm gets them: equal ones form an array, and each array waits for the
//! jobs that it needs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::packing::PackedJob;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};

/// Jobs that are submitted with one call: one job, or an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The jobs, each by its place in the list of packed jobs.
    pub jobs: Vec<usize>,
    /// Into how many successive jobs its training is split. Only a batch of a single job is split.
    pub parts: u32,
}

impl Batch {
    pub fn is_array(&self) -> bool {
        self.jobs.len() > 1
    }
}

/// Puts jobs of one kind with equal needs together. `parts` says into how many successive jobs a
/// job is split, and an array has at most `most` tasks. Each batch comes after those that it needs.
pub fn batched(
    plan: &Plan,
    jobs: &[PackedJob],
    parts: impl Fn(&PackedJob) -> u32,
    most: usize,
) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut open: BTreeMap<(&str, bool, &BTreeSet<usize>), usize> = BTreeMap::new();
    for (place, job) in jobs.iter().enumerate() {
        let parts = parts(job);
        if parts > 1 {
            batches.push(Batch { jobs: vec![place], parts });
            continue;
        }
        let likeness = (job.kind(plan), job.needs_device, &job.after);
        match open.get(&likeness).copied() {
            Some(batch) if batches[batch].jobs.len() < most => batches[batch].jobs.push(place),
            _ => {
                open.insert(likeness, batches.len());
                batches.push(Batch { jobs: vec![place], parts });
            }
        }
    }
    batches
}

/// When a job may start, by how the job that it waits for ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum After {
    /// However it ended. The waiting job then makes those of its stages that can be made.
    Any,
    /// If all its stages are in the store. Otherwise the waiting job could make nothing.
    Ok,
}

impl After {
    /// As Slurm calls it.
    pub fn name(self) -> &'static str {
        match self {
            After::Any => "afterany",
            After::Ok => "afterok",
        }
    }
}

/// When a job may start after an earlier one. If each of its stages needs all stages of the earlier
/// job, the earlier job must have succeeded. Otherwise the job starts in any case, and makes the
/// stages that it can.
pub fn dependency(plan: &Plan, known: &Known, job: &PackedJob, earlier: &PackedJob) -> After {
    let each_needs_all = job.stages.iter().all(|id| {
        let needed = all_needed(plan, known, *id);
        earlier.stages.iter().all(|other| needed.contains(other))
    });
    if each_needs_all { After::Ok } else { After::Any }
}

/// The stages that must be made before this one.
fn all_needed(plan: &Plan, known: &Known, id: StageId) -> HashSet<StageId> {
    let mut needed = HashSet::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        for dependency in plan.dependencies(id).filter(|id| !known.is_made(*id)) {
            if needed.insert(dependency) {
                open.push(dependency);
            }
        }
    }
    needed
}

/// The seconds of a job that are not used for training: its start, its end, and the epoch that is
/// lost at its end.
const OVERHEAD_SECONDS: f64 = 300.0;

/// The most jobs that a training is split into.
const MOST_PARTS: u32 = 100;

/// The number of jobs that a training of `seconds` is split into, if a job may take `limit`
/// seconds.
pub fn parts(seconds: Option<f64>, limit: Option<u64>) -> u32 {
    let (Some(seconds), Some(limit)) = (seconds, limit) else { return 1 };
    // Even a limit of a few minutes leaves some time for training.
    let usable = (limit as f64 - OVERHEAD_SECONDS).max(limit as f64 / 2.0).max(1.0);
    // If the number is too large for an integer, it becomes the largest one.
    ((seconds / usable).ceil() as u32).clamp(1, MOST_PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_is_cut_where_it_is_longer_than_a_job_may_be() {
        let day = Some(86_400);
        assert_eq!(parts(Some(80_000.0), day), 1);
        assert_eq!(parts(Some(90_000.0), day), 2);
        assert_eq!(parts(Some(864_000.0), day), 11);
        assert_eq!(parts(None, day), 1);
        assert_eq!(parts(Some(1e9), None), 1);
        assert_eq!(parts(Some(f64::MAX), Some(60)), MOST_PARTS);
    }
}
