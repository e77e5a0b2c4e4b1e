//! How and where workers are started. The runner only sends jobs and receives messages.
//!
//! The local processes of [`super::worker_process`] are the only transport today. Another one would
//! be a file beside it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::protocol::{FromWorker, Job};
use crate::store::Store;

/// What the runner hears from a worker. Anything but a message is the last that it hears.
#[derive(Debug)]
pub enum Heard {
    Message(Box<FromWorker>),
    /// It speaks another protocol, so no worker of this program can be used.
    OtherBuild(Error),
    Nonsense(Error),
    Gone,
}

/// Distinguishes a slot's worker from earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId(u64);

impl WorkerId {
    /// One that no other worker of this process has.
    pub fn next() -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        WorkerId(STARTED.fetch_add(1, Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub struct WorkerMessage {
    pub slot: usize,
    pub worker: WorkerId,
    pub heard: Heard,
}

/// A way to start workers, all of them equal.
pub trait Transport {
    /// Starts a worker for a slot. Its messages are sent to `heard` with the slot's number, a hello
    /// first.
    ///
    /// # Errors
    /// If no worker can be started at all. The run then ends.
    fn start(
        &self,
        slot: usize,
        store: &Store,
        heard: Sender<WorkerMessage>,
    ) -> Result<Box<dyn Worker>>;

    /// A worker that has a job and is silent for this long is considered to hang.
    fn silence(&self) -> Duration;
}

/// A worker that was started. Dropping this value ends the worker.
pub trait Worker {
    fn id(&self) -> WorkerId;

    /// # Errors
    /// If it does not listen any more; a message tells why.
    fn send(&mut self, job: &Job) -> Result<()>;

    /// Notes that it has sent a hello: from now on it may have something to clean up.
    fn greeted(&mut self);

    /// Tells it that no more jobs come, on which it ends by itself.
    fn close(&mut self);

    /// Ends it at once.
    fn kill(&mut self);

    /// Waits until it is gone and tells why.
    fn reason_of_its_end(&mut self) -> Error;

    /// A hint that names its log, if the log is kept and not empty.
    fn hint_at_log(&self) -> Option<String>;
}
