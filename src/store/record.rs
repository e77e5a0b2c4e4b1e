//! The record of a finished stage: why it has its key, what came out, and how it was made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::key::{KeyParts, StageKey};

pub const RECORD_FORMAT: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub format: u32,
    pub key: StageKey,
    /// The name that the stage had when it was made ("train gc-b"): for people, not part of the key.
    pub name: String,
    pub parts: KeyParts,
    pub outputs: BTreeMap<String, Output>,
    /// RFC 3339, UTC.
    pub started: String,
    pub seconds: f64,
    pub machine: Machine,
}

impl Record {
    pub fn into_head(self) -> RecordHead {
        RecordHead { format: self.format, key: self.key, outputs: self.outputs, seconds: self.seconds }
    }
}

/// What planning needs of a record: quick to read, for there may be thousands.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordHead {
    pub format: u32,
    pub key: StageKey,
    pub outputs: BTreeMap<String, Output>,
    pub seconds: f64,
}

/// One object that a stage wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub digest: Digest,
    pub form: Form,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    File,
    /// A folder; its digest is that of the sorted list of its files' paths and digests.
    Tree,
}

/// What ran the stage: for people and for the notes of a table, never part of a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub host: String,
    pub device: String,
    pub threads: usize,
    pub surgcam: String,
    pub libtorch: String,
}
