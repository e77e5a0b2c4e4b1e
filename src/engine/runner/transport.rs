//! Who starts workers, and where. The runner knows no more of it than this: a job goes in, messages come out.
//!
//! The local processes of [`super::worker_process`] are the one transport today. Another is a file beside it.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::worker_process::{WorkerId, WorkerMessage};
use crate::error::{Error, Result};
use crate::protocol::Job;
use crate::store::Store;

/// A way to start workers, all alike.
pub trait Transport {
    /// Starts a worker for a slot. Whatever the worker says is sent to `heard` with the slot's number, a hello first.
    ///
    /// # Errors
    /// Where no worker can be started at all: the run ends.
    fn start(&self, slot: usize, store: &Store, heard: Sender<WorkerMessage>) -> Result<Box<dyn Worker>>;

    /// A worker that has a job and says nothing for so long is taken to hang.
    fn silence(&self) -> Duration;
}

/// A worker that was started. Dropping it ends it.
pub trait Worker {
    fn id(&self) -> WorkerId;

    /// # Errors
    /// Where it does not listen any more; a message tells why.
    fn send(&mut self, job: &Job) -> Result<()>;

    /// It said hello: from now on it may have something to clean up.
    fn greeted(&mut self);

    /// Tells it that no more jobs come, on which it ends by itself.
    fn close(&mut self);

    /// Ends it at once.
    fn kill(&mut self);

    /// Waits until it is gone and says why.
    fn reason_of_its_end(&mut self) -> Error;

    /// Where its log is, in words, if a user will find it there.
    fn hint_at_log(&self) -> Option<String>;
}
