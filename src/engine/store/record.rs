//! The record of a finished stage: the parts of its key, its outputs, and how it was made.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::format::Formatted;
use super::key::{KeyParts, StageKey};
use super::name::PlainName;

pub const RECORD_FORMAT: u32 = 1;

/// The outputs of a stage, by name.
pub type Outputs = BTreeMap<PlainName, Output>;

/// A record that was read always has the key of its parts, because any other is refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "UncheckedRecord")]
pub struct Record {
    pub format: u32,
    pub key: StageKey,
    /// The name that the stage had when it was made: for people, not part of the key.
    pub name: String,
    pub parts: KeyParts,
    pub outputs: Outputs,
    /// RFC 3339, UTC.
    pub started: String,
    pub seconds: f64,
    pub machine: Environment,
    /// Unknown in records of earlier versions.
    #[serde(default, skip_serializing_if = "PeakMemory::is_unknown")]
    pub peak_memory: PeakMemory,
}

/// A record as it is in its file.
#[derive(Deserialize)]
struct UncheckedRecord {
    format: u32,
    key: StageKey,
    name: String,
    parts: KeyParts,
    outputs: Outputs,
    started: String,
    seconds: f64,
    machine: Environment,
    #[serde(default)]
    peak_memory: PeakMemory,
}

impl TryFrom<UncheckedRecord> for Record {
    type Error = String;

    fn try_from(read: UncheckedRecord) -> Result<Self, String> {
        let UncheckedRecord {
            format,
            key,
            name,
            parts,
            outputs,
            started,
            seconds,
            machine,
            peak_memory,
        } = read;
        let key_of_parts = parts.key();
        if key_of_parts != key {
            return Err(format!("its key is {key}, but that of its parts is {key_of_parts}"));
        }
        Ok(Record { format, key, name, parts, outputs, started, seconds, machine, peak_memory })
    }
}

impl Formatted for Record {
    const WHAT: &'static str = "record";
    const FORMAT: u32 = RECORD_FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
}

impl Record {
    /// Names of outputs that differ from those of another record of the same key.
    pub fn outputs_unlike<'a>(&'a self, other: &'a Record) -> Vec<&'a str> {
        let names = self
            .outputs
            .keys()
            .chain(other.outputs.keys())
            .map(PlainName::as_str)
            .collect::<BTreeSet<_>>();
        let digest =
            |record: &Record, name: &str| record.outputs.get(name).map(|output| output.digest);
        names.into_iter().filter(|name| digest(self, name) != digest(other, name)).collect()
    }

    pub fn into_head(self) -> RecordHead {
        RecordHead {
            format: self.format,
            key: self.key,
            outputs: self.outputs,
            seconds: self.seconds,
        }
    }
}

/// The fields of a record that planning needs. They are quick to read, because there may be
/// thousands of records. Without the parts of the key there is nothing to compare with the key.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordHead {
    pub format: u32,
    pub key: StageKey,
    pub outputs: Outputs,
    pub seconds: f64,
}

impl Formatted for RecordHead {
    const WHAT: &'static str = "record";
    const FORMAT: u32 = RECORD_FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
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
    /// A folder. Its digest is that of the sorted list of its files' paths and digests.
    Tree,
}

/// What a stage ran on and with: for people and for the notes of a table, never part of a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    pub host: String,
    pub device: String,
    pub threads: usize,
    pub surgcam: String,
    pub libtorch: String,
}

/// The most memory that a stage took, its pass or its worker's libraries included; absent what
/// nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakMemory {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Of tensors on the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_bytes: Option<u64>,
}

impl PeakMemory {
    pub fn is_unknown(&self) -> bool {
        self.resident_bytes.is_none() && self.device_bytes.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_are_not_what_they_were_are_named() {
        let parts = KeyParts {
            kind: PlainName::literal("train"),
            version: 1,
            parameters: serde_json::json!({}),
            inputs: BTreeMap::new(),
        };
        let record = |outputs: &[(&str, &str)]| Record {
            format: RECORD_FORMAT,
            key: parts.key(),
            name: "train".into(),
            parts: parts.clone(),
            outputs: outputs
                .iter()
                .map(|(name, content)| {
                    (
                        PlainName::try_from(name.to_string()).unwrap(),
                        Output {
                            digest: Digest::of_bytes(content.as_bytes()),
                            form: Form::File,
                            bytes: 1,
                        },
                    )
                })
                .collect(),
            started: String::new(),
            seconds: 0.0,
            machine: Environment::default(),
            peak_memory: PeakMemory::default(),
        };
        let first = record(&[("checkpoint", "a"), ("history", "b"), ("last", "c")]);
        assert_eq!(
            record(&[("checkpoint", "a"), ("history", "d"), ("other", "e")]).outputs_unlike(&first),
            ["history", "last", "other"]
        );
        assert_eq!(first.outputs_unlike(&first), [""; 0]);
    }

    #[test]
    fn a_record_whose_key_is_not_that_of_its_parts_cannot_be_read() {
        let parts = KeyParts {
            kind: PlainName::literal("train"),
            version: 1,
            parameters: serde_json::json!({}),
            inputs: BTreeMap::new(),
        };
        let json = |kind: &str, version: u32, output: &str| {
            let output = serde_json::json!({
                (output): {"digest": Digest::of_bytes(b""), "form": "file", "bytes": 0}
            });
            let parts_there = serde_json::json!({
                "kind": kind, "version": version, "parameters": {}, "inputs": {}
            });
            let machine = Environment::default();
            serde_json::json!({
                "format": RECORD_FORMAT, "key": parts.key(), "name": "train",
                "parts": parts_there, "outputs": output,
                "started": "", "seconds": 0.0, "machine": machine,
            })
        };
        let problem = |json| serde_json::from_value::<Record>(json).unwrap_err().to_string();
        let without_memory = serde_json::from_value::<Record>(json("train", 1, "last")).unwrap();
        assert!(without_memory.peak_memory.is_unknown());
        assert!(problem(json("train", 2, "last")).contains("that of its parts is"));
        assert!(problem(json("../train", 1, "last")).contains("cannot be a name"));
        assert!(problem(json("train", 1, "../last")).contains("cannot be a name"));
    }
}
