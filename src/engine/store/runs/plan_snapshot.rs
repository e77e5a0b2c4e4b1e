//! The plan of a run as its file tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::FORMAT;
use crate::store::digest::Digest;
use crate::store::format::Formatted;
use crate::store::key::StageKey;

/// The plan of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanSnapshot {
    pub format: u32,
    pub experiment: Value,
    /// Resolved recipes, each once, with the origin of each value.
    pub recipes: Vec<Value>,
    /// Cells of the matrix. They refer to recipes by their index in `recipes`.
    pub cells: Vec<Value>,
    pub stages: Vec<SnapshotStage>,
}

impl Formatted for PlanSnapshot {
    const WHAT: &'static str = "plan";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SnapshotStage {
    pub name: String,
    pub kind: String,
    /// Absent where the key was not known when the run ended.
    pub key: Option<StageKey>,
    /// How long it took when it was made; absent where it was not made.
    pub seconds: Option<f64>,
    pub outputs: BTreeMap<String, Digest>,
}
