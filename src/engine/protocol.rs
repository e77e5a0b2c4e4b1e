//! What the runner and a worker say to each other: one JSON value a line, over the worker's stdin and stdout.
//!
//! The worker says [`FromWorker::Hello`] first, or [`FromWorker::CannotStart`]. Then the runner sends one [`Job`] at a time and reads messages until
//! [`FromWorker::JobDone`]. From its start on the worker says [`FromWorker::Alive`] every few seconds. The worker's stdout carries nothing else (it points its descriptor 1 at stderr); it ends when its
//! stdin is closed, so a runner that dies leaves no worker behind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Class, Error};
use crate::store::key::{KeyParts, StageKey};
use crate::store::record::Record;

/// Both sides must have the same.
pub const PROTOCOL_VERSION: u32 = 4;

/// No message is longer, in bytes: whoever writes longer lines does not speak this protocol.
pub const LONGEST_LINE: u64 = 64 << 20;

/// How often a worker says that it is alive.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Stages that are made together: one, or the siblings of a pass.
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
    /// It cannot work at all, and ends. Instead of a hello.
    CannotStart {
        problem: Problem,
    },
    /// It is there, whatever it does: said every few seconds from its start on. A worker that is silent for long hangs.
    Alive,
    /// Somebody else makes this stage just now, or has the machine that it needs.
    Waiting {
        key: StageKey,
        holder: String,
    },
    /// The locks are held and the work at these begins, all in one pass: limits of time count from here.
    Begun {
        keys: Vec<StageKey>,
    },
    /// Of what was begun last.
    Progress {
        done: u64,
        total: u64,
        unit: String,
    },
    /// A line for the user that belongs to the stage (how far it came, what it left out).
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
    /// "cpu" or "cuda:0": what it was asked for, or what it chose if that was "auto".
    pub device: String,
    /// "cpu" or the GPU's name.
    pub device_name: String,
    pub threads: usize,
    /// What there is of CUDA; absent where the processor alone was asked for.
    pub cuda: Option<Cuda>,
}

/// What a GPU needs, and what of it a worker found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cuda {
    /// The NVIDIA driver; where it is found, its version.
    pub driver: Part,
    /// CUDA's half of libtorch; where it is found, its path.
    pub library: Part,
    /// How many devices the two see.
    pub devices: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Found(String),
    /// Why it is missing.
    Missing(String),
}

impl Cuda {
    /// What of driver, library and device is missing for a GPU; `None` where there is a device.
    pub fn missing(&self) -> Option<Error> {
        const DRIVER: &str = "install the NVIDIA driver; a container must be started with access to the GPUs";
        const LIBRARY: &str =
            "name the folder of a torch 2.11 with CUDA in SURGCAM_LIBTORCH, or activate the Python environment that has one";
        match (&self.driver, &self.library) {
            (Part::Missing(driver), Part::Missing(library)) => {
                Some(Error::failure(format!("{driver}; and {library}")).hint(format!("{DRIVER}; then {LIBRARY}")))
            }
            (Part::Missing(why), _) => Some(Error::failure(why).hint(DRIVER)),
            (_, Part::Missing(why)) => Some(Error::failure(why).hint(LIBRARY)),
            _ if self.devices == 0 => Some(
                Error::failure("driver and library are there, but they see no device")
                    .hint("`nvidia-smi` lists the GPUs, CUDA_VISIBLE_DEVICES hides them; a driver older than libtorch's CUDA sees none"),
            ),
            _ => None,
        }
    }
}

/// An [`Error`] on its way from the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub what: String,
    pub place: Option<String>,
    pub hint: Option<String>,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Problem { what: error.what().to_string(), place: error.place().map(String::from), hint: error.hint_text().map(String::from) }
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
        let line = serde_json::to_string(&FromWorker::Failed { key, problem: problem.clone() }).unwrap();
        assert!(!line.contains('\n'));
        let FromWorker::Failed { problem: read, .. } = serde_json::from_str(&line).unwrap() else { panic!("a failure") };
        assert_eq!(read, problem);
    }
}
