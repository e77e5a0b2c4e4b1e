//! Runs a plan: whatever is not in the store, in an order that its inputs allow, on slots.
//!
//! One slot has the device; `jobs` more slots run stages that need none. Each slot has one warm worker process. Stages of a
//! pass that are ready together go to a worker as one job. A stage that fails stops those that need it and no others. A
//! stage that must be alone waits until nothing else can run.

pub mod events;
pub mod interrupt;
pub mod worker_process;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::plan::{Plan, Resource, StageId};
use crate::protocol::{FromWorker, Job, StageJob};
use crate::store::key::{KeyParts, StageKey};
use crate::store::record::{Output, Record};
use crate::store::{Latest, Store};
use events::{Event, Reporter};
use interrupt::Interrupt;
use worker_process::{Heard, WorkerCommand, WorkerProcess, check_protocol};

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
    /// Could not run because of a failed one.
    pub blocked: Vec<StageId>,
    pub interrupted: bool,
    /// Of every stage that is finished.
    pub keys: HashMap<StageId, StageKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its inputs are not all there.
    Waiting,
    Ready,
    Running,
    Done,
    Failed,
}

struct Slot {
    worker: Option<WorkerProcess>,
    /// What its worker is making now.
    running: Vec<StageId>,
}

/// The slot with the device.
const DEVICE_SLOT: usize = 0;

struct Runner<'a> {
    plan: &'a Plan,
    store: &'a Store,
    command: &'a WorkerCommand,
    reporter: &'a mut dyn Reporter,
    states: Vec<State>,
    parts: HashMap<StageId, KeyParts>,
    keys: HashMap<StageId, StageKey>,
    outputs: HashMap<StageId, BTreeMap<String, Output>>,
    dependents: Vec<Vec<StageId>>,
    depth: Vec<usize>,
    slots: Vec<Slot>,
    sender: Sender<(usize, Heard)>,
    summary: Summary,
}

/// Runs everything in the plan that is not in the store yet.
pub fn run(
    plan: &Plan,
    store: &Store,
    command: &WorkerCommand,
    jobs: usize,
    interrupt: &Interrupt,
    reporter: &mut dyn Reporter,
) -> Result<Summary> {
    let (sender, receiver) = channel();
    let mut dependents = vec![Vec::new(); plan.stages.len()];
    for id in plan.ids() {
        let needed: HashSet<StageId> = plan.dependencies(id).collect();
        for dependency in needed {
            dependents[dependency.0].push(id);
        }
    }
    let slots = (0..=jobs.max(1)).map(|_| Slot { worker: None, running: Vec::new() }).collect();
    let mut runner = Runner {
        plan,
        store,
        command,
        reporter,
        states: vec![State::Waiting; plan.stages.len()],
        parts: HashMap::new(),
        keys: HashMap::new(),
        outputs: HashMap::new(),
        dependents,
        depth: plan.depth_below(),
        slots,
        sender,
        summary: Summary::default(),
    };
    for id in plan.ids() {
        runner.look_at(id);
    }
    runner.run(&receiver, interrupt)?;
    runner.summary.keys = runner.keys;
    Ok(runner.summary)
}

impl Runner<'_> {
    fn run(&mut self, receiver: &Receiver<(usize, Heard)>, interrupt: &Interrupt) -> Result<()> {
        loop {
            if interrupt.is_requested() {
                self.stop();
                return Ok(());
            }
            self.dispatch()?;
            if self.slots.iter().all(|slot| slot.running.is_empty()) {
                return Ok(());
            }
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok((slot, heard)) => self.hear(slot, heard)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Finds out whether a waiting stage can get its key, and whether it is in the store.
    fn look_at(&mut self, id: StageId) {
        if self.states[id.0] != State::Waiting {
            return;
        }
        let Some(parts) = self.plan.key_parts(id, &self.outputs) else { return };
        let key = parts.key();
        self.keys.insert(id, key);
        self.parts.insert(id, parts);
        match self.store.record(self.plan.stage(id).kind, &key) {
            Some(record) => {
                self.summary.cached.push(id);
                self.done(id, record);
            }
            None => self.states[id.0] = State::Ready,
        }
    }

    fn done(&mut self, id: StageId, record: Record) {
        self.states[id.0] = State::Done;
        self.remember_latest(id);
        self.outputs.insert(id, record.outputs);
        for dependent in self.dependents[id.0].clone() {
            self.look_at(dependent);
        }
    }

    /// Only an explanation for later: failing to write it is no failure of the stage.
    fn remember_latest(&self, id: StageId) {
        let (Some(key), Some(parts)) = (self.keys.get(&id), self.parts.get(&id)) else { return };
        let name = &self.plan.stage(id).name;
        if self.store.latest(name).is_none_or(|latest| latest.key != *key)
            && let Err(error) = self.store.set_latest(name, &Latest { key: *key, parts: parts.clone() })
        {
            tracing::warn!("{error}");
        }
    }

    fn dispatch(&mut self) -> Result<()> {
        let alone_runs = self.running().any(|id| self.plan.stage(id).resource == Resource::Alone);
        if alone_runs {
            return Ok(());
        }
        for slot in 0..self.slots.len() {
            if !self.slots[slot].running.is_empty() {
                continue;
            }
            let wanted = if slot == DEVICE_SLOT { Resource::Device } else { Resource::Processor };
            if let Some(id) = self.next_ready(wanted) {
                self.start(slot, id)?;
            }
        }
        let idle = self.slots.iter().all(|slot| slot.running.is_empty());
        if idle && let Some(id) = self.next_ready(Resource::Alone) {
            // Other workers would only hold memory that the timing could miss.
            self.slots.iter_mut().skip(1).for_each(|slot| slot.worker = None);
            self.start(DEVICE_SLOT, id)?;
        }
        Ok(())
    }

    fn running(&self) -> impl Iterator<Item = StageId> + '_ {
        self.slots.iter().flat_map(|slot| slot.running.iter().copied())
    }

    /// The ready stage with the most stages behind it.
    fn next_ready(&self, resource: Resource) -> Option<StageId> {
        self.plan
            .ids()
            .filter(|id| self.states[id.0] == State::Ready && self.plan.stage(*id).resource == resource)
            .max_by_key(|id| (self.depth[id.0], std::cmp::Reverse(*id)))
    }

    /// The ready siblings of a stage that one pass makes with it, itself among them.
    fn siblings(&self, id: StageId) -> Vec<StageId> {
        let Some(pass) = &self.plan.stage(id).pass else { return vec![id] };
        let mut siblings: Vec<StageId> = self
            .plan
            .ids()
            .filter(|other| self.states[other.0] == State::Ready && self.plan.stage(*other).pass.as_ref() == Some(pass))
            .collect();
        // Locks are taken in this order, so that two runs with overlapping passes cannot wait for each other.
        siblings.sort_by_key(|id| self.keys[id]);
        siblings.dedup_by_key(|id| self.keys[id]);
        siblings
    }

    fn start(&mut self, slot: usize, id: StageId) -> Result<()> {
        let stages = self.siblings(id);
        let job = Job {
            stages: stages
                .iter()
                .map(|&id| StageJob {
                    key: self.keys[&id],
                    name: self.plan.stage(id).name.clone(),
                    parts: self.parts[&id].clone(),
                    places: self.plan.stage(id).places.clone(),
                })
                .collect(),
        };
        if self.slots[slot].worker.is_none() {
            self.slots[slot].worker = Some(WorkerProcess::start(self.command, self.store, slot, self.sender.clone())?);
        }
        for &id in &stages {
            self.states[id.0] = State::Running;
            self.reporter.event(self.plan, &Event::Started { id });
        }
        self.slots[slot].running = stages;
        if let Some(worker) = &mut self.slots[slot].worker
            && worker.send(&job).is_err()
        {
            self.worker_died(slot);
        }
        Ok(())
    }

    fn hear(&mut self, slot: usize, heard: Heard) -> Result<()> {
        let message = match heard {
            Heard::Message(message) => message,
            Heard::Gone => {
                self.worker_died(slot);
                return Ok(());
            }
        };
        match message {
            FromWorker::Hello(hello) => check_protocol(&hello, &self.command.program)?,
            FromWorker::Waiting { key, holder } => self.tell(slot, &key, |id| Event::Waiting { id, holder }),
            FromWorker::Progress { key, done, total, unit } => self.tell(slot, &key, |id| Event::Progress { id, done, total, unit }),
            FromWorker::Note { key, text } => self.tell(slot, &key, |id| Event::Note { id, text }),
            FromWorker::Finished { key, record, executed } => {
                if let Some(id) = self.running_with(slot, &key) {
                    self.finished(id, *record, executed);
                }
            }
            FromWorker::Failed { key, problem } => {
                if let Some(id) = self.running_with(slot, &key) {
                    self.failed(id, problem.into());
                }
            }
            FromWorker::JobDone => {
                let left = std::mem::take(&mut self.slots[slot].running);
                for id in left.into_iter().filter(|id| self.states[id.0] == State::Running).collect::<Vec<_>>() {
                    self.failed(id, Error::failure("the worker said nothing of this stage"));
                }
            }
        }
        Ok(())
    }

    fn running_with(&self, slot: usize, key: &StageKey) -> Option<StageId> {
        self.slots[slot].running.iter().copied().find(|id| self.keys[id] == *key)
    }

    fn tell(&mut self, slot: usize, key: &StageKey, event: impl FnOnce(StageId) -> Event) {
        if let Some(id) = self.running_with(slot, key) {
            self.reporter.event(self.plan, &event(id));
        }
    }

    fn finished(&mut self, id: StageId, record: Record, executed: bool) {
        if executed {
            self.summary.executed.push(Executed { id, key: record.key, seconds: record.seconds });
        } else {
            self.summary.cached.push(id);
        }
        self.reporter.event(self.plan, &Event::Finished { id, seconds: record.seconds, executed });
        let key = record.key;
        self.done(id, record);
        // Stages that turned out to have this very key are finished too.
        for twin in self.plan.ids().filter(|twin| self.states[twin.0] == State::Ready && self.keys[twin] == key).collect::<Vec<_>>() {
            self.states[twin.0] = State::Waiting;
            self.look_at(twin);
        }
    }

    fn failed(&mut self, id: StageId, error: Error) {
        self.states[id.0] = State::Failed;
        self.reporter.event(self.plan, &Event::Failed { id, error: error.clone() });
        self.summary.failed.push((id, error));
        self.block_behind(id, id);
    }

    fn block_behind(&mut self, id: StageId, by: StageId) {
        for dependent in self.dependents[id.0].clone() {
            if self.states[dependent.0] == State::Waiting {
                self.states[dependent.0] = State::Failed;
                self.summary.blocked.push(dependent);
                self.reporter.event(self.plan, &Event::Blocked { id: dependent, by });
                self.block_behind(dependent, by);
            }
        }
    }

    fn worker_died(&mut self, slot: usize) {
        let Some(mut worker) = self.slots[slot].worker.take() else { return };
        let error = worker.obituary();
        for id in std::mem::take(&mut self.slots[slot].running) {
            if self.states[id.0] == State::Running {
                self.failed(id, error.clone());
            }
        }
    }

    fn stop(&mut self) {
        self.reporter.event(self.plan, &Event::Stopping);
        self.summary.interrupted = true;
        for slot in &mut self.slots {
            slot.worker = None;
        }
    }
}
