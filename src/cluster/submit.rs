//! Hands a run to the cluster: which jobs, in which order, each with what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::batches::{After, batched, dependency, parts};
use super::cost::Expected;
use super::packing::{PackedJob, Placing, packed};
use super::programs::expect;
use super::script::{BatchOfJobs, RunOfJobs, options, script};
use super::submission::{
    Role, SubmittedBatch, SubmittedJob, batches, folder, job_name, names_of, note_batch, open_runs,
};
use super::{answers, states};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::kind::StageKind;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, Resource, StageId};
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::store::Store;
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

/// The jobs for what is missing of a plan.
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

/// The jobs that come after all others: one writes the tables, and one before it measures speed
/// where that is asked for.
pub fn other_jobs(measures_speed: bool) -> usize {
    1 + usize::from(measures_speed)
}

/// Jobs for one call of sbatch, or for several if its training is split.
#[derive(Debug)]
struct Call {
    first: usize,
    jobs: usize,
    kind: String,
    role: Role,
    needs_device: bool,
    parts: u32,
    /// What it waits for: jobs of this run, by their numbers.
    after: Vec<(After, usize)>,
}

/// A run's jobs, before they are submitted.
#[derive(Debug, Default)]
pub struct Schedule {
    pub jobs: Vec<SubmittedJob>,
    calls: Vec<Call>,
}

/// What a schedule is made from.
pub struct ToSchedule<'a> {
    pub plan: &'a Plan,
    pub known: &'a Known,
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
        let ToSchedule { plan, known, expected, settings, .. } = *given;
        let packed = jobs_of(plan, known, expected);
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
        for batch in batched(plan, &packed, parts_of, given.array) {
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

    /// A job that waits for all others, however they end.
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

    /// The cluster's jobs. A training that is cut has several.
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

/// Stages that jobs of other runs are going to make, with the names of these jobs in the cluster.
#[derive(Debug, Default)]
pub struct Elsewhere {
    jobs: BTreeMap<Digest, String>,
    /// The runs that they belong to, with their experiments.
    pub runs: Vec<(String, String)>,
}

impl Elsewhere {
    /// Asks the cluster about the submitted runs of the store.
    pub fn of(store: &Store) -> Result<Self> {
        let mut elsewhere = Elsewhere::default();
        for (run, submission) in open_runs(store) {
            let batches = batches(store, &run.id)?;
            let statuses = states::of_run(&run.id, &batches)?;
            let mut is_open = false;
            for (number, job) in submission.jobs.iter().enumerate() {
                // The last job of a training that was cut ends it.
                let Some(name) = names_of(&batches, number).pop() else { continue };
                if statuses.get(&name).is_some_and(|status| status.standing.is_open()) {
                    is_open = true;
                    let stages = job.stages.iter().map(|stage| (*stage, name.clone()));
                    elsewhere.jobs.extend(stages);
                }
            }
            if is_open {
                elsewhere.runs.push((run.id, run.experiment));
            }
        }
        Ok(elsewhere)
    }

    /// Whether jobs of other runs make all of these.
    pub fn makes_all<'a>(&self, mut stages: impl Iterator<Item = &'a Digest>) -> bool {
        stages.all(|stage| self.jobs.contains_key(stage))
    }

    fn jobs_for(&self, jobs: &[SubmittedJob]) -> BTreeSet<&str> {
        let stages = jobs.iter().flat_map(|job| &job.stages);
        stages.filter_map(|stage| self.jobs.get(stage)).map(String::as_str).collect()
    }
}

/// What `scontrol` says of the cluster's partitions; nothing where it does not tell.
pub fn partitions() -> String {
    let arguments = ["--oneliner".to_string(), "show".into(), "partition".into()];
    expect("scontrol", &arguments).unwrap_or_default()
}

/// The seconds that a job may take, if it has a limit: its own, or else that of its partition.
fn longest(needs: &JobNeeds, partitions: &str) -> Option<u64> {
    // Slurm takes the first of several partitions that has room.
    let partition = needs.partition.as_ref().and_then(|names| names.as_str().split(',').next());
    let own = needs.time.as_ref().map(|limit| limit.seconds());
    own.or_else(|| answers::usual_time(partitions, partition))
}

/// Submits all jobs. If one is refused, or the user interrupts it, those that were submitted are
/// cancelled.
pub fn submit(
    store: &Store,
    run: &RunOfJobs,
    schedule: &Schedule,
    elsewhere: &Elsewhere,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut done = Vec::new();
    for call in &schedule.calls {
        let submitted = submit_call(store, run, schedule, call, elsewhere, &mut done);
        // Ctrl-C reaches sbatch, too, which then fails.
        let outcome = if interrupt.is_requested() {
            Err(Error::interrupted("interrupted; the jobs that were submitted are cancelled"))
        } else {
            submitted
        };
        if let Err(error) = outcome {
            // The jobs before it could only make a part of the run.
            let cancelled = cancel(run.run);
            return Err(match cancelled {
                Ok(()) => error,
                Err(_) => error.hint(format!(
                    "jobs that were submitted before are still there: scancel --name={}",
                    job_name(run.run)
                )),
            });
        }
    }
    Ok(())
}

fn submit_call(
    store: &Store,
    run: &RunOfJobs,
    schedule: &Schedule,
    call: &Call,
    elsewhere: &Elsewhere,
    done: &mut Vec<SubmittedBatch>,
) -> Result<()> {
    let jobs = &schedule.jobs[call.first..call.first + call.jobs];
    let folder = folder(store, run.run);
    let pattern = if call.jobs > 1 {
        format!("{}-%a.log", call.first)
    } else {
        format!("{}.log", call.first)
    };
    let waits_for = dependency_text(&call.after, &elsewhere.jobs_for(jobs), done);
    let mut before: Option<String> = None;
    for part in 1..=call.parts {
        let script_path = folder.join(format!("{}.sh", call.first));
        let dependency = match &before {
            None => waits_for.clone(),
            Some(id) => Some(format!("{}:{id}", After::Any.name())),
        };
        let batch = BatchOfJobs {
            first: call.first,
            jobs: call.jobs,
            kind: &call.kind,
            needs_device: call.needs_device,
            is_alone: call.role == Role::Speed,
            is_followed: part < call.parts,
            dependency,
            script: &script_path,
            log: &folder.join(&pattern),
        };
        // Slurm keeps a copy, so the next part may have a script of this name.
        fs::write(&script_path, script(run, &batch)?).at_path("write", &script_path)?;
        let said = expect("sbatch", &options(run, &batch)?)?;
        let id = answers::submitted(&said).ok_or_else(|| {
            Error::failure(format!("sbatch gave no number of a job but `{}`", said.trim()))
        })?;
        let noted = SubmittedBatch { first: call.first, jobs: call.jobs, id: id.clone() };
        note_batch(store, run.run, &noted)?;
        done.push(noted);
        before = Some(id);
    }
    Ok(())
}

/// `afterok:1:2_3,afterany:4`. An array that is waited for as a whole is named as a whole.
fn dependency_text(
    after: &[(After, usize)],
    elsewhere: &BTreeSet<&str>,
    done: &[SubmittedBatch],
) -> Option<String> {
    let mut by_end: BTreeMap<After, BTreeMap<&str, BTreeSet<usize>>> = BTreeMap::new();
    for (after, number) in after {
        // The last part of a training that was cut ends it.
        let batch = done.iter().rfind(|batch| batch.name_of(*number).is_some());
        if let Some(batch) = batch {
            by_end.entry(*after).or_default().entry(batch.id.as_str()).or_default().insert(*number);
        }
    }
    let mut names: BTreeMap<After, Vec<String>> = BTreeMap::new();
    for (after, batches) in by_end {
        for (id, numbers) in batches {
            let batch = done.iter().find(|batch| batch.id == id);
            let names = names.entry(after).or_default();
            match batch {
                Some(batch) if numbers.len() < batch.jobs => {
                    names.extend(numbers.iter().filter_map(|number| batch.name_of(*number)));
                }
                _ => names.push(id.to_string()),
            }
        }
    }
    if !elsewhere.is_empty() {
        let names = names.entry(After::Any).or_default();
        names.extend(elsewhere.iter().map(|name| name.to_string()));
    }
    let terms: Vec<String> = names
        .into_iter()
        .map(|(after, names)| format!("{}:{}", after.name(), names.join(":")))
        .collect();
    (!terms.is_empty()).then(|| terms.join(","))
}

/// Cancels all jobs of a run, also such as were submitted without being noted.
pub fn cancel(run: &str) -> Result<()> {
    expect("scancel", &[format!("--name={}", job_name(run))]).map(drop)
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

    #[test]
    fn an_array_is_named_as_a_whole_where_all_of_it_is_waited_for() {
        let batch = |first, jobs, id: &str| SubmittedBatch { first, jobs, id: id.into() };
        let done = [batch(0, 1, "10"), batch(1, 2, "11"), batch(3, 1, "12"), batch(3, 1, "13")];
        let any = |numbers: &[usize]| -> Vec<(After, usize)> {
            numbers.iter().map(|number| (After::Any, *number)).collect()
        };
        let none = BTreeSet::new();
        let text = |after: &[(After, usize)]| dependency_text(after, &none, &done);
        assert_eq!(text(&any(&[0, 1, 2, 3])).as_deref(), Some("afterany:10:11:13"));
        assert_eq!(text(&any(&[2])).as_deref(), Some("afterany:11_1"));
        assert_eq!(text(&[]), None);
        let both = [(After::Ok, 0), (After::Any, 2)];
        assert_eq!(text(&both).as_deref(), Some("afterany:11_1,afterok:10"));
        let elsewhere = BTreeSet::from(["7_2"]);
        let text = dependency_text(&[(After::Ok, 0)], &elsewhere, &done);
        assert_eq!(text.as_deref(), Some("afterany:7_2,afterok:10"));
    }
}
