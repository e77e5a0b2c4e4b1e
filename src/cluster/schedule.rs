//! A run's jobs before they are submitted: what each of them makes, and what it waits for. Nothing
//! here asks the cluster or writes a file.

use std::collections::BTreeMap;

use super::answers;
use super::batches::{After, batched, dependency, parts};
use super::cost::Expected;
use super::packing::{PackedJob, Placing, packed};
use super::submission::{Role, SubmittedJob};
use surgcam_engine::plan::kind::StageKind;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, Resource, StageId};
use surgcam_engine::store::digest::Digest;
use surgcam_pipeline::kinds::{
    CaptionStage, EvaluateStage, InteractStage, MeasureStage, TrainStage,
};
use surgcam_recipe::slurm_settings::{JobNeeds, SlurmSettings};

/// The name that the job which writes the tables has in the settings.
pub const TABLES: &str = "tables";

/// A training that took at most this long the last time shares a job with others.
const SHORT_TRAINING_SECONDS: f64 = 10.0;

fn trains(kind: &str) -> bool {
    [TrainStage::NAME, CaptionStage::NAME, InteractStage::NAME].contains(&kind)
}

/// The jobs that make what is missing of a plan.
pub fn jobs_of(plan: &Plan, known: &Known, expected: &Expected) -> Vec<PackedJob> {
    let placing = |id: StageId| {
        let stage = plan.stage(id);
        if trains(stage.kind) {
            match expected.seconds(id) {
                Some(seconds) if seconds <= SHORT_TRAINING_SECONDS => Placing::Shares { seconds },
                _ => Placing::Own,
            }
        } else if stage.resource == Resource::Processor || stage.kind == EvaluateStage::NAME {
            Placing::Rides
        } else {
            Placing::Own
        }
    };
    packed(plan, known, placing)
}

/// How many jobs come after all others. The last one writes the tables, and if speed is measured,
/// the one before it does that.
pub fn other_jobs(measures_speed: bool) -> usize {
    1 + usize::from(measures_speed)
}

/// A job, or an array of jobs, that one call of sbatch submits. If its training is split, there is
/// a call for each part.
#[derive(Debug)]
pub(super) struct Call {
    /// The number of the first job, and how many there are.
    pub(super) first: usize,
    pub(super) jobs: usize,
    pub(super) kind: String,
    pub(super) role: Role,
    pub(super) needs_device: bool,
    pub(super) parts: u32,
    /// The jobs of this run that it waits for, by their numbers, and how these must have ended.
    pub(super) after: Vec<(After, usize)>,
}

/// A run's jobs, before they are submitted.
#[derive(Debug, Default)]
pub struct Schedule {
    pub jobs: Vec<SubmittedJob>,
    pub(super) calls: Vec<Call>,
}

/// What a schedule is made from.
pub struct ToSchedule<'a> {
    pub plan: &'a Plan,
    pub known: &'a Known,
    /// The jobs that make what is missing of the plan.
    pub jobs: &'a [PackedJob],
    pub identities: &'a [Digest],
    pub expected: &'a Expected,
    pub settings: &'a SlurmSettings,
    /// The most tasks of an array.
    pub array: usize,
    /// What `scontrol` says of the cluster's partitions.
    pub partitions: &'a str,
    /// Whether a job measures speed after all others.
    pub has_speed: bool,
}

impl Schedule {
    pub fn of(given: &ToSchedule) -> Self {
        let ToSchedule { plan, known, jobs: packed, expected, settings, .. } = *given;
        let parts_of = |job: &PackedJob| {
            let kind = job.kind(plan);
            if !trains(kind) {
                return 1;
            }
            let limit = longest(&settings.needs_of(kind), given.partitions);
            parts(expected.of_job(job), limit)
        };
        let mut schedule = Schedule::default();
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        for batch in batched(plan, packed, parts_of, given.array) {
            let first = schedule.jobs.len();
            let example = &packed[batch.jobs[0]];
            let after = example
                .after
                .iter()
                .map(|earlier| {
                    // An array waits as long as its task that waits longest.
                    let after = batch
                        .jobs
                        .iter()
                        .map(|job| dependency(plan, known, &packed[*job], &packed[*earlier]))
                        .min();
                    (after.unwrap_or(After::Any), numbers[earlier])
                })
                .collect();
            for (task, job) in batch.jobs.iter().enumerate() {
                numbers.insert(*job, first + task);
                let log = if batch.is_array() {
                    format!("{first}-{task}.log")
                } else {
                    format!("{first}.log")
                };
                schedule.jobs.push(submitted_job(given, &packed[*job], log));
            }
            schedule.calls.push(Call {
                first,
                jobs: batch.jobs.len(),
                kind: example.kind(plan).to_string(),
                role: Role::Stages,
                needs_device: example.needs_device,
                parts: batch.parts,
                after,
            });
        }
        if given.has_speed {
            schedule.add_last(Role::Speed, MeasureStage::NAME);
        }
        schedule.add_last(Role::Tables, TABLES);
        schedule
    }

    /// Adds a job that waits for all others, however they end.
    fn add_last(&mut self, role: Role, kind: &str) {
        let first = self.jobs.len();
        self.jobs.push(SubmittedJob {
            role,
            kind: kind.into(),
            stages: Vec::new(),
            requeues: 0,
            log: format!("{first}.log"),
        });
        self.calls.push(Call {
            first,
            jobs: 1,
            kind: kind.into(),
            role,
            needs_device: role == Role::Speed,
            parts: 1,
            after: (0..first).map(|number| (After::Any, number)).collect(),
        });
    }

    /// How many jobs the cluster gets. A training that is split has several.
    pub fn jobs_in_the_queue(&self) -> usize {
        self.calls.iter().map(|call| call.jobs * call.parts as usize).sum()
    }

    /// How often sbatch will be called.
    pub fn calls(&self) -> usize {
        self.calls.iter().map(|call| call.parts as usize).sum()
    }
}

fn submitted_job(given: &ToSchedule, job: &PackedJob, log: String) -> SubmittedJob {
    let plan = given.plan;
    let retries = job.stages.iter().map(|id| plan.stage(*id).limits.retries).max().unwrap_or(0);
    let has_training = job.stages.iter().any(|id| trains(plan.stage(*id).kind));
    SubmittedJob {
        role: Role::Stages,
        kind: job.kind(plan).to_string(),
        stages: job.stages.iter().map(|id| given.identities[id.0]).collect(),
        requeues: if has_training { given.settings.requeues } else { retries },
        log,
    }
}

/// The seconds that a job may take, if it has a limit: its own, or else that of its partition.
fn longest(needs: &JobNeeds, partitions: &str) -> Option<u64> {
    // Slurm takes the first of several partitions that has room.
    let partition = needs.partition.as_ref().and_then(|names| names.as_str().split(',').next());
    let own = needs.time.as_ref().map(|limit| limit.seconds());
    own.or_else(|| answers::usual_time(partitions, partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_may_take_as_long_as_it_asks_for_or_as_its_own_partition_allows() {
        let text = "time = '10'\n[kinds.caption]\npartition = 'long,main'";
        let mut settings: SlurmSettings = toml::from_str(text).unwrap();
        let partitions = "PartitionName=main Default=YES DefaultTime=00:30:00\n\
                          PartitionName=long Default=NO DefaultTime=NONE MaxTime=1-00:00:00\n";
        assert_eq!(longest(&settings.needs_of("train"), partitions), Some(600));
        settings.time = None;
        assert_eq!(longest(&settings.needs_of("train"), partitions), Some(1800));
        assert_eq!(longest(&settings.needs_of("caption"), partitions), Some(86_400));
        assert_eq!(longest(&settings.needs_of("train"), ""), None);
    }
}
