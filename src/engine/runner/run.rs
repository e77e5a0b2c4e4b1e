//! The run of a plan: gives ready stages to slots, and hears what their workers say.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::events::{Event, Reporter};
use super::interrupt::Interrupt;
use super::options::Options;
use super::ready::ReadyQueue;
use super::slot::{self, CurrentJob, Slot};
use super::summary::Summary;
use super::transport::{Heard, WorkerMessage};
use crate::error::{Error, Result};
use crate::plan::status::Known;
use crate::plan::{Plan, Resource, StageId};
use crate::protocol::{FromWorker, Job, StageJob};
use crate::store::Store;
use crate::store::key::StageKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not all its inputs exist.
    Waiting,
    Ready,
    Running,
    Done,
    Failed,
    /// Neither made nor to be made.
    LeftOut,
}

pub(super) struct Runner<'a> {
    pub(super) plan: &'a Plan,
    pub(super) store: &'a Store,
    options: &'a Options<'a>,
    pub(super) reporter: &'a mut dyn Reporter,
    pub(super) known: Known,
    pub(super) states: Vec<State>,
    /// How often each stage has failed so far.
    pub(super) failures: HashMap<StageId, u32>,
    pub(super) dependents: Vec<Vec<StageId>>,
    pub(super) ready: ReadyQueue,
    /// Ready and running stages by key, because several may turn out to have the same key.
    pub(super) by_key: HashMap<StageKey, Vec<StageId>>,
    slots: Vec<Slot<'a>>,
    pub(super) summary: Summary,
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
                Ok(message) => self.hear(message, interrupt)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while let Ok(message) = receiver.try_recv() {
                self.hear(message, interrupt)?;
            }
            // While this process itself is suspended, it cannot hear its workers, so a turn counts
            // as one second at most.
            let turn = last_turn.elapsed().min(Duration::from_secs(1));
            last_turn = Instant::now();
            self.slots.iter_mut().for_each(|slot| slot.time_passes(turn));
            self.end_overdue();
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

    /// Starts a stage, and with it the ready stages that are made in the same pass.
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
            self.reporter.event(self.plan, &Event::Started { id, key, slot });
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

    fn hear(&mut self, message: WorkerMessage, interrupt: &Interrupt) -> Result<()> {
        let WorkerMessage { slot, worker, heard } = message;
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
                // A worker that was ended together with this process did not fail.
                if !is_requested_soon(interrupt) {
                    self.worker_died(slot, None);
                }
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
            FromWorker::Progress { done, total, unit, newest_epoch } => {
                for id in self.slots[slot].making() {
                    let (unit, newest_epoch) = (unit.clone(), newest_epoch.clone());
                    let event = Event::Progress { id, done, total, unit, newest_epoch };
                    self.reporter.event(self.plan, &event);
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

    fn stop(&mut self) {
        self.reporter.event(self.plan, &Event::Stopping);
        self.summary.interrupted = true;
        // All workers are told first, then waited for.
        self.slots.iter_mut().for_each(Slot::ask_worker_to_end);
        self.slots.iter_mut().for_each(Slot::end_worker);
    }
}

/// A batch system sends the signal that ends a job to all its processes, one after the other. This
/// process may get it so long after its workers.
const SAME_SIGNAL: Duration = Duration::from_millis(200);

fn is_requested_soon(interrupt: &Interrupt) -> bool {
    let begun = Instant::now();
    while !interrupt.is_requested() && begun.elapsed() < SAME_SIGNAL {
        std::thread::sleep(Duration::from_millis(10));
    }
    interrupt.is_requested()
}
