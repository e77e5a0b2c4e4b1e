//! A slot: a place for one job at a time, with a warm worker process.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::Options;
use super::worker_process::{WorkerCommand, WorkerId, WorkerMessage, WorkerProcess};
use crate::error::{Error, Result};
use crate::plan::{Resource, StageId};
use crate::protocol::Job;
use crate::store::Store;

pub struct Slot {
    number: usize,
    /// What its stages may occupy.
    pub resource: Resource,
    command: WorkerCommand,
    sender: Sender<WorkerMessage>,
    worker: Option<WorkerProcess>,
    /// What its worker is making now.
    pub running: Vec<StageId>,
    /// When its work began; absent while it waits for locks or for its worker to start.
    begun: Option<Instant>,
    timeout: Option<Duration>,
}

/// The devices' slots first, then those without.
pub fn slots(options: &Options, sender: &Sender<WorkerMessage>) -> Vec<Slot> {
    let devices = options.devices.iter().map(|command| (Resource::Device, command));
    let processors = std::iter::repeat_n((Resource::Processor, &options.processor), options.jobs.max(1));
    let slot = |(number, (resource, command)): (usize, (Resource, &WorkerCommand))| Slot {
        number,
        resource,
        command: command.clone(),
        sender: sender.clone(),
        worker: None,
        running: Vec::new(),
        begun: None,
        timeout: None,
    };
    devices.chain(processors).enumerate().map(slot).collect()
}

impl Slot {
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub fn is_from_current_worker(&self, id: WorkerId) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.id == id)
    }

    /// Sends a job to the worker, which is started if there is none; `false` if it is gone.
    pub fn start(&mut self, store: &Store, options: &Options, job: &Job, stages: Vec<StageId>, timeout: Option<Duration>) -> Result<bool> {
        self.running = stages;
        self.begun = None;
        self.timeout = timeout;
        if self.worker.is_none() {
            self.worker = Some(WorkerProcess::start(&self.command, store, options.log_folder, self.number, self.sender.clone())?);
        }
        Ok(self.worker.as_mut().is_some_and(|worker| worker.send(job).is_ok()))
    }

    pub fn work_begins(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// What ran in the job that is done now.
    pub fn finish_job(&mut self) -> Vec<StageId> {
        std::mem::take(&mut self.running)
    }

    /// What ran when the worker died, and why it did.
    pub fn bury_worker(&mut self) -> Option<(Vec<StageId>, Error)> {
        let error = self.worker.take()?.obituary();
        Some((self.finish_job(), error))
    }

    /// Kills the worker if its job takes longer than it may.
    pub fn end_if_overdue(&mut self) -> Option<(Vec<StageId>, Error)> {
        let begun = self.begun.filter(|_| !self.is_idle())?;
        let timeout = self.timeout.filter(|timeout| begun.elapsed() > *timeout)?;
        let mut worker = self.worker.take()?;
        worker.kill();
        let error = Error::failure(format!("it took longer than its limit of {} s", timeout.as_secs_f64()))
            .hint("raise experiment.limits.KIND.timeout_seconds, or find out what held it up (surgcam logs)");
        Some((self.finish_job(), error))
    }

    pub fn ask_worker_to_end(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.close();
        }
    }

    pub fn end_worker(&mut self) {
        self.worker = None;
    }
}
