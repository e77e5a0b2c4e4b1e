//! A plan: a graph of stages, each with what its key is made of.
//!
//! Knows no surgery and no tensors: a stage is a kind, a version, parameters, inputs, outputs and a resource. A stage whose
//! input does not exist yet has no key yet; [`status`] tells what can be known before anything runs, and the runner asks
//! again as inputs appear.

pub mod drawing;
pub mod status;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::store::digest::Digest;
use crate::store::key::{KeyParts, StageKey, canonical_json, key_of};
use crate::store::name::PlainName;
use crate::store::record::Outputs;

/// Parameters of one kind of stage. Raise the version when the same parameters and inputs give another output than before.
pub trait StageParameters: Serialize + DeserializeOwned {
    const KIND: &'static str;
    const VERSION: u32;
    /// Whether its stages need the machine for themselves, whatever resource a planner gives them.
    const IS_ALONE: bool = false;
    /// The pass in which its stages are made together with others that have the same inputs.
    const PASS: Option<&'static str> = None;
}

/// A stage's place in its plan; inputs come before the stages that use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub usize);

/// What a stage occupies while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// One of the `--jobs` slots: stages that need no device, and small heads, which need one core.
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
    /// The parameters as canonical JSON.
    canonical: String,
    pass_name: Option<&'static str>,
    pub inputs: BTreeMap<String, Source>,
    /// Paths of this machine that it reads; never part of a key.
    pub places: BTreeMap<String, PathBuf>,
    pub resource: Resource,
    /// Stages with equal passes have equal inputs and are made together. It is known once the stage is in a plan.
    pub pass: Option<String>,
    pub limits: Limits,
}

/// How long a stage may take and how often it is tried again; neither changes what it makes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    pub timeout: Option<Duration>,
    pub retries: u32,
}

impl Stage {
    pub fn new<P: StageParameters>(name: String, parameters: &P, resource: Resource) -> Self {
        let parameters = serde_json::to_value(parameters).unwrap_or(Value::Null);
        Stage {
            name,
            kind: P::KIND,
            version: P::VERSION,
            pass_name: P::PASS,
            canonical: canonical_json(&parameters),
            parameters,
            inputs: BTreeMap::new(),
            places: BTreeMap::new(),
            resource: if P::IS_ALONE { Resource::Alone } else { resource },
            pass: None,
            limits: Limits::default(),
        }
    }

    /// Its kind, as the store has it.
    pub fn kind_name(&self) -> PlainName {
        PlainName::literal(self.kind)
    }

    /// Its parameters, of the kind that it is.
    pub fn parameters_as<P: StageParameters>(&self) -> Result<P> {
        if self.kind != P::KIND {
            return Err(Error::failure(format!("{} is no {} stage", self.name, P::KIND)));
        }
        serde_json::from_value(self.parameters.clone())
            .map_err(|error| Error::failure(format!("the parameters of {} are malformed: {error}", self.name)))
    }

    pub fn input(mut self, name: impl Into<String>, source: Source) -> Self {
        self.inputs.insert(name.into(), source);
        self
    }

    pub fn output_of(self, name: impl Into<String>, id: StageId, output: &str) -> Self {
        self.input(name, Source::Stage { id, output: output.to_string() })
    }

    fn inputs_as_text(&self) -> String {
        let mut text = String::new();
        for (name, source) in &self.inputs {
            // Writing to a string cannot fail.
            let _ = match source {
                Source::Stage { id, output } => write!(text, "{name}={}/{output} ", id.0),
                Source::External(digest) => write!(text, "{name}={digest} "),
            };
        }
        text
    }
}

#[derive(Debug, Default)]
pub struct Plan {
    pub stages: Vec<Stage>,
    known: HashMap<String, StageId>,
}

impl Plan {
    /// Adds a stage, or finds the equal one that is there already under whatever name.
    pub fn add(&mut self, mut stage: Stage) -> StageId {
        let inputs = stage.inputs_as_text();
        let identity = format!("{} {} {} {inputs}", stage.kind, stage.version, stage.canonical);
        if let Some(&id) = self.known.get(&identity) {
            return id;
        }
        stage.pass = stage.pass_name.map(|pass| format!("{pass} on {inputs}"));
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

    /// The digest of each input's content; `None` while one is not there. `outputs` gives those of a finished stage.
    fn input_digests<'a>(&'a self, id: StageId, outputs: impl Fn(StageId) -> Option<&'a Outputs>) -> Option<Vec<(&'a str, Digest)>> {
        let digest = |source: &Source| match source {
            Source::External(digest) => Some(*digest),
            Source::Stage { id, output } => Some(outputs(*id)?.get(output.as_str())?.digest),
        };
        self.stage(id).inputs.iter().map(|(name, source)| Some((name.as_str(), digest(source)?))).collect()
    }

    /// The stage's key once every input's content is known; `None` before.
    pub fn key<'a>(&'a self, id: StageId, outputs: impl Fn(StageId) -> Option<&'a Outputs>) -> Option<StageKey> {
        let stage = self.stage(id);
        Some(key_of(stage.kind, stage.version, &stage.canonical, self.input_digests(id, outputs)?.into_iter()))
    }

    /// What the key is made of, once every input's content is known; `None` before.
    pub fn key_parts<'a>(&'a self, id: StageId, outputs: impl Fn(StageId) -> Option<&'a Outputs>) -> Option<KeyParts> {
        let stage = self.stage(id);
        let inputs = self.input_digests(id, outputs)?.into_iter().map(|(name, digest)| (name.to_string(), digest)).collect();
        Some(KeyParts { kind: stage.kind_name(), version: stage.version, parameters: stage.parameters.clone(), inputs })
    }

    /// The stages that a stage waits for.
    pub fn dependencies(&self, id: StageId) -> impl Iterator<Item = StageId> + '_ {
        self.stage(id).inputs.values().filter_map(|source| match source {
            Source::Stage { id, .. } => Some(*id),
            Source::External(_) => None,
        })
    }

    /// Seconds on the longest way from each stage's start to an end of the plan: the longest goes first.
    pub fn critical_path(&self, seconds: impl Fn(StageId) -> f64) -> Vec<f64> {
        let mut below = vec![0.0_f64; self.stages.len()];
        for id in (0..self.stages.len()).rev().map(StageId) {
            below[id.0] += seconds(id);
            for dependency in self.dependencies(id) {
                below[dependency.0] = below[dependency.0].max(below[id.0]);
            }
        }
        below
    }

    /// Stages by how many stages lie between them and an input that nothing makes: none of a level needs another of it.
    pub fn levels(&self) -> Vec<Vec<StageId>> {
        let mut level = vec![0; self.stages.len()];
        let mut levels: Vec<Vec<StageId>> = Vec::new();
        for id in self.ids() {
            level[id.0] = self.dependencies(id).map(|dependency| level[dependency.0] + 1).max().unwrap_or(0);
            if levels.len() <= level[id.0] {
                levels.resize(level[id.0] + 1, Vec::new());
            }
            levels[level[id.0]].push(id);
        }
        levels
    }
}
