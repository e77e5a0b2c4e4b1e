//! Runs a plan: makes the stages that are not in the store, on slots, in an order that their inputs
//! allow.
//!
//! Each device has one slot; `jobs` more slots run stages that do not need a device. Each slot has
//! one warm worker process. Stages of a pass that are ready together go to a worker as one job. A
//! stage that fails stops only the stages that need it. A stage that must be alone waits until
//! nothing else can run. Among ready stages, the one with the longest remaining path goes first, by
//! the times of earlier runs.

pub mod choice;
pub mod events;
pub mod identity;
pub mod interrupt;
pub mod journal;
mod ready;
mod slot;
pub mod transport;
pub mod worker_command;
pub mod worker_process;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::plan::status::Known;
use crate::plan::{Plan, Resource, StageId};
use crate::protocol::{FromWorker, Job, StageJob};
use crate::store::Store;
use crate::store::key::StageKey;
use crate::store::record::Record;
use choice::Choice;
use events::{Event, Reporter};
use interrupt::Interrupt;
use ready::ReadyQueue;
use slot::{CurrentJob, Slot};
use transport::{Heard, Transport, WorkerMessage};
use worker_command::WorkerCommand;
use worker_process::{LocalProcesses, LogFolder};

/// How a plan is to be run.
pub struct Options<'a> {
    /// Each device has one slot.
    pub devices: Vec<Box<dyn Transport + 'a>>,
    /// How workers without a device are started.
    pub processor: Box<dyn Transport + 'a>,
    /// The number of slots for stages that do not need a device.
    pub jobs: usize,
    /// Whether stages that do not depend on a failed one are still made.
    pub keep_going: bool,
    /// The seconds that a stage is expected to take.
    pub estimate: &'a dyn Fn(StageId) -> f64,
    /// The stages to make, if not all are to be made.
    pub only: Option<&'a Choice>,
}

impl<'a> Options<'a> {
    /// Workers as processes of this machine: a slot for each device, and one for stages without a
    /// device. Stages that do not depend on a failed one are still made, and all stages count as
    /// equally long.
    pub fn local(devices: Vec<WorkerCommand>, logs: LogFolder<'a>) -> Self {
        let on = |command: WorkerCommand| -> Box<dyn Transport + 'a> {
            Box::new(LocalProcesses { command, logs })
        };
        // There is always a device, and the commands differ only in it.
        let processor = devices[0].without_device();
        Options {
            processor: on(processor),
            devices: devices.into_iter().map(on).collect(),
            jobs: 1,
            keep_going: true,
            estimate: &EQUALLY_LONG,
            only: None,
        }
    }
}

static EQUALLY_LONG: fn(StageId) -> f64 = |_| 1.0;

#[derive(Debug, Clone)]
pub struct Executed {
    pub id: StageId,
    pub key: StageKey,
    pub seconds: f64,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Summary {
    pub executed: Vec<Executed>,
    pub cached: Vec<StageId>,
    pub failed: Vec<(StageId, Error)>,
    /// Stages that could not run because one that they need failed.
    pub blocked: Vec<StageId>,
    pub interrupted: bool,
    /// Keys and records of all stages as they are now.
    pub known: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not all its inputs exist.
    Waiting,
    Ready,
    Running,
    Done,
    Failed,
    /// Neither made nor to be made.
    LeftOut,
}

struct Runner<'a> {
    plan: &'a Plan,
    store: &'a Store,
    options: &'a Options<'a>,
    reporter: &'a mut dyn Reporter,
    known: Known,
    states: Vec<State>,
    /// How often each stage has failed so far.
    failures: HashMap<StageId, u32>,
    dependents: Vec<Vec<StageId>>,
    ready: ReadyQueue,
    /// Ready and running stages by key, because several may turn out to have the same key.
    by_key: HashMap<StageKey, Vec<StageId>>,
    slots: Vec<Slot<'a>>,
    summary: Summary,
}

/// Runs everything in the plan, or everything that is chosen of it, that is not in the store yet.
/// `known` is what the store has.
pub fn run<'a>(
    plan: &'a Plan,
    known: Known,
    store: &'a Store,
    options: &'a Options<'a>,
    interrupt: &Interrupt,
    reporter: &'a mut dyn Reporter,
) -> Result<Summary> {
    let (sender, receiver) = channel();
    let mut dependents = vec![Vec::new(); plan.stages.len()];
    for id in plan.ids().filter(|id| !known.is_made(*id)) {
        let needed: HashSet<StageId> = plan.dependencies(id).collect();
        for dependency in needed {
            dependents[dependency.0].push(id);
        }
    }
    let is_chosen = |id: StageId| options.only.is_none_or(|only| only.has(id));
    let state = |id: StageId| match (known.is_made(id), is_chosen(id)) {
        (true, _) => State::Done,
        (false, true) => State::Waiting,
        (false, false) => State::LeftOut,
    };
    let ready =
        ReadyQueue::new(plan, |id| if known.is_made(id) { 0.0 } else { (options.estimate)(id) });
    let mut runner = Runner {
        plan,
        store,
        options,
        reporter,
        states: plan.ids().map(state).collect(),
        known,
        failures: HashMap::new(),
        dependents,
        ready,
        by_key: HashMap::new(),
        slots: slot::slots(options, &sender),
        summary: Summary::default(),
    };
    for id in plan.ids().filter(|id| is_chosen(*id)) {
        match runner.states[id.0] {
            State::Done => runner.summary.cached.push(id),
            _ if runner.known.key(id).is_some() => runner.becomes_ready(id),
            _ => {}
        }
    }
    runner.run(&receiver, interrupt)?;
    runner.summary.known = runner.known;
    Ok(runner.summary)
}

impl Runner<'_> {
    fn run(&mut self, receiver: &Receiver<WorkerMessage>, interrupt: &Interrupt) -> Result<()> {
        let mut last_turn = Instant::now();
        loop {
            if interrupt.is_requested() {
                self.stop();
                return Ok(());
            }
            self.dispatch()?;
            if self.slots.iter().all(Slot::is_idle) {
                if self.gives_up() || !self.ready.has_any(|id| self.states[id.0] == State::Ready) {
                    return Ok(());
                }
                // A worker died before it received its job, which is tried again.
                continue;
            }
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(message) => self.hear(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while let Ok(message) = receiver.try_recv() {
                self.hear(message)?;
            }
            // While this process itself is suspended, it cannot hear its workers, so a turn counts
            // as one second at most.
            let turn = last_turn.elapsed().min(Duration::from_secs(1));
            last_turn = Instant::now();
            self.slots.iter_mut().for_each(|slot| slot.time_passes(turn));
            self.end_overdue();
        }
    }

    fn becomes_ready(&mut self, id: StageId) {
        self.states[id.0] = State::Ready;
        if let Some(key) = self.known.key(id) {
            self.by_key.entry(key).or_default().push(id);
        }
        self.ready.push(self.plan, id);
    }

    /// Finds out whether a waiting stage can get its key now, and whether it is in the store.
    fn look_at(&mut self, id: StageId) {
        if self.states[id.0] != State::Waiting
            || !self.plan.dependencies(id).all(|dependency| self.known.is_made(dependency))
        {
            return;
        }
        match self.known.ask_again(self.plan, self.store, id) {
            Ok(true) => self.cached(id),
            Ok(false) if self.known.key(id).is_some() => self.becomes_ready(id),
            Ok(false) => self.failed(
                id,
                Error::failure("a stage that it needs does not have the output that it needs")
                    .hint("this is a defect of surgcam; please report it"),
            ),
            Err(error) => self.failed(id, error),
        }
    }

    fn cached(&mut self, id: StageId) {
        self.summary.cached.push(id);
        if let Some(key) = self.known.key(id) {
            self.reporter.event(self.plan, &Event::Cached { id, key });
        }
        self.done(id);
    }

    fn done(&mut self, id: StageId) {
        self.states[id.0] = State::Done;
        for dependent in std::mem::take(&mut self.dependents[id.0]) {
            self.look_at(dependent);
        }
    }

    /// Whether nothing else is to be started, because a stage failed.
    fn gives_up(&self) -> bool {
        !self.options.keep_going && !self.summary.failed.is_empty()
    }

    fn dispatch(&mut self) -> Result<()> {
        if self.gives_up() || self.slots.iter().any(Slot::runs_alone) {
            return Ok(());
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].is_idle()
                && let Some(id) = self.next_ready(self.slots[slot].resource)
            {
                self.start(slot, id)?;
            }
        }
        if self.slots.iter().all(Slot::is_idle)
            && let Some(id) = self.next_ready(Resource::Alone)
        {
            // Other workers would hold memory that the measured stage may need.
            self.slots.iter_mut().skip(1).for_each(Slot::end_worker);
            self.start(0, id)?;
        }
        Ok(())
    }

    fn next_ready(&mut self, resource: Resource) -> Option<StageId> {
        let states = &self.states;
        self.ready.pop(resource, |id| states[id.0] == State::Ready)
    }

    /// Starts a stage and the ready siblings that one pass makes with it.
    fn start(&mut self, slot: usize, id: StageId) -> Result<()> {
        let members = self.ready.job_of(self.plan, id, |id| self.states[id.0] == State::Ready);
        // Locks are taken in this order, so that two runs with overlapping passes cannot wait for
        // each other. If two stages have one key, the one whose turn it is goes.
        let by_key: BTreeMap<StageKey, StageId> =
            members.into_iter().rev().filter_map(|id| Some((self.known.key(id)?, id))).collect();
        let mut stages = Vec::with_capacity(by_key.len());
        for (&key, &id) in &by_key {
            let stage = self.plan.stage(id);
            let Some(parts) = self.plan.key_parts(id, |id| self.known.outputs(id)) else {
                continue;
            };
            stages.push(StageJob {
                key,
                name: stage.name.clone(),
                parts,
                paths: stage.paths.clone(),
            });
            self.states[id.0] = State::Running;
            self.reporter.event(self.plan, &Event::Started { id, key });
        }
        let timeouts: Option<Vec<Duration>> =
            by_key.values().map(|id| self.plan.stage(*id).limits.timeout).collect();
        let timeout = timeouts.and_then(|timeouts| timeouts.into_iter().max());
        let current =
            CurrentJob::new(by_key, self.plan.stage(id).resource == Resource::Alone, timeout);
        if !self.slots[slot].start(self.store, &Job { stages }, current)? {
            self.worker_died(slot, None);
        }
        Ok(())
    }

    fn hear(&mut self, WorkerMessage { slot, worker, heard }: WorkerMessage) -> Result<()> {
        if !self.slots[slot].is_from_current_worker(worker) {
            return Ok(());
        }
        self.slots[slot].worker_was_heard();
        let message = match heard {
            Heard::Message(message) => message,
            Heard::OtherBuild(error) => return Err(error),
            Heard::Nonsense(error) => {
                self.worker_died(slot, Some(error));
                return Ok(());
            }
            Heard::Gone => {
                self.worker_died(slot, None);
                return Ok(());
            }
        };
        match *message {
            FromWorker::Hello(_) => self.slots[slot].worker_greeted(),
            FromWorker::Alive => {}
            FromWorker::CannotStart { problem } => self.worker_died(slot, Some(problem.into())),
            FromWorker::Begun { keys } => self.slots[slot].work_begins(keys),
            FromWorker::Waiting { key, holder } => {
                self.tell(slot, &key, |id| Event::Waiting { id, holder })
            }
            FromWorker::Progress { done, total, unit } => {
                for id in self.slots[slot].making() {
                    self.reporter
                        .event(self.plan, &Event::Progress { id, done, total, unit: unit.clone() });
                }
            }
            FromWorker::Note { key, text } => self.tell(slot, &key, |id| Event::Note { id, text }),
            FromWorker::Finished { key, record, executed } => {
                if let Some(id) = self.slots[slot].take_answered(&key) {
                    self.finished(id, *record, executed);
                }
            }
            FromWorker::Failed { key, problem } => {
                if let Some(id) = self.slots[slot].take_answered(&key) {
                    self.failed(id, problem.into());
                }
            }
            FromWorker::JobDone => {
                let unanswered = self.slots[slot].finish_job();
                self.all_failed(
                    unanswered,
                    &Error::failure("the worker did not report on this stage"),
                );
            }
        }
        Ok(())
    }

    fn tell(&mut self, slot: usize, key: &StageKey, event: impl FnOnce(StageId) -> Event) {
        if let Some(id) = self.slots[slot].unanswered(key) {
            self.reporter.event(self.plan, &event(id));
        }
    }

    fn finished(&mut self, id: StageId, record: Record, executed: bool) {
        let (key, seconds) = (record.key, record.seconds);
        if executed {
            self.summary.executed.push(Executed { id, key, seconds });
        } else {
            self.summary.cached.push(id);
        }
        let head = record.into_head();
        self.known.made(id, head.clone());
        self.reporter.event(self.plan, &Event::Finished { id, key, seconds, executed });
        self.done(id);
        // Stages that turned out to have the same key are finished too.
        for twin in self.by_key.remove(&key).unwrap_or_default() {
            if self.states[twin.0] == State::Ready {
                self.known.made(twin, head.clone());
                self.cached(twin);
            }
        }
    }

    fn failed(&mut self, id: StageId, error: Error) {
        let failures = self.failures.entry(id).or_default();
        *failures += 1;
        if *failures <= self.plan.stage(id).limits.retries {
            let attempt = *failures + 1;
            self.reporter.event(self.plan, &Event::Retrying { id, attempt, error });
            self.becomes_ready(id);
            return;
        }
        self.states[id.0] = State::Failed;
        self.reporter.event(self.plan, &Event::Failed { id, error: error.clone() });
        self.summary.failed.push((id, error));
        self.block_behind(id);
    }

    fn block_behind(&mut self, failed: StageId) {
        let mut behind = vec![failed];
        while let Some(id) = behind.pop() {
            for dependent in std::mem::take(&mut self.dependents[id.0]) {
                if self.states[dependent.0] == State::Waiting {
                    self.states[dependent.0] = State::Failed;
                    self.summary.blocked.push(dependent);
                    self.reporter.event(self.plan, &Event::Blocked { id: dependent, by: failed });
                    behind.push(dependent);
                }
            }
        }
    }

    /// `why` is a reason that the worker's end does not tell.
    fn worker_died(&mut self, slot: usize, why: Option<Error>) {
        if let Some((unanswered, error)) = self.slots[slot].give_up_worker(why) {
            self.all_failed(unanswered, &error);
        }
    }

    /// Ends workers whose job takes longer than it may, and those that hang.
    fn end_overdue(&mut self) {
        for slot in 0..self.slots.len() {
            if let Some((unanswered, error)) = self.slots[slot].end_if_overdue() {
                self.all_failed(unanswered, &error);
            }
        }
    }

    fn all_failed(&mut self, unanswered: Vec<StageId>, error: &Error) {
        for id in unanswered {
            self.failed(id, error.clone());
        }
    }

    fn stop(&mut self) {
        self.reporter.event(self.plan, &Event::Stopping);
        self.summary.interrupted = true;
        // All workers are told first, then waited for.
        self.slots.iter_mut().for_each(Slot::ask_worker_to_end);
        self.slots.iter_mut().for_each(Slot::end_worker);
    }
}
