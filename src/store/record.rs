//! The record of a finished stage: why it has its key, what came out, and how it was made.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Names of outputs that are not what they were in another record of the same key.
    pub fn outputs_unlike<'a>(&'a self, other: &'a Record) -> Vec<&'a str> {
        let names = self.outputs.keys().chain(other.outputs.keys()).map(String::as_str).collect::<BTreeSet<_>>();
        let digest = |record: &Record, name: &str| record.outputs.get(name).map(|output| output.digest);
        names.into_iter().filter(|name| digest(self, name) != digest(other, name)).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_are_not_what_they_were_are_named() {
        let parts = KeyParts { kind: "train".into(), version: 1, parameters: serde_json::json!({}), inputs: BTreeMap::new() };
        let record = |outputs: &[(&str, &str)]| Record {
            format: RECORD_FORMAT,
            key: parts.key(),
            name: "train".into(),
            parts: parts.clone(),
            outputs: outputs
                .iter()
                .map(|(name, content)| {
                    (name.to_string(), Output { digest: Digest::of_bytes(content.as_bytes()), form: Form::File, bytes: 1 })
                })
                .collect(),
            started: String::new(),
            seconds: 0.0,
            machine: Machine::default(),
        };
        let first = record(&[("checkpoint", "a"), ("history", "b"), ("last", "c")]);
        assert_eq!(record(&[("checkpoint", "a"), ("history", "d"), ("other", "e")]).outputs_unlike(&first), ["history", "last", "other"]);
        assert_eq!(first.outputs_unlike(&first), [""; 0]);
    }
}
