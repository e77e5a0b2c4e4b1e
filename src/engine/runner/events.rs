//! The events of a run. The terminal, log lines, the journal of the run and its tables all consume
//! this one stream.

use crate::error::Error;
use crate::plan::{Plan, StageId};
use crate::store::key::StageKey;

#[derive(Debug, Clone)]
pub enum Event {
    Started {
        id: StageId,
        key: StageKey,
        /// The number of the slot that makes it.
        slot: usize,
    },
    /// Its inputs exist now, and with them it is in the store already.
    Cached {
        id: StageId,
        key: StageKey,
    },
    /// Another process is making this stage, or holds the machine that it needs. This run waits for
    /// it.
    Waiting {
        id: StageId,
        holder: String,
    },
    Progress {
        id: StageId,
        done: u64,
        total: u64,
        unit: String,
        /// The newest epoch of a training whose epochs are too quick for a note each, in words.
        newest_epoch: Option<String>,
    },
    Note {
        id: StageId,
        text: String,
    },
    /// `executed` is false where it was in the store, or another process made it.
    Finished {
        id: StageId,
        key: StageKey,
        seconds: f64,
        executed: bool,
    },
    /// It failed and is tried again.
    Retrying {
        id: StageId,
        attempt: u32,
        error: Error,
    },
    Failed {
        id: StageId,
        error: Error,
    },
    /// It cannot run because a stage that it needs failed.
    Blocked {
        id: StageId,
        by: StageId,
    },
    Stopping,
}

pub trait Reporter {
    fn event(&mut self, plan: &Plan, event: &Event);
}

/// Ignores all events.
pub struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _plan: &Plan, _event: &Event) {}
}

/// Several reporters as one.
pub struct Together<'a>(pub Vec<&'a mut dyn Reporter>);

impl Reporter for Together<'_> {
    fn event(&mut self, plan: &Plan, event: &Event) {
        for reporter in &mut self.0 {
            reporter.event(plan, event);
        }
    }
}
