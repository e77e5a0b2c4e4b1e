//! What is known of each stage: its key, its record, and why it must run.

use std::fmt;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::{Plan, StageId};
use crate::error::Result;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::earlier_runs::EarlierRuns;
use crate::store::key::{KeyParts, StageKey};
use crate::store::record::{Outputs, RecordHead};

/// The key of each stage of a plan, once the content of its inputs exists, and its record, once it
/// is made.
#[derive(Debug, Default)]
pub struct Known {
    stages: Vec<KnownStage>,
}

#[derive(Debug, Clone, Default)]
struct KnownStage {
    key: Option<StageKey>,
    record: Option<RecordHead>,
}

impl Known {
    /// Asks the store for every stage, on all cores.
    pub fn of(plan: &Plan, store: &Store) -> Result<Self> {
        let mut known = Known { stages: vec![KnownStage::default(); plan.stages.len()] };
        for level in plan.levels() {
            let found: Vec<Result<KnownStage>> =
                level.par_iter().with_min_len(64).map(|&id| known.find(plan, store, id)).collect();
            for (id, stage) in level.into_iter().zip(found) {
                known.stages[id.0] = stage?;
            }
        }
        Ok(known)
    }

    fn find(&self, plan: &Plan, store: &Store, id: StageId) -> Result<KnownStage> {
        let key = plan.key(id, |id| self.outputs(id));
        Ok(KnownStage { key, record: recorded(plan, store, id, key)? })
    }

    /// Asks again for one stage, after one of its inputs was made. Tells whether the stage is made
    /// already.
    pub fn ask_again(&mut self, plan: &Plan, store: &Store, id: StageId) -> Result<bool> {
        let key = plan.key(id, |id| self.outputs(id));
        // The key is kept even if the record cannot be read.
        self.stages[id.0] = KnownStage { key, record: None };
        self.stages[id.0].record = recorded(plan, store, id, key)?;
        Ok(self.is_made(id))
    }

    pub fn made(&mut self, id: StageId, record: RecordHead) {
        self.stages[id.0].record = Some(record);
    }

    pub fn key(&self, id: StageId) -> Option<StageKey> {
        self.stages[id.0].key
    }

    pub fn record(&self, id: StageId) -> Option<&RecordHead> {
        self.stages[id.0].record.as_ref()
    }

    pub fn outputs(&self, id: StageId) -> Option<&Outputs> {
        self.record(id).map(|record| &record.outputs)
    }

    pub fn is_made(&self, id: StageId) -> bool {
        self.stages[id.0].record.is_some()
    }

    pub fn cached(&self) -> usize {
        self.stages.iter().filter(|stage| stage.record.is_some()).count()
    }

    /// The number of stages that are not made. At most this many will run, because some may turn
    /// out to be in the store once their inputs are known.
    pub fn to_run(&self) -> usize {
        self.stages.len() - self.cached()
    }
}

fn recorded(
    plan: &Plan,
    store: &Store,
    id: StageId,
    key: Option<StageKey>,
) -> Result<Option<RecordHead>> {
    key.map_or(Ok(None), |key| store.record_head(&plan.stage(id).kind_name(), &key))
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    Cached {
        key: StageKey,
    },
    WillRun {
        key: StageKey,
        why: Why,
    },
    /// Its key is not known until this stage is made.
    Waits {
        for_stage: String,
        /// What has changed already, whatever that stage makes.
        changes: Vec<Change>,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Cached { .. } => f.write_str("cached"),
            Status::WillRun { why, .. } => write!(f, "will run: {why}"),
            Status::Waits { for_stage, changes } if changes.is_empty() => {
                write!(f, "waits for {for_stage}")
            }
            Status::Waits { for_stage, changes } => {
                write!(f, "waits for {for_stage}; {}", listed(changes))
            }
        }
    }
}

/// Why a stage must run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Why {
    NeverRan,
    /// What has changed since a stage of this name was last made.
    Changed {
        changes: Vec<Change>,
    },
    /// It was made before with this key, but its record or an object is gone.
    OutputMissing,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    Version { old: u32, new: u32 },
    Parameter { field: String, old: Value, new: Value },
    Input { input: String, old: Option<Digest>, new: Option<Digest> },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NeverRan => f.write_str("never ran"),
            Why::Changed { changes } => f.write_str(&listed(changes)),
            Why::OutputMissing => f.write_str("output missing from the store"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Version { old, new } => write!(f, "stage version {old} -> {new}"),
            Change::Parameter { field, old, new } => write!(f, "{field} {old} -> {new}"),
            Change::Input { input, old: Some(_), new: Some(_) } => {
                write!(f, "input {input} changed")
            }
            Change::Input { input, old: None, .. } => write!(f, "input {input} is new"),
            Change::Input { input, new: None, .. } => write!(f, "input {input} is gone"),
        }
    }
}

fn listed(changes: &[Change]) -> String {
    changes.iter().map(Change::to_string).collect::<Vec<_>>().join(", ")
}

/// The status of every stage, with reasons from earlier runs.
pub fn explain(plan: &Plan, known: &Known, earlier: &EarlierRuns) -> Vec<Status> {
    plan.ids().map(|id| explain_one(plan, known, earlier, id)).collect()
}

/// The status of one stage.
pub fn explain_one(plan: &Plan, known: &Known, earlier: &EarlierRuns, id: StageId) -> Status {
    let stage = plan.stage(id);
    match known.key(id) {
        Some(key) if known.is_made(id) => Status::Cached { key },
        Some(key) => Status::WillRun { key, why: why(plan, known, earlier, id, &key) },
        None => {
            let missing = plan.dependencies(id).find(|dependency| !known.is_made(*dependency));
            let changes = earlier
                .last_made(&stage.name)
                .map(|last| own_changes(&last.parts, stage.version, &stage.parameters));
            Status::Waits {
                for_stage: missing.map(|id| plan.stage(id).name.clone()).unwrap_or_default(),
                changes: changes.unwrap_or_default(),
            }
        }
    }
}

fn why(plan: &Plan, known: &Known, earlier: &EarlierRuns, id: StageId, key: &StageKey) -> Why {
    if earlier.was_made(key) {
        return Why::OutputMissing;
    }
    let parts = plan.key_parts(id, |id| known.outputs(id));
    match (earlier.last_made(&plan.stage(id).name), parts) {
        (Some(last), Some(parts)) => difference(&last.parts, &parts),
        _ => Why::NeverRan,
    }
}

/// All differences between two stages of one name.
pub fn difference(old: &KeyParts, new: &KeyParts) -> Why {
    let mut changes = own_changes(old, new.version, &new.parameters);
    let names: std::collections::BTreeSet<&String> =
        old.inputs.keys().chain(new.inputs.keys()).collect();
    for name in names {
        let (old, new) = (old.inputs.get(name).copied(), new.inputs.get(name).copied());
        if old != new {
            changes.push(Change::Input { input: name.clone(), old, new });
        }
    }
    if changes.is_empty() { Why::OutputMissing } else { Why::Changed { changes } }
}

fn own_changes(old: &KeyParts, version: u32, parameters: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.version != version {
        changes.push(Change::Version { old: old.version, new: version });
    }
    compare("", &old.parameters, parameters, &mut changes);
    changes
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(
                    &path,
                    old.get(name).unwrap_or(&Value::Null),
                    new.get(name).unwrap_or(&Value::Null),
                    changes,
                );
            }
        }
        _ if old == new => {}
        _ => changes.push(Change::Parameter {
            field: path.to_string(),
            old: old.clone(),
            new: new.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::name::PlainName;
    use serde_json::json;

    fn parts(parameters: Value, input: &[u8]) -> KeyParts {
        KeyParts {
            kind: PlainName::literal("train"),
            version: 1,
            parameters,
            inputs: BTreeMap::from([("pack".into(), Digest::of_bytes(input))]),
        }
    }

    #[test]
    fn the_reason_names_every_field_with_old_and_new_value() {
        let old = parts(json!({"batch_size": 32, "plateau": {"factor": 0.95}}), b"a");
        let new = parts(json!({"batch_size": 64, "plateau": {"factor": 0.95}}), b"a");
        assert_eq!(difference(&old, &new).to_string(), "batch_size 32 -> 64");
        let new = parts(json!({"batch_size": 64, "plateau": {"factor": 0.5}}), b"a");
        assert_eq!(
            difference(&old, &new).to_string(),
            "batch_size 32 -> 64, plateau.factor 0.95 -> 0.5"
        );
        assert_eq!(
            difference(&old, &parts(old.parameters.clone(), b"b")).to_string(),
            "input pack changed"
        );
        assert_eq!(difference(&old, &old).to_string(), "output missing from the store");
        let newer = KeyParts { version: 3, ..old.clone() };
        assert_eq!(difference(&old, &newer).to_string(), "stage version 1 -> 3");
    }
}
