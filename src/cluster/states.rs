//! What became of a job. This tells why a stage of a run is not in the store.
//!
//! The queue knows jobs that wait, run, or ended a short time ago. The accounts know all jobs, if
//! the cluster keeps accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use super::answers::{self, ACCOUNTS_FORMAT, ClusterLimits, Listed, QUEUE_FORMAT};
use super::programs::{ask, expect, refused};
use super::submission::{self, SubmittedBatch, job_name};
use surgcam_engine::error::Result;
use surgcam_engine::store::Store;

/// The states of a job that surgcam tells apart. Slurm has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Waiting,
    Running,
    Succeeded,
    Failed,
    OutOfMemory,
    TimedOut,
    Cancelled,
    /// It was not started, because a job that it needs did not succeed.
    NotNeeded,
    NodeLost,
    /// Slurm could not even begin it, for example because its output has no folder there.
    NotStarted,
    Preempted,
    /// Slurm says something that this program does not know.
    Other,
}

impl Standing {
    /// Whether its job may still make something.
    pub fn is_open(self) -> bool {
        matches!(self, Standing::Waiting | Standing::Running | Standing::Other)
    }
}

/// What Slurm says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    pub standing: Standing,
    /// In Slurm's words.
    pub state: String,
    pub reason: String,
    pub node: String,
    /// How often it was put back into the queue, where that is known.
    pub restarts: usize,
}

impl JobStatus {
    fn of(listed: Listed, restarts: usize) -> Self {
        let Listed { state, reason, node, .. } = listed;
        JobStatus { standing: standing(&state, &reason), state, reason, node, restarts }
    }
}

fn standing(state: &str, reason: &str) -> Standing {
    let needs_failed = reason.starts_with("DependencyNeverSatisfied");
    // The accounts may cut a long word.
    match state {
        "CANCELLED" if needs_failed => Standing::NotNeeded,
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED"
        | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => Standing::Waiting,
        "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "RESIZING"
        | "STAGE_OUT" => Standing::Running,
        "COMPLETED" => Standing::Succeeded,
        // The accounts have an exit code in place of the reason. Here it is 0:53.
        "FAILED" if reason.starts_with("JobLaunchFailure") || reason == "0:53" => {
            Standing::NotStarted
        }
        "FAILED" => Standing::Failed,
        "TIMEOUT" | "DEADLINE" => Standing::TimedOut,
        "CANCELLED" | "REVOKED" => Standing::Cancelled,
        "NODE_FAIL" | "BOOT_FAIL" | "LAUNCH_FAILED" => Standing::NodeLost,
        "PREEMPTED" => Standing::Preempted,
        state if state.starts_with("OUT_OF_ME") => Standing::OutOfMemory,
        _ => Standing::Other,
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = if self.node.is_empty() { "its node" } else { self.node.as_str() };
        match self.standing {
            Standing::Waiting if self.restarts > 0 => write!(
                f,
                "was put back into the queue ({} times so far) and waits: {}",
                self.restarts, self.reason
            ),
            Standing::Waiting => write!(f, "waits in the queue: {}", self.reason),
            Standing::Running => write!(f, "runs on {node}"),
            Standing::Succeeded => f.write_str("ended with success"),
            Standing::Failed => write!(f, "failed on {node} ({})", self.reason),
            Standing::OutOfMemory => write!(f, "ran out of memory on {node}"),
            Standing::TimedOut => write!(f, "was ended at its time limit on {node}"),
            Standing::Cancelled => f.write_str("was cancelled"),
            Standing::NotNeeded => {
                f.write_str("was not started, because a job that it needs failed")
            }
            Standing::NotStarted => write!(f, "could not be started on {node} ({})", self.reason),
            Standing::NodeLost => write!(f, "was lost with {node}"),
            Standing::Preempted => write!(f, "had to make room for another job on {node}"),
            Standing::Other => write!(f, "is in the state {} ({})", self.state, self.reason),
        }
    }
}

/// What a user can do about a job that ended like this. `None` if that depends on the stage.
pub fn advice(status: &JobStatus, kind: &str) -> Option<String> {
    let setting = |name: &str| {
        format!(
            "raise `{name}` under [executor.slurm.kinds.{kind}] in surgcam.toml and submit the run \
             again; finished stages are kept"
        )
    };
    match status.standing {
        Standing::OutOfMemory => Some(setting("memory")),
        Standing::TimedOut => Some(setting("time")),
        Standing::NotStarted => Some(
            "its output goes into the store: all nodes must see the store under the same path"
                .into(),
        ),
        Standing::NodeLost | Standing::Preempted | Standing::Cancelled => {
            Some("submit the run again; finished stages are kept".into())
        }
        _ => None,
    }
}

/// All that Slurm knows of a run's jobs, by their names in the cluster: `12` or `12_3`.
pub type Statuses = BTreeMap<String, JobStatus>;

/// How many jobs run, wait, and have ended, and what the waiting ones wait for.
pub fn in_short(statuses: &Statuses) -> String {
    let running = statuses.values().filter(|job| job.standing == Standing::Running).count();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for job in statuses.values().filter(|job| job.standing == Standing::Waiting) {
        *reasons.entry(job.reason.as_str()).or_default() += 1;
    }
    let waiting: usize = reasons.values().sum();
    let ended = statuses.len() - running - waiting;
    let reasons: Vec<&str> =
        reasons.into_keys().filter(|reason| !matches!(*reason, "" | "None")).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    format!("jobs: {running} running, {waiting} waiting{why}, {ended} ended")
}

/// What the cluster allows. This process asks only once, unless Slurm does not answer.
pub fn limits() -> Result<&'static ClusterLimits> {
    static LIMITS: OnceLock<ClusterLimits> = OnceLock::new();
    if let Some(limits) = LIMITS.get() {
        return Ok(limits);
    }
    let text = expect("scontrol", &["show".into(), "config".into()])?;
    Ok(LIMITS.get_or_init(|| answers::limits(&text)))
}

/// As [`of_run`], for the jobs of a run that this store knows.
pub fn of_run_in(store: &Store, run: &str) -> Result<Statuses> {
    of_run(run, &submission::batches(store, run)?)
}

/// Asks the queue for the jobs of a run, and the accounts for those that it has forgotten.
pub fn of_run(run: &str, batches: &[SubmittedBatch]) -> Result<Statuses> {
    let mut statuses = queued(run)?;
    let is_forgotten = |batch: &&SubmittedBatch| {
        let mut names =
            (batch.first..batch.first + batch.jobs).filter_map(|number| batch.name_of(number));
        names.any(|name| !statuses.contains_key(&name))
    };
    let forgotten: BTreeSet<&str> =
        batches.iter().filter(is_forgotten).map(|batch| batch.id.as_str()).collect();
    if !forgotten.is_empty() {
        for (name, status) in accounted(run, &forgotten)? {
            statuses.entry(name).or_insert(status);
        }
    }
    Ok(statuses)
}

fn queued(run: &str) -> Result<Statuses> {
    let arguments = [
        "--states=all".to_string(),
        // Also those in partitions that are hidden from other users.
        "--all".into(),
        "--array".into(),
        "--noheader".into(),
        format!("--name={}", job_name(run)),
        format!("--format={QUEUE_FORMAT}"),
    ];
    let text = expect("squeue", &arguments)?;
    let listed = answers::jobs(&text);
    Ok(listed.into_iter().map(|listed| (listed.job.clone(), JobStatus::of(listed, 0))).collect())
}

/// What the accounts say. Empty if the cluster keeps none.
fn accounted(run: &str, jobs: &BTreeSet<&str>) -> Result<Statuses> {
    // Without accounts `sacct` may even be absent.
    if !limits()?.has_accounts {
        return Ok(Statuses::new());
    }
    let jobs: Vec<&str> = jobs.iter().copied().collect();
    let arguments = [
        "--allocations".to_string(),
        // Somebody else may have submitted the run.
        "--allusers".into(),
        "--duplicates".into(),
        "--noheader".into(),
        "--parsable2".into(),
        format!("--format={ACCOUNTS_FORMAT}"),
        // Numbers are used again, and a store may have come from another cluster.
        format!("--name={}", job_name(run)),
        format!("--jobs={}", jobs.join(",")),
    ];
    let answer = ask("sacct", &arguments)?;
    if !answer.succeeded {
        return Err(refused("sacct", &answer));
    }
    let mut statuses = Statuses::new();
    let mut restarts: BTreeMap<String, usize> = BTreeMap::new();
    for listed in answers::jobs(&answer.out) {
        let before = restarts.entry(listed.job.clone()).or_default();
        statuses.insert(listed.job.clone(), JobStatus::of(listed, *before));
        *before += 1;
    }
    Ok(statuses)
}

/// Adds what only `scontrol` tells of a job: how often it was put back into the queue, and with
/// which exit code it ended. A job that it does not know stays as it is.
pub fn in_detail(name: &str, status: &mut JobStatus) {
    let arguments = ["--oneliner".to_string(), "show".into(), "job".into(), name.to_string()];
    let Ok(text) = expect("scontrol", &arguments) else { return };
    let fields = answers::fields(&text);
    if let Some(restarts) = fields.get("Restarts").and_then(|count| count.parse().ok()) {
        status.restarts = restarts;
    }
    if let Some(code) = fields.get("ExitCode").filter(|_| status.standing == Standing::Failed) {
        status.reason = match code.split_once(':') {
            Some(("0", signal)) => format!("ended by signal {signal}"),
            Some((code, _)) => format!("exit code {code}"),
            None => status.reason.clone(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(state: &str, reason: &str) -> String {
        let listed = Listed {
            job: "12".into(),
            state: state.into(),
            reason: reason.into(),
            node: "n1".into(),
        };
        JobStatus::of(listed, 0).to_string()
    }

    #[test]
    fn each_end_of_a_job_has_words_of_its_own() {
        let told = [
            said("FAILED", "NonZeroExitCode"),
            said("FAILED", "JobLaunchFailure"),
            said("OUT_OF_MEMORY", "OutOfMemory"),
            said("TIMEOUT", "TimeLimit"),
            said("CANCELLED", "None"),
            said("CANCELLED", "DependencyNeverSatisfied"),
            said("NODE_FAIL", "NodeDown"),
            said("PREEMPTED", "None"),
            said("PENDING", "Resources"),
            said("RUNNING", "None"),
            said("COMPLETED", "None"),
            said("A_NEW_ONE", "None"),
        ];
        let distinct: BTreeSet<&String> = told.iter().collect();
        assert_eq!(distinct.len(), told.len(), "{told:?}");
        assert!(told[2].contains("ran out of memory") && told[5].contains("a job that it needs"));
        assert!(told[11].contains("A_NEW_ONE"));
        assert_eq!(standing("OUT_OF_ME", ""), Standing::OutOfMemory);
        assert_eq!(standing("FAILED", "0:53"), Standing::NotStarted);
        assert_eq!(standing("FAILED", "1:0"), Standing::Failed);
    }

    #[test]
    fn it_is_said_for_what_jobs_wait() {
        let job = |state: &str, reason: &str| {
            let (state, reason, node) = (state.to_string(), reason.to_string(), String::new());
            JobStatus::of(Listed { job: "1".into(), state, reason, node }, 0)
        };
        let jobs = [
            job("RUNNING", "None"),
            job("PENDING", "Dependency"),
            job("PENDING", "PartitionTimeLimit"),
            job("PENDING", "Dependency"),
            job("COMPLETED", "None"),
        ];
        let statuses = jobs.into_iter().enumerate().map(|(number, job)| (number.to_string(), job));
        assert_eq!(
            in_short(&statuses.collect()),
            "jobs: 1 running, 3 waiting (Dependency, PartitionTimeLimit), 1 ended"
        );
    }

    #[test]
    fn a_job_that_waits_again_says_how_often() {
        let listed = Listed {
            job: "12".into(),
            state: "PENDING".into(),
            reason: "BeginTime".into(),
            node: String::new(),
        };
        let again = JobStatus::of(listed, 2);
        assert!(again.to_string().contains("put back into the queue (2 times so far)"));
        assert!(again.standing.is_open());
    }
}
