//! How and where workers are started. The runner only sends jobs and receives messages.
//!
//! The local processes of [`super::worker_process`] are the only transport today. Another one would
//! be a file beside it.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::worker_process::{WorkerId, WorkerMessage};
use crate::error::{Error, Result};
use crate::protocol::Job;
use crate::store::Store;

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
