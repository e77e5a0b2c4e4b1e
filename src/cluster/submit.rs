//! Hands a run's schedule to the cluster, job by job, each with what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::batches::After;
use super::programs::expect;
use super::schedule::{Call, Schedule};
use super::script::{BatchOfJobs, RunOfJobs, options, script};
use super::submission::{
    Role, SubmittedBatch, SubmittedJob, batches, job_name, name_of, note_batch, open_runs,
};
use super::{answers, states};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;

/// Stages that jobs of other runs are going to make, with the names of these jobs in the cluster.
#[derive(Debug, Default)]
pub struct Elsewhere {
    jobs: BTreeMap<Digest, String>,
    /// The ids of the runs that these jobs belong to, with the names of their experiments.
    pub runs: Vec<(String, String)>,
}

impl Elsewhere {
    /// Asks the cluster about the runs of the store that have not ended.
    pub fn of(store: &Store) -> Result<Self> {
        let mut elsewhere = Elsewhere::default();
        for (run, submission) in open_runs(store) {
            let batches = batches(store, &run.id)?;
            let statuses = states::of_run(&run.id, &batches)?;
            let mut is_open = false;
            for (number, job) in submission.jobs.iter().enumerate() {
                let Some(name) = name_of(&batches, number) else { continue };
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

/// What `scontrol` says of the cluster's partitions. Empty if it fails.
pub fn partitions() -> String {
    let arguments = ["--oneliner".to_string(), "show".into(), "partition".into()];
    expect("scontrol", &arguments).unwrap_or_default()
}

/// Submits all jobs. If one of them is refused, or if the user interrupts this, the jobs that were
/// submitted before are cancelled.
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
    let folder = store.run_folder(run.run);
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

/// What a job waits for, as sbatch's option `--dependency` takes it: `afterok:1:2_3,afterany:4`. If
/// it waits for all tasks of an array, the array is named once instead. `None` if it waits for
/// nothing.
fn dependency_text(
    after: &[(After, usize)],
    elsewhere: &BTreeSet<&str>,
    done: &[SubmittedBatch],
) -> Option<String> {
    let mut by_end: BTreeMap<After, BTreeMap<&str, BTreeSet<usize>>> = BTreeMap::new();
    for (after, number) in after {
        // A training that was split ends with its last part.
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

/// Cancels all jobs of a run by their name. Jobs that surgcam had no time to note are among them.
pub fn cancel(run: &str) -> Result<()> {
    expect("scancel", &[format!("--name={}", job_name(run))]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

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
