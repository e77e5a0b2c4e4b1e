//! What a run was asked to do and what came out, as named values by which two runs are compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use surgcam_engine::plan::kind::METRICS_FILE;
use surgcam_engine::store::Store;
use surgcam_engine::store::runs::{PlanSnapshot, SnapshotStage};

/// Values as text, by name.
pub type Values = BTreeMap<String, String>;

/// The leaves of a JSON value by dotted path.
pub fn flat(value: &Value) -> Values {
    let mut leaves = Values::new();
    flatten("", value, &mut leaves);
    leaves
}

fn flatten(path: &str, value: &Value, leaves: &mut Values) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                flatten(
                    &if path.is_empty() { name.clone() } else { format!("{path}.{name}") },
                    field,
                    leaves,
                );
            }
        }
        leaf => {
            leaves.insert(path.to_string(), leaf.to_string());
        }
    }
}

/// The values of the recipes. A sweep has several values of one key; all are listed.
pub fn recipe_values(snapshot: &PlanSnapshot) -> Values {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for recipe in &snapshot.recipes {
        let name = format!(
            "{}.{}",
            recipe["section"].as_str().unwrap_or_default(),
            recipe["name"].as_str().unwrap_or_default()
        );
        for (key, value) in flat(&recipe["values"]) {
            all.entry(format!("{name}.{key}")).or_default().insert(value);
        }
    }
    all.into_iter()
        .map(|(key, values)| (key, values.into_iter().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// The digests of each stage's outputs.
pub fn digests(snapshot: &PlanSnapshot) -> Values {
    let outputs = |stage: &SnapshotStage| match stage.outputs.is_empty() {
        true => "not made".to_string(),
        false => stage.outputs.values().map(|digest| digest.short()).collect::<Vec<_>>().join(" "),
    };
    snapshot.stages.iter().map(|stage| (stage.name.clone(), outputs(stage))).collect()
}

/// The metrics of each stage that are in the store.
pub fn metrics(store: &Store, snapshot: &PlanSnapshot) -> Values {
    let mut all = Values::new();
    for stage in &snapshot.stages {
        let found =
            stage.outputs.get(METRICS_FILE).and_then(|digest| store.read_object(digest).ok());
        let Some(value) = found.and_then(|text| serde_json::from_slice::<Value>(&text).ok()) else {
            continue;
        };
        all.extend(
            flat(&value)
                .into_iter()
                .map(|(name, value)| (format!("{}: {name}", stage.name), value)),
        );
    }
    all
}
