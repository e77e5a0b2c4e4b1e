//! Why stages of a submitted run are not in the store. Their jobs note the cause; where they could
//! not, Slurm is asked.

use std::collections::HashMap;

use super::states::{Statuses, advice, in_detail};
use super::submission::{Role, Submission, SubmittedBatch, name_of, run_of_job};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::kind::StageKind;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, Resource, StageId};
use surgcam_engine::runner::journal::{self, Entry};
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_pipeline::kinds::MeasureStage;

/// What the jobs of a run noted, each under its number.
pub type Journals = Vec<Vec<Entry>>;

pub fn journals(store: &Store, run: &str, submission: &Submission) -> Result<Journals> {
    let folder_of = |number| store.run_folder(&run_of_job(run, number));
    (0..submission.jobs.len()).map(|number| journal::read(&folder_of(number))).collect()
}

/// What is known of a submitted run.
pub struct Submitted<'a> {
    pub store: &'a Store,
    pub run: &'a str,
    pub submission: &'a Submission,
    pub batches: &'a [SubmittedBatch],
    pub journals: &'a Journals,
    /// Empty where Slurm does not answer.
    pub statuses: &'a Statuses,
}

/// The stages of the run that are not in the store.
#[derive(Debug, Default)]
pub struct Absent {
    /// Stages whose inputs are in the store, each with the reason why it was not made.
    pub failed: Vec<(StageId, Error)>,
    /// Stages that need another stage which is not in the store.
    pub blocked: Vec<StageId>,
}

impl Submitted<'_> {
    pub fn absent(&self, plan: &Plan, known: &Known, identities: &[Digest]) -> Absent {
        let job_of = self.jobs_by_stage();
        let speed = self.speed_job();
        let mut absent = Absent::default();
        for id in plan.ids().filter(|id| !known.is_made(*id)) {
            if plan.dependencies(id).any(|needed| !known.is_made(needed)) {
                absent.blocked.push(id);
                continue;
            }
            let stage = plan.stage(id);
            let job = match stage.resource {
                Resource::Alone => speed,
                _ => job_of.get(&identities[id.0]).copied(),
            };
            absent.failed.push((id, self.reason(&stage.name, job)));
        }
        absent
    }

    fn speed_job(&self) -> Option<usize> {
        self.submission.jobs.iter().position(|job| job.role == Role::Speed)
    }

    /// Why the run has no speed, although its speed job should have measured it. `None` if the run
    /// has no such job.
    pub fn no_speed(&self) -> Option<Error> {
        self.speed_job().map(|number| self.reason(MeasureStage::NAME, Some(number)))
    }

    fn jobs_by_stage(&self) -> HashMap<Digest, usize> {
        let jobs = self.submission.jobs.iter().enumerate();
        jobs.flat_map(|(number, job)| job.stages.iter().map(move |stage| (*stage, number)))
            .collect()
    }

    /// Why the stage of this name was not made by this job.
    fn reason(&self, name: &str, job: Option<usize>) -> Error {
        let Some(number) = job else {
            return Error::failure("no job of the run makes it")
                .hint("submit the run again; finished stages are kept");
        };
        let log = self.store.run_folder(self.run).join(&self.submission.jobs[number].log);
        let noted = self.noted_failure(name, number);
        match (self.status_of(number), noted) {
            // A worker that runs out of memory is noted as one that somebody killed.
            (Some((told, hint)), noted) if hint.is_some() || noted.is_none() => {
                let also = noted.map(|text| format!("; it noted: {text}")).unwrap_or_default();
                let error = Error::failure(format!("{told}{also}"));
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error.hint(format!("its output is in {}", log.display())),
                }
            }
            (_, Some(text)) => Error::failure(text),
            (_, None) => Error::failure("its job has ended, and Slurm has forgotten how")
                .hint(format!("its output is in {}", log.display())),
        }
    }

    /// What Slurm says about a job, and a hint what to do about it.
    fn status_of(&self, number: usize) -> Option<(String, Option<String>)> {
        let name = name_of(self.batches, number)?;
        let mut status = self.statuses.get(&name)?.clone();
        in_detail(&name, &mut status);
        let hint = advice(&status, &self.submission.jobs[number].kind);
        Some((format!("its job {name} {status}"), hint))
    }

    /// The last failure of a stage of this name that its job noted, on one line.
    fn noted_failure(&self, name: &str, number: usize) -> Option<String> {
        let is_meant = |entry: &&Entry| entry.stage == name && entry.event == "failed";
        let entry = self.journals.get(number)?.iter().rfind(is_meant)?;
        Some(entry.text.clone().unwrap_or_default().replace('\n', ";"))
    }
}
