//! What the store knows of a run that was handed to a cluster.
//!
//! ```text
//! runs/<run>/submission.json  what its jobs make; written before the first job is submitted
//! runs/<run>/slurm.jsonl      the cluster's numbers of its jobs, a line for each call of sbatch
//! runs/<run>/speed.json       the device on which its speed was measured
//! runs/<run>/<n>.sh           the script of a batch of jobs, and its jobs' own output: <n>.log, or
//!                             <n>-<task>.log for tasks of an array
//! runs/<run>.<number>/        events and workers' logs of one job
//! runs/submit.lock            held while a run is submitted or cancelled
//! ```

use std::fs::{File, TryLockError};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::answers::is_job;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::protocol::Hello;
use surgcam_engine::regular_file;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::format::{Formatted, understand};
use surgcam_engine::store::lock::open_lock_file;
use surgcam_engine::store::name::PlainName;
use surgcam_engine::store::runs::{Run, RunState, Scope};
use surgcam_engine::store::{Store, read_json, write_json};

pub const FORMAT: u32 = 1;
/// The most bytes of a submission, which names every stage of its run.
const LONGEST: u64 = 1 << 28;
/// The most jobs of a run. No cluster takes so many.
const MOST_JOBS: usize = 10_000_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    pub format: u32,
    /// The experiment's file.
    pub experiment: String,
    /// The working folder of the command that submitted the run.
    pub folder: PathBuf,
    /// The values of `--set`.
    pub set: Vec<String>,
    pub device: Option<String>,
    /// The value of `--jobs`.
    pub slots: Option<NonZeroUsize>,
    pub threads: Option<NonZeroUsize>,
    /// The number of a job is its place in this list.
    pub jobs: Vec<SubmittedJob>,
}

impl Formatted for Submission {
    const WHAT: &'static str = "submitted run";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubmittedJob {
    pub role: Role,
    /// The kind of the stage that it was made for. Its settings are those of this kind. The job
    /// that writes the tables has the kind `tables`.
    pub kind: String,
    /// The identities of the stages that it makes.
    pub stages: Vec<Digest>,
    /// How often it puts itself back into the queue when its time is over.
    pub requeues: u32,
    /// The file in the run's folder that its output goes to.
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Makes its stages.
    Stages,
    /// Makes all stages that measure speed.
    Speed,
    /// Writes the tables and ends the run.
    Tables,
}

/// One call of sbatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedBatch {
    /// The number of its first job, and how many there are.
    pub first: usize,
    pub jobs: usize,
    /// The cluster's number of the job or of the array.
    pub id: String,
}

impl SubmittedBatch {
    /// The cluster's name of one of its jobs: `12`, or `12_3` where it is a task of an array.
    pub fn name_of(&self, number: usize) -> Option<String> {
        let task = number.checked_sub(self.first).filter(|task| *task < self.jobs)?;
        Some(if self.jobs > 1 { format!("{}_{task}", self.id) } else { self.id.clone() })
    }
}

/// The id of the folder that has the events and the workers' logs of one of a run's jobs.
pub fn run_of_job(run: &str, number: usize) -> String {
    format!("{run}.{number}")
}

/// The name that all jobs of a run have in the cluster.
pub fn job_name(run: &str) -> String {
    format!("surgcam-{run}")
}

pub fn write(store: &Store, run: &str, submission: &Submission) -> Result<()> {
    write_json(&store.run_folder(run).join("submission.json"), submission)
}

pub fn read(store: &Store, run: &str) -> Result<Submission> {
    let path = store.run_folder(run).join("submission.json");
    if !path.exists() {
        return Err(Error::usage(format!("the run {run} was not handed to a cluster")).hint(
            "`surgcam runs` lists the runs; those that were are submitted with `--executor slurm`",
        ));
    }
    let text = regular_file::read(&path, LONGEST)?;
    let submission = understand::<Submission>(&text)
        .map_err(|misread| misread.into_error::<Submission>(path.display()))?;
    for job in &submission.jobs {
        // Paths are made of it.
        PlainName::try_from(job.log.clone()).map_err(|error| error.at_path(&path))?;
    }
    Ok(submission)
}

/// Held while a run is submitted. Only one process at a time has it, so each submission sees all
/// jobs of those before it.
#[derive(Debug)]
pub struct SubmissionLock {
    _file: File,
}

fn lock_path(store: &Store) -> PathBuf {
    store.root().join("runs").join("submit.lock")
}

/// Whether somebody is submitting or cancelling a run of this store.
pub fn is_under_way(store: &Store) -> bool {
    File::open(lock_path(store))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Waits until nobody else submits or cancels. `on_wait` is called once if somebody does.
pub fn lock(store: &Store, on_wait: impl FnOnce()) -> Result<SubmissionLock> {
    let path = lock_path(store);
    let file = open_lock_file(&path)?;
    if file.try_lock().is_err() {
        on_wait();
        file.lock().at_path("wait for the lock", &path)?;
    }
    Ok(SubmissionLock { _file: file })
}

/// Adds a call of sbatch that succeeded to the store's list of them.
pub fn note_batch(store: &Store, run: &str, batch: &SubmittedBatch) -> Result<()> {
    let path = store.run_folder(run).join("slurm.jsonl");
    let mut line = serde_json::to_string(batch).at_path("write", &path)?;
    line.push('\n');
    let mut file = File::options().create(true).append(true).open(&path).at_path("open", &path)?;
    file.write_all(line.as_bytes()).at_path("write", &path)
}

/// The calls of sbatch so far. A line that is incomplete, or that has something else where the
/// number of a job should be, is passed over.
pub fn batches(store: &Store, run: &str) -> Result<Vec<SubmittedBatch>> {
    let path = store.run_folder(run).join("slurm.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = regular_file::read(&path, LONGEST)?;
    let batches = text
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<SubmittedBatch>(line).ok());
    let is_sound = |batch: &SubmittedBatch| {
        is_job(&batch.id) && (1..=MOST_JOBS).contains(&batch.jobs) && batch.first <= MOST_JOBS
    };
    Ok(batches.filter(is_sound).collect())
}

/// The cluster's name of a job. A training that was split has several jobs in the cluster. Then
/// this is the name of the last one, which finishes the training.
pub fn name_of(batches: &[SubmittedBatch], number: usize) -> Option<String> {
    batches.iter().rev().find_map(|batch| batch.name_of(number))
}

pub fn write_speed_device(store: &Store, run: &str, hello: &Hello) -> Result<()> {
    write_json(&store.run_folder(run).join("speed.json"), hello)
}

/// The device on which a run measured speed, if it did.
pub fn speed_device(store: &Store, run: &str) -> Option<Hello> {
    read_json(&store.run_folder(run).join("speed.json")).ok()
}

/// The device of the newest submitted run of an experiment that measured speed.
pub fn last_speed_device(store: &Store, experiment: &str) -> Option<Hello> {
    let of_experiment =
        |run: &Result<Run>| run.as_ref().is_ok_and(|run| run.experiment == experiment);
    store.runs().filter(of_experiment).flatten().find_map(|run| speed_device(store, &run.id))
}

/// The device on which the last run of the whole experiment measured speed. `None` if that run was
/// not handed to a cluster, or has not measured speed yet.
pub fn speed_device_of_last_run(store: &Store, experiment: &str) -> Option<Hello> {
    let is_meant = |run: &Run| run.experiment == experiment && run.scope() == Scope::Whole;
    let last = store.runs().flatten().find(is_meant)?;
    speed_device(store, &last.id)
}

/// Submitted runs that have not ended, the newest first. Runs that cannot be read are passed over.
pub fn open_runs(store: &Store) -> Vec<(Run, Submission)> {
    let is_open = |run: &Run| run.state == RunState::Submitted;
    store
        .runs()
        .flatten()
        .filter(is_open)
        .filter_map(|run| read(store, &run.id).ok().map(|submission| (run, submission)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_whether_somebody_submits() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        assert!(!is_under_way(&store));
        let alone = lock(&store, || panic!("nobody else submits")).unwrap();
        assert!(is_under_way(&store));
        drop(alone);
        assert!(!is_under_way(&store));
    }

    #[test]
    fn jobs_are_found_by_the_numbers_that_the_cluster_gave_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let run = "20260101T000000000-1";
        std::fs::create_dir(store.run_folder(run)).unwrap();
        assert_eq!(batches(&store, run).unwrap(), []);
        let batch = |first, jobs, id: &str| SubmittedBatch { first, jobs, id: id.into() };
        for batch in [batch(0, 1, "10"), batch(1, 3, "11"), batch(4, 1, "12"), batch(4, 1, "13")] {
            note_batch(&store, run, &batch).unwrap();
        }
        note_batch(&store, run, &batch(5, 1, "-u root")).unwrap();
        let noted = batches(&store, run).unwrap();
        assert_eq!(name_of(&noted, 0).as_deref(), Some("10"));
        assert_eq!(name_of(&noted, 3).as_deref(), Some("11_2"));
        assert_eq!(name_of(&noted, 4).as_deref(), Some("13"), "the last part ends the training");
        assert_eq!(name_of(&noted, 5), None, "what is not a number of a job is passed over");
        let error = read(&store, run).unwrap_err().to_string();
        assert!(error.contains("was not handed to a cluster"), "{error}");
    }
}
