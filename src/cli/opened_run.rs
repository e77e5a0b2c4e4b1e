//! A run that was handed to a cluster, as its jobs and the commands that follow it open it.

use super::context::{Context, Planned};
use super::{Overrides, WorkerOptions};
use crate::cluster::submission::{self, Submission, SubmittedJob, last_speed_device, speed_device};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::protocol::Hello;
use surgcam_engine::store::Store;
use surgcam_engine::store::runs::Run;

/// A submitted run, and the context in which its jobs see the project.
pub struct OpenedRun {
    pub context: Context,
    pub store: Store,
    pub run: Run,
    pub submission: Submission,
}

impl OpenedRun {
    /// By the run's id, a part of it, or `latest`.
    pub fn open(wanted: &str) -> Result<Self> {
        let store = Context::plain()?.store()?;
        let run = store.run(wanted)?;
        let submission = submission::read(&store, &run.id)?;
        let overrides = Overrides { set: submission.set.clone() };
        let workers = WorkerOptions {
            device: submission.device.clone(),
            jobs: submission.slots,
            threads: submission.threads,
        };
        let context = Context::new(Some(&submission.experiment), &overrides, &workers)?;
        Ok(OpenedRun { context, store, run, submission })
    }

    /// The plan as the run's jobs have it. Without a device it has no speed stages.
    pub fn plan(&self, hello: Option<Hello>) -> Result<Planned> {
        self.context.plan_on(self.context.experiment(&self.submission.experiment)?, hello)
    }

    /// The device on which this run or the last one before it measured speed.
    pub fn speed_device(&self) -> Option<Hello> {
        speed_device(&self.store, &self.run.id)
            .or_else(|| last_speed_device(&self.store, &self.run.experiment))
    }

    /// A job by its number.
    pub fn job(&self, number: usize) -> Result<&SubmittedJob> {
        self.submission
            .jobs
            .get(number)
            .ok_or_else(|| Error::usage(format!("the run {} has no job {number}", self.run.id)))
    }
}
