//! A worker's description of its device. The store remembers it, so that planning need not load
//! libtorch each time.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use serde::{Deserialize, Serialize};

use super::slot::hang;
use super::transport::Worker;
use super::transport::{Heard, WorkerMessage};
use super::worker_command::WorkerCommand;
use super::worker_process::{LogFolder, WorkerProcess};
use crate::error::{AtPath, Result};
use crate::machine::{host, visible_gpus};
use crate::protocol::{FromWorker, Hello};
use crate::store::digest::Digest;
use crate::store::{Store, read_json, write_json};

#[derive(Serialize, Deserialize)]
struct Remembered {
    from: SaidBy,
    hello: Hello,
}

/// What the description depends on. It is asked for again if any of these changes.
#[derive(PartialEq, Serialize, Deserialize)]
struct SaidBy {
    /// The worker program.
    worker: String,
    /// A text that changes when the worker would run with another libtorch.
    libtorch: String,
    driver: Option<String>,
}

impl SaidBy {
    fn now(command: &WorkerCommand) -> Result<Self> {
        let metadata = command.program.metadata().at_path("read", &command.program)?;
        let worker = format!(
            "{} {} {:?}",
            command.program.display(),
            metadata.len(),
            metadata.modified().ok()
        );
        Ok(SaidBy { worker, libtorch: command.circumstances(), driver: visible_gpus::driver() })
    }
}

/// The file with the description. Each device that a worker may find has one.
fn path(command: &WorkerCommand, store: &Store) -> PathBuf {
    let visible = command.visible_gpu.clone().or_else(visible_gpus::preset);
    let visible =
        visible.map_or("any".to_string(), |visible| Digest::of_bytes(visible.as_bytes()).short());
    store.device_path(&format!("{}-{}-{visible}-{}", host(), command.device, command.threads))
}

/// The remembered description, if nothing that it depends on has changed.
pub fn remembered(command: &WorkerCommand, store: &Store) -> Result<Option<Hello>> {
    let remembered: Option<Remembered> = read_json(&path(command, store)).ok();
    let now = SaidBy::now(command)?;
    Ok(remembered.filter(|remembered| remembered.from == now).map(|remembered| remembered.hello))
}

/// The description of a device, from the store or from a worker.
pub fn of(command: &WorkerCommand, store: &Store) -> Result<Hello> {
    if let Some(hello) = remembered(command, store)? {
        return Ok(hello);
    }
    ask(command, store)
}

/// Asks a worker for the description of its device and remembers it.
pub fn ask(command: &WorkerCommand, store: &Store) -> Result<Hello> {
    let (sender, receiver) = channel();
    let log_folder = tempfile::tempdir_in(store.root().join("tmp"))
        .at_path("create a working folder", store.root())?;
    let mut process =
        WorkerProcess::start(command, store, LogFolder::Temporary(log_folder.path()), 0, sender)?;
    let hello = greeting(command, &receiver, &mut process)?;
    write_json(
        &path(command, store),
        &Remembered { from: SaidBy::now(command)?, hello: hello.clone() },
    )?;
    Ok(hello)
}

fn greeting(
    command: &WorkerCommand,
    receiver: &Receiver<WorkerMessage>,
    process: &mut WorkerProcess,
) -> Result<Hello> {
    loop {
        let heard = match receiver.recv_timeout(command.silence) {
            Ok(message) => message.heard,
            Err(RecvTimeoutError::Disconnected) => Heard::Gone,
            Err(RecvTimeoutError::Timeout) => {
                process.kill();
                return Err(hang(command.silence));
            }
        };
        match heard {
            Heard::Message(message) => match *message {
                FromWorker::Hello(hello) => return Ok(hello),
                FromWorker::CannotStart { problem } => return Err(problem.into()),
                FromWorker::Alive => {}
                _ => return Err(process.reason_of_its_end()),
            },
            Heard::OtherBuild(error) | Heard::Nonsense(error) => return Err(error),
            Heard::Gone => return Err(process.reason_of_its_end()),
        }
    }
}
