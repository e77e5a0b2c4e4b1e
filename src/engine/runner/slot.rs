//! A slot: it has one job at a time and a warm worker process.
//!
//! A stage does not belong to the slot any more once its worker has reported on it. If it failed
//! and is tried again, another slot may have it while this one still works on other stages of the
//! pass.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::options::Options;
use super::transport::{Transport, Worker, WorkerId, WorkerMessage};
use crate::error::{Error, Result};
use crate::plan::{Resource, StageId};
use crate::protocol::Job;
use crate::store::Store;
use crate::store::key::StageKey;

pub struct Slot<'a> {
    number: usize,
    /// The resource that its stages may occupy.
    pub resource: Resource,
    transport: &'a dyn Transport,
    sender: Sender<WorkerMessage>,
    worker: Option<Box<dyn Worker>>,
    /// Kept until the worker reports that the job is done.
    job: Option<CurrentJob>,
    /// For how long the worker has said nothing, though it has a job.
    silence: Duration,
}

/// A job that a worker was given.
#[derive(Debug)]
pub struct CurrentJob {
    /// Stages that the worker has reported neither as finished nor as failed.
    unanswered: BTreeMap<StageKey, StageId>,
    /// Whether nothing else may run beside it.
    is_alone: bool,
    /// How long it may take once its work has begun.
    timeout: Option<Duration>,
    /// The stages that the worker is making, which its progress is about.
    making: Vec<StageKey>,
    /// When that work began; absent while the job waits for locks or for its worker to start.
    begun: Option<Instant>,
}

impl CurrentJob {
    pub fn new(
        stages: BTreeMap<StageKey, StageId>,
        is_alone: bool,
        timeout: Option<Duration>,
    ) -> Self {
        CurrentJob { unanswered: stages, is_alone, timeout, making: Vec::new(), begun: None }
    }
}

/// Slots with devices first, then slots without.
pub fn slots<'a>(options: &'a Options<'a>, sender: &Sender<WorkerMessage>) -> Vec<Slot<'a>> {
    let devices = options.devices.iter().map(|transport| (Resource::Device, &**transport));
    let processors =
        std::iter::repeat_n((Resource::Processor, &*options.processor), options.jobs.max(1));
    let slot = |(number, (resource, transport)): (usize, (Resource, &'a dyn Transport))| Slot {
        number,
        resource,
        transport,
        sender: sender.clone(),
        worker: None,
        job: None,
        silence: Duration::ZERO,
    };
    devices.chain(processors).enumerate().map(slot).collect()
}

/// The error for a worker that has been silent for this long.
pub(super) fn hang(silence: Duration) -> Error {
    Error::failure(format!(
        "the worker hangs: it has said nothing for {} s and was ended",
        silence.as_secs()
    ))
}

impl Slot<'_> {
    pub fn is_idle(&self) -> bool {
        self.job.is_none()
    }

    pub fn runs_alone(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.is_alone)
    }

    pub fn is_from_current_worker(&self, id: WorkerId) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.id() == id)
    }

    /// Sends a job to the worker, which is started if there is none. Gives `false` if the worker is
    /// gone.
    pub fn start(&mut self, store: &Store, job: &Job, current: CurrentJob) -> Result<bool> {
        self.job = Some(current);
        self.silence = Duration::ZERO;
        if self.worker.is_none() {
            self.worker = Some(self.transport.start(self.number, store, self.sender.clone())?);
        }
        Ok(self.worker.as_mut().is_some_and(|worker| worker.send(job).is_ok()))
    }

    pub fn work_begins(&mut self, making: Vec<StageKey>) {
        if let Some(job) = &mut self.job {
            job.making = making;
            job.begun = Some(Instant::now());
        }
    }

    /// The stage of this key, if the worker has not reported on it yet.
    pub fn unanswered(&self, key: &StageKey) -> Option<StageId> {
        self.job.as_ref()?.unanswered.get(key).copied()
    }

    /// Takes the stage of this key, on which the worker has reported.
    pub fn take_answered(&mut self, key: &StageKey) -> Option<StageId> {
        self.job.as_mut()?.unanswered.remove(key)
    }

    /// The stages that the worker is making.
    pub fn making(&self) -> Vec<StageId> {
        let job = self.job.iter();
        job.flat_map(|job| job.making.iter().filter_map(|key| job.unanswered.get(key).copied()))
            .collect()
    }

    /// Makes the slot idle and gives the stages that the worker has not reported on.
    pub fn finish_job(&mut self) -> Vec<StageId> {
        self.job.take().map(|job| job.unanswered.into_values().collect()).unwrap_or_default()
    }

    pub fn worker_greeted(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.greeted();
        }
    }

    pub fn worker_was_heard(&mut self) {
        self.silence = Duration::ZERO;
    }

    /// To be called after all messages of that time were handled.
    pub fn time_passes(&mut self, time: Duration) {
        if self.job.is_some() {
            self.silence += time;
        }
    }

    /// Ends the worker, which is gone or useless. Gives the stages that it has not reported on, and
    /// the error: `why`, or else the reason of its end.
    pub fn give_up_worker(&mut self, why: Option<Error>) -> Option<(Vec<StageId>, Error)> {
        let mut worker = self.worker.take()?;
        let error = match why {
            Some(error) => {
                worker.kill();
                error
            }
            None => worker.reason_of_its_end(),
        };
        Some((self.finish_job(), error))
    }

    /// Kills the worker if its job exceeds its time limit, or if it has been silent for too long.
    pub fn end_if_overdue(&mut self) -> Option<(Vec<StageId>, Error)> {
        let job = self.job.as_ref()?;
        let overdue =
            job.timeout.filter(|timeout| job.begun.is_some_and(|begun| begun.elapsed() > *timeout));
        let error = match overdue {
            Some(timeout) => Error::failure(format!(
                "it took longer than its limit of {} s",
                timeout.as_secs_f64()
            ))
            .hint(
                "raise experiment.limits.KIND.timeout_seconds, or find out what held it up \
                 (surgcam logs)",
            ),
            None if self.silence > self.transport.silence() => self.hangs(),
            None => return None,
        };
        let mut worker = self.worker.take()?;
        worker.kill();
        Some((self.finish_job(), error))
    }

    fn hangs(&self) -> Error {
        let log = self.worker.as_ref().and_then(|worker| worker.hint_at_log());
        let slow = "where the machine is so slow, raise silence_seconds in surgcam.toml";
        let hint = log.map_or(slow.to_string(), |log| format!("{log}; {slow}"));
        hang(self.transport.silence()).hint(hint)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::digest::Digest;

    fn key(number: usize) -> StageKey {
        StageKey(Digest::of_bytes(&[number as u8]))
    }

    struct NoWorkers;

    impl Transport for NoWorkers {
        fn start(&self, _: usize, _: &Store, _: Sender<WorkerMessage>) -> Result<Box<dyn Worker>> {
            Err(Error::failure("there are no workers here"))
        }

        fn silence(&self) -> Duration {
            Duration::from_secs(60)
        }
    }

    fn busy_slot(stages: usize) -> Slot<'static> {
        let stages = (0..stages).map(|number| (key(number), StageId(number))).collect();
        let (sender, _) = std::sync::mpsc::channel();
        let job = Some(CurrentJob::new(stages, false, None));
        Slot {
            number: 0,
            resource: Resource::Device,
            transport: &NoWorkers,
            sender,
            worker: None,
            job,
            silence: Duration::ZERO,
        }
    }

    #[test]
    fn a_stage_that_was_answered_for_is_the_slots_no_more_but_the_slot_stays_busy() {
        let mut slot = busy_slot(2);
        assert_eq!(slot.take_answered(&key(0)), Some(StageId(0)));
        assert_eq!(slot.take_answered(&key(0)), None, "answered once");
        assert!(!slot.is_idle());
        assert_eq!(slot.finish_job(), [StageId(1)], "of the first nothing is said twice");
        assert!(slot.is_idle());
    }

    #[test]
    fn progress_is_about_what_is_made_just_now() {
        let mut slot = busy_slot(3);
        assert_eq!(slot.making(), []);
        slot.work_begins((0..3).map(key).collect());
        slot.take_answered(&key(1));
        assert_eq!(slot.making(), [StageId(0), StageId(2)]);
        // Each by itself, after the pass failed.
        slot.work_begins(vec![key(2)]);
        assert_eq!(slot.making(), [StageId(2)]);
    }
}
