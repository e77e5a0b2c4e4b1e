//! What the runner and a worker say to each other: one JSON value a line, over the worker's stdin and stdout.
//!
//! The worker says [`FromWorker::Hello`] first. Then the runner sends one [`Job`] at a time and reads messages until
//! [`FromWorker::JobDone`]. The worker's stdout carries nothing else (it points its descriptor 1 at stderr); it ends when its
//! stdin is closed, so a runner that dies leaves no worker behind.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Class, Error};
use crate::store::key::{KeyParts, StageKey};
use crate::store::record::Record;

/// Both sides must have the same.
pub const PROTOCOL_VERSION: u32 = 3;

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
    pub places: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum FromWorker {
    Hello(Hello),
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
    /// A line for the user that belongs to the stage ("epoch 3: ...").
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
    pub cuda_devices: usize,
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
