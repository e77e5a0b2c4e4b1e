//! What can be known of each stage before anything runs: cached, to run and why, or waiting for an input.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Plan, StageId};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::key::{KeyParts, StageKey};
use crate::store::record::Output;

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    Cached {
        key: StageKey,
    },
    WillRun {
        key: StageKey,
        reason: Reason,
    },
    /// Its key is not known before this stage is made.
    Waits {
        for_stage: String,
    },
}

/// Why a stage must run: what differs from the last time its name was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    NeverRan,
    VersionChanged {
        old: u32,
        new: u32,
    },
    ParameterChanged {
        field: String,
        old: Value,
        new: Value,
    },
    InputChanged {
        input: String,
        old: Option<Digest>,
        new: Option<Digest>,
    },
    /// The same key as before, but a record or an object is gone.
    OutputMissing,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NeverRan => f.write_str("never ran"),
            Reason::VersionChanged { old, new } => write!(f, "stage version {old} -> {new}"),
            Reason::ParameterChanged { field, old, new } => write!(f, "{field} {old} -> {new}"),
            Reason::InputChanged { input, .. } => write!(f, "input {input} changed"),
            Reason::OutputMissing => f.write_str("output missing from the store"),
        }
    }
}

pub struct PlanStatus {
    /// By stage id.
    pub stages: Vec<Status>,
    pub outputs: HashMap<StageId, BTreeMap<String, Output>>,
}

impl PlanStatus {
    pub fn cached(&self) -> usize {
        self.stages.iter().filter(|status| matches!(status, Status::Cached { .. })).count()
    }
}

pub fn of(plan: &Plan, store: &Store) -> PlanStatus {
    let mut outputs: HashMap<StageId, BTreeMap<String, Output>> = HashMap::new();
    let mut stages = Vec::with_capacity(plan.stages.len());
    for id in plan.ids() {
        let stage = plan.stage(id);
        let status = match plan.key_parts(id, &outputs) {
            None => {
                let missing = plan.dependencies(id).find(|dependency| !outputs.contains_key(dependency));
                Status::Waits { for_stage: missing.map(|id| plan.stage(id).name.clone()).unwrap_or_default() }
            }
            Some(parts) => {
                let key = parts.key();
                match store.record(stage.kind, &key) {
                    Some(record) => {
                        outputs.insert(id, record.outputs);
                        Status::Cached { key }
                    }
                    None => Status::WillRun { reason: reason(store, &stage.name, &parts), key },
                }
            }
        };
        stages.push(status);
    }
    PlanStatus { stages, outputs }
}

fn reason(store: &Store, name: &str, parts: &KeyParts) -> Reason {
    match store.latest(name) {
        None => Reason::NeverRan,
        Some(latest) => difference(&latest.parts, parts),
    }
}

/// The first thing in which two stages of one name differ.
pub fn difference(old: &KeyParts, new: &KeyParts) -> Reason {
    if old.version != new.version {
        return Reason::VersionChanged { old: old.version, new: new.version };
    }
    if let Some((field, old, new)) = first_changed("", &old.parameters, &new.parameters) {
        return Reason::ParameterChanged { field, old, new };
    }
    let names = old.inputs.keys().chain(new.inputs.keys());
    for name in names {
        let (old, new) = (old.inputs.get(name).copied(), new.inputs.get(name).copied());
        if old != new {
            return Reason::InputChanged { input: name.clone(), old, new };
        }
    }
    Reason::OutputMissing
}

fn first_changed(path: &str, old: &Value, new: &Value) -> Option<(String, Value, Value)> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            names.into_iter().find_map(|name| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                first_changed(&path, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null))
            })
        }
        _ if old == new => None,
        _ => Some((path.to_string(), old.clone(), new.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parts(parameters: Value, input: &[u8]) -> KeyParts {
        KeyParts { kind: "train".into(), version: 1, parameters, inputs: BTreeMap::from([("pack".into(), Digest::of_bytes(input))]) }
    }

    #[test]
    fn the_reason_names_the_field_with_old_and_new_value() {
        let old = parts(json!({"batch_size": 32, "plateau": {"factor": 0.95}}), b"a");
        let new = parts(json!({"batch_size": 64, "plateau": {"factor": 0.95}}), b"a");
        assert_eq!(difference(&old, &new).to_string(), "batch_size 32 -> 64");
        let new = parts(json!({"batch_size": 32, "plateau": {"factor": 0.5}}), b"a");
        assert_eq!(difference(&old, &new).to_string(), "plateau.factor 0.95 -> 0.5");
        assert_eq!(difference(&old, &parts(old.parameters.clone(), b"b")).to_string(), "input pack changed");
        assert_eq!(difference(&old, &old).to_string(), "output missing from the store");
    }
}
