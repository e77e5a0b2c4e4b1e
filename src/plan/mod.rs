//! A plan: a graph of stages, each with what its key is made of.
//!
//! Knows no surgery and no tensors: a stage is a kind, a version, parameters, inputs, outputs and a resource. A stage whose
//! input does not exist yet has no key yet; [`status`] tells what can be known before anything runs, and the runner asks
//! again as inputs appear.

pub mod status;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde_json::Value;

use crate::pipeline::stages::StageParameters;
use crate::store::digest::Digest;
use crate::store::key::{KeyParts, canonical_json};
use crate::store::record::Output;

/// A stage's place in its plan; inputs come before the stages that use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub usize);

/// What a stage occupies while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// One of the `--jobs` slots.
    Processor,
    /// The device, and all cores.
    Device,
    /// The whole machine: nothing else runs, so that speed figures mean something.
    Alone,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// An output of another stage.
    Stage { id: StageId, output: String },
    /// Something that no stage makes: a data folder, a weights file.
    External(Digest),
}

#[derive(Debug, Clone)]
pub struct Stage {
    /// For people: "train gc-b".
    pub name: String,
    pub kind: &'static str,
    pub version: u32,
    pub parameters: Value,
    pub inputs: BTreeMap<String, Source>,
    /// Paths of this machine that it reads; never part of a key.
    pub places: BTreeMap<String, PathBuf>,
    pub resource: Resource,
    /// Stages with equal passes have equal inputs and can be made in one pass over the frames.
    pub pass: Option<String>,
}

impl Stage {
    pub fn new<P: StageParameters>(name: String, parameters: &P, resource: Resource) -> Self {
        Stage {
            name,
            kind: P::KIND,
            version: P::VERSION,
            parameters: serde_json::to_value(parameters).unwrap_or(Value::Null),
            inputs: BTreeMap::new(),
            places: BTreeMap::new(),
            resource,
            pass: None,
        }
    }

    pub fn input(mut self, name: impl Into<String>, source: Source) -> Self {
        self.inputs.insert(name.into(), source);
        self
    }

    pub fn output_of(self, name: impl Into<String>, id: StageId, output: &str) -> Self {
        self.input(name, Source::Stage { id, output: output.to_string() })
    }

    /// May be made together with its siblings: stages of a pass that have the same inputs.
    pub fn in_pass(mut self, pass: &str) -> Self {
        let inputs: Vec<String> = self.inputs.iter().map(|(name, source)| format!("{name}={source:?}")).collect();
        self.pass = Some(format!("{pass} on {}", inputs.join(", ")));
        self
    }
}

#[derive(Debug, Default)]
pub struct Plan {
    pub stages: Vec<Stage>,
    known: HashMap<String, StageId>,
}

impl Plan {
    /// Adds a stage, or finds the equal one that is there already under whatever name.
    pub fn add(&mut self, stage: Stage) -> StageId {
        let identity = format!("{} {} {} {:?}", stage.kind, stage.version, canonical_json(&stage.parameters), stage.inputs);
        if let Some(&id) = self.known.get(&identity) {
            return id;
        }
        let id = StageId(self.stages.len());
        self.known.insert(identity, id);
        self.stages.push(stage);
        id
    }

    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.0]
    }

    pub fn ids(&self) -> impl Iterator<Item = StageId> + use<> {
        (0..self.stages.len()).map(StageId)
    }

    /// What the key is made of, once every input's content is known; `None` before.
    pub fn key_parts(&self, id: StageId, outputs: &HashMap<StageId, BTreeMap<String, Output>>) -> Option<KeyParts> {
        let stage = self.stage(id);
        let mut inputs = BTreeMap::new();
        for (name, source) in &stage.inputs {
            let digest = match source {
                Source::External(digest) => *digest,
                Source::Stage { id, output } => outputs.get(id)?.get(output)?.digest,
            };
            inputs.insert(name.clone(), digest);
        }
        Some(KeyParts { kind: stage.kind.to_string(), version: stage.version, parameters: stage.parameters.clone(), inputs })
    }

    /// The stages that a stage waits for.
    pub fn dependencies(&self, id: StageId) -> impl Iterator<Item = StageId> + '_ {
        self.stage(id).inputs.values().filter_map(|source| match source {
            Source::Stage { id, .. } => Some(*id),
            Source::External(_) => None,
        })
    }

    /// How many stages lie on the longest way from each stage to an end: the longest goes first.
    pub fn depth_below(&self) -> Vec<usize> {
        let mut depth = vec![0; self.stages.len()];
        for id in self.ids().collect::<Vec<_>>().into_iter().rev() {
            for dependency in self.dependencies(id) {
                depth[dependency.0] = depth[dependency.0].max(depth[id.0] + 1);
            }
        }
        depth
    }
}
