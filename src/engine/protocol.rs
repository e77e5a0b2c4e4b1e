//! The messages between the runner and a worker: one JSON value per line, over the worker's stdin
//! and stdout.
//!
//! The worker first sends [`FromWorker::Hello`] or [`FromWorker::CannotStart`]. Then the runner
//! sends one [`Job`] at a time and reads messages until [`FromWorker::JobDone`]. From its start on,
//! the worker sends [`FromWorker::Alive`] every few seconds. Its stdout carries nothing else,
//! because the worker redirects other output to stderr. A worker ends when its stdin is closed, so
//! a runner that dies leaves no worker behind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Class, Error};
use crate::store::key::{KeyParts, StageKey};
use crate::store::record::Record;

/// Both programs must have the same version.
pub const PROTOCOL_VERSION: u32 = 4;

/// The most bytes of a message. A program that writes longer lines does not speak this protocol.
pub const LONGEST_LINE: u64 = 64 << 20;

/// How often a worker reports that it is alive.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Stages that are made together: a single one, or several of one pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub stages: Vec<StageJob>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageJob {
    pub key: StageKey,
    pub name: String,
    pub parts: KeyParts,
    /// Paths of this machine that the stage reads, by name.
    #[serde(rename = "places")]
    pub paths: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum FromWorker {
    Hello(Hello),
    /// Sent instead of a hello: the worker cannot work at all and ends.
    CannotStart {
        problem: Problem,
    },
    /// Sent every few seconds from the start on, whatever the worker does. A worker that is silent
    /// for long hangs.
    Alive,
    /// Another process is making this stage, or holds the machine that it needs.
    Waiting {
        key: StageKey,
        holder: String,
    },
    /// The locks are held, and work on these stages begins in one pass. Time limits count from
    /// here.
    Begun {
        keys: Vec<StageKey>,
    },
    /// The progress of the stages that were begun last.
    Progress {
        done: u64,
        total: u64,
        unit: String,
        /// The newest epoch of a training whose epochs are too quick for a note each, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        newest_epoch: Option<String>,
    },
    /// A line for the user about the stage (how far it came, what it left out).
    Note {
        key: StageKey,
        text: String,
    },
    Finished {
        key: StageKey,
        record: Box<Record>,
        executed: bool,
    },
    Failed {
        key: StageKey,
        problem: Problem,
    },
    JobDone,
}

/// Who the worker is and what it runs on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub surgcam: String,
    pub libtorch: String,
    pub host: String,
    /// "cpu" or "cuda:0": the device that was asked for, or the worker's choice for "auto".
    pub device: String,
    /// "cpu" or the GPU's name.
    pub device_name: String,
    pub threads: usize,
    /// Which parts of CUDA were found; absent where only the processor was asked for.
    pub cuda: Option<Cuda>,
}

/// The parts that a GPU needs, and which of them a worker found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cuda {
    /// The NVIDIA driver, with its version where it is found.
    pub driver: Part,
    /// The CUDA libraries of libtorch, with their path where they are found.
    pub library: Part,
    /// How many devices driver and libraries see.
    pub devices: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Found(String),
    /// The reason why the part is missing.
    Missing(String),
}

impl Cuda {
    /// The error for a missing driver, library or device; `None` where there is a device.
    pub fn missing(&self) -> Option<Error> {
        const DRIVER: &str =
            "install the NVIDIA driver; a container must be started with access to the GPUs";
        const LIBRARY: &str = "name the folder of a torch 2.11 with CUDA in SURGCAM_LIBTORCH, or \
            activate the Python environment that has one";
        match (&self.driver, &self.library) {
            (Part::Missing(driver), Part::Missing(library)) => Some(
                Error::failure(format!("{driver}; and {library}"))
                    .hint(format!("{DRIVER}; then {LIBRARY}")),
            ),
            (Part::Missing(why), _) => Some(Error::failure(why).hint(DRIVER)),
            (_, Part::Missing(why)) => Some(Error::failure(why).hint(LIBRARY)),
            _ if self.devices == 0 => {
                Some(Error::failure("driver and library were found, but they see no device").hint(
                    "`nvidia-smi` lists the GPUs, CUDA_VISIBLE_DEVICES hides them; a driver older \
                     than libtorch's CUDA sees none",
                ))
            }
            _ => None,
        }
    }
}

/// An [`Error`] as the worker sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub what: String,
    pub place: Option<String>,
    pub hint: Option<String>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Problem {
            what: error.what().to_string(),
            place: error.place().map(String::from),
            hint: error.hint_text().map(String::from),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let mut error = Error::failure(problem.what);
        if let Some(place) = problem.place {
            error = error.at(place);
        }
        if let Some(hint) = problem.hint {
            error = error.hint(hint);
        }
        debug_assert_eq!(error.class(), Class::Failure);
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_as_it_was_said() {
        let problem = Problem::from(&Error::failure("no room").at("x").hint("make some"));
        let key = StageKey(crate::store::digest::Digest::of_bytes(b"x"));
        let line =
            serde_json::to_string(&FromWorker::Failed { key, problem: problem.clone() }).unwrap();
        assert!(!line.contains('\n'));
        let FromWorker::Failed { problem: read, .. } = serde_json::from_str(&line).unwrap() else {
            panic!("a failure")
        };
        assert_eq!(read, problem);
    }
}
