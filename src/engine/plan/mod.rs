//! A plan: a graph of stages, each with the parts of its key.
//!
//! A stage is a kind, a version, parameters, inputs, outputs and a resource; surgery and tensors
//! are not known here. [`kind`] has what all stages of a kind have in common, [`inputs`] has what
//! they read, and a [`Handle`] is a stage whose kind the compiler knows. A stage has no key until
//! its inputs exist. [`status`] tells what is known before anything runs, and the runner asks again
//! as inputs appear.

pub mod drawing;
pub mod inputs;
pub mod kind;
pub mod status;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::store::digest::Digest;
use crate::store::key::{KeyParts, StageKey, canonical_json, key_of};
use crate::store::name::PlainName;
use crate::store::record::Outputs;
use inputs::NamedInputs;
use kind::{OutputOf, PathOf, StageKind};

/// A stage's index in its plan. Stages come after those that they need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub usize);

/// A stage of a plan whose kind is known.
pub struct Handle<K> {
    id: StageId,
    kind: PhantomData<fn() -> K>,
}

impl<K> Handle<K> {
    fn new(id: StageId) -> Self {
        Handle { id, kind: PhantomData }
    }

    pub fn id(self) -> StageId {
        self.id
    }

    /// One of its outputs, as an input of another stage.
    pub fn output(self, output: OutputOf<K>) -> Source {
        Source::Stage { id: self.id, output: output.name().to_string() }
    }
}

impl<K> From<Handle<K>> for StageId {
    fn from(handle: Handle<K>) -> Self {
        handle.id
    }
}

impl<K> Clone for Handle<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Handle<K> {}

impl<K> PartialEq for Handle<K> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<K> Eq for Handle<K> {}

impl<K> PartialOrd for Handle<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Handle<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl<K> fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

/// The resource that a stage occupies while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// One of the `--jobs` slots, for stages that do not need a device or more than one core.
    Processor,
    /// The device and all cores.
    Device,
    /// The whole machine: nothing else runs, so that speed figures are reliable.
    Alone,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// An output of another stage.
    Stage { id: StageId, output: String },
    /// Something that no stage makes: a file or a folder of the user.
    External(Digest),
}

#[derive(Debug, Clone)]
pub struct Stage {
    /// For people.
    pub name: String,
    pub kind: &'static str,
    pub version: u32,
    pub parameters: Value,
    /// The parameters as canonical JSON.
    canonical: String,
    pass_name: Option<&'static str>,
    pub inputs: BTreeMap<String, Source>,
    /// Paths of this machine that it reads, by name; never part of a key.
    pub paths: BTreeMap<String, PathBuf>,
    pub resource: Resource,
    /// Stages with equal passes have equal inputs and are made together. The pass is set when the
    /// stage is added to a plan.
    pub pass: Option<String>,
    pub limits: Limits,
}

/// How long a stage may take and how often it is tried again. Neither changes its output.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    pub timeout: Option<Duration>,
    pub retries: u32,
}

/// A stage of a kind, before it is in a plan.
pub struct NewStage<K> {
    stage: Stage,
    kind: PhantomData<fn() -> K>,
}

impl<K: StageKind> NewStage<K> {
    pub fn new(
        name: String,
        parameters: &K,
        inputs: K::Inputs<Source>,
        resource: Resource,
    ) -> Self {
        let parameters = serde_json::to_value(parameters).unwrap_or(Value::Null);
        let stage = Stage {
            name,
            kind: K::NAME,
            version: K::VERSION,
            pass_name: K::PASS,
            canonical: canonical_json(&parameters),
            parameters,
            inputs: inputs.into_named(),
            paths: BTreeMap::new(),
            resource: if K::IS_ALONE { Resource::Alone } else { resource },
            pass: None,
            limits: Limits::default(),
        };
        NewStage { stage, kind: PhantomData }
    }

    /// With a path of this machine that it reads.
    pub fn with_path(mut self, name: PathOf<K>, path: PathBuf) -> Self {
        self.stage.paths.insert(name.name().to_string(), path);
        self
    }

    pub fn name(&self) -> &str {
        &self.stage.name
    }
}

impl Stage {
    /// Its name without the kind at the front.
    pub fn subject(&self) -> &str {
        self.name.strip_prefix(self.kind).unwrap_or(&self.name).trim_start()
    }

    /// Its kind, as the store has it.
    pub fn kind_name(&self) -> PlainName {
        PlainName::literal(self.kind)
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
    /// Adds a stage, or finds an equal one that is already in the plan, whatever its name.
    pub fn add<K: StageKind>(&mut self, stage: NewStage<K>) -> Handle<K> {
        Handle::new(self.add_stage(stage.stage))
    }

    fn add_stage(&mut self, mut stage: Stage) -> StageId {
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

    /// The parameters of a stage, as the type of its kind.
    pub fn parameters<K: StageKind>(&self, handle: Handle<K>) -> Result<K> {
        let stage = self.stage(handle.id);
        serde_json::from_value(stage.parameters.clone()).map_err(|error| {
            Error::failure(format!("the parameters of {} are malformed: {error}", stage.name))
        })
    }

    /// Its stages of one kind.
    pub fn of_kind<K: StageKind>(&self) -> impl Iterator<Item = Handle<K>> {
        self.ids().filter(move |id| self.stage(*id).kind == K::NAME).map(Handle::new)
    }

    pub fn ids(&self) -> impl Iterator<Item = StageId> + use<> {
        (0..self.stages.len()).map(StageId)
    }

    /// The digest of each input's content; `None` while one does not exist. `outputs` gives the
    /// outputs of a finished stage.
    fn input_digests<'a>(
        &'a self,
        id: StageId,
        outputs: impl Fn(StageId) -> Option<&'a Outputs>,
    ) -> Option<Vec<(&'a str, Digest)>> {
        let digest = |source: &Source| match source {
            Source::External(digest) => Some(*digest),
            Source::Stage { id, output } => Some(outputs(*id)?.get(output.as_str())?.digest),
        };
        self.stage(id)
            .inputs
            .iter()
            .map(|(name, source)| Some((name.as_str(), digest(source)?)))
            .collect()
    }

    /// The stage's key once every input's content is known; `None` before.
    pub fn key<'a>(
        &'a self,
        id: StageId,
        outputs: impl Fn(StageId) -> Option<&'a Outputs>,
    ) -> Option<StageKey> {
        let stage = self.stage(id);
        Some(key_of(
            stage.kind,
            stage.version,
            &stage.canonical,
            self.input_digests(id, outputs)?.into_iter(),
        ))
    }

    /// What the key is made of, once every input's content is known; `None` before.
    pub fn key_parts<'a>(
        &'a self,
        id: StageId,
        outputs: impl Fn(StageId) -> Option<&'a Outputs>,
    ) -> Option<KeyParts> {
        let stage = self.stage(id);
        let inputs = self
            .input_digests(id, outputs)?
            .into_iter()
            .map(|(name, digest)| (name.to_string(), digest))
            .collect();
        Some(KeyParts {
            kind: stage.kind_name(),
            version: stage.version,
            parameters: stage.parameters.clone(),
            inputs,
        })
    }

    /// The stages that a stage needs.
    pub fn dependencies(&self, id: StageId) -> impl Iterator<Item = StageId> + '_ {
        self.stage(id).inputs.values().filter_map(|source| match source {
            Source::Stage { id, .. } => Some(*id),
            Source::External(_) => None,
        })
    }

    /// For each stage, the seconds on the longest path from its start to an end of the plan. The
    /// longest goes first.
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

    /// Stages in levels: those of a level need only stages of earlier levels.
    pub fn levels(&self) -> Vec<Vec<StageId>> {
        let mut level = vec![0; self.stages.len()];
        let mut levels: Vec<Vec<StageId>> = Vec::new();
        for id in self.ids() {
            level[id.0] =
                self.dependencies(id).map(|dependency| level[dependency.0] + 1).max().unwrap_or(0);
            if levels.len() <= level[id.0] {
                levels.resize(level[id.0] + 1, Vec::new());
            }
            levels[level[id.0]].push(id);
        }
        levels
    }
}
