//! What follows from the outcome of a stage: stages that need it become ready or are blocked, and a
//! stage that failed may be tried again.

use super::events::Event;
use super::run::{Runner, State};
use super::summary::Executed;
use crate::error::Error;
use crate::plan::StageId;
use crate::store::record::Record;

impl Runner<'_> {
    pub(super) fn becomes_ready(&mut self, id: StageId) {
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

    pub(super) fn finished(&mut self, id: StageId, record: Record, executed: bool) {
        let (key, seconds, peak_memory) = (record.key, record.seconds, record.peak_memory);
        if executed {
            self.summary.executed.push(Executed { id, key, seconds, peak_memory });
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

    pub(super) fn failed(&mut self, id: StageId, error: Error) {
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

    pub(super) fn all_failed(&mut self, unanswered: Vec<StageId>, error: &Error) {
        for id in unanswered {
            self.failed(id, error.clone());
        }
    }
}
