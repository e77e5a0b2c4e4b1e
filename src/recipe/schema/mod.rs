//! The sections of a recipe file: every key, its type, its default and its meaning.
//!
//! The declaration of a section gives two types: the recipe, which has all values, and its patch,
//! which has those that one file gives. A file is first read into patches, so that a mistake is
//! found with its line before layers are merged.

mod data;
mod declare;
mod experiment;
mod extraction;
mod head;
mod model;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use data::{AdapterPatch, DataPatch, LabelSpacePatch};
use experiment::ExperimentPatch;
use extraction::ExtractionPatch;
use head::HeadPatch;
use model::ModelPatch;
use surgcam_values::Name;

pub use data::{AdapterRecipe, DataRecipe, LabelSpaceRecipe};
pub use experiment::{ExperimentRecipe, PublishedValue, StageLimits};
pub use extraction::ExtractionRecipe;
pub use head::HeadRecipe;
pub use model::ModelRecipe;

/// A whole recipe file or experiment, with every table that it may have.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "deserialising is the use")]
pub struct RecipeFile {
    experiment: Option<ExperimentPatch>,
    #[serde(default)]
    adapter: BTreeMap<Name, AdapterPatch>,
    #[serde(default)]
    label_space: BTreeMap<Name, LabelSpacePatch>,
    #[serde(default)]
    data: BTreeMap<Name, DataPatch>,
    #[serde(default)]
    model: BTreeMap<Name, ModelPatch>,
    #[serde(default)]
    extraction: BTreeMap<Name, ExtractionPatch>,
    #[serde(default)]
    head: BTreeMap<Name, HeadPatch>,
    /// What the cells of the experiment differ in: lists, ranges (`{ from, to, step }`),
    /// `[[matrix.zip]]`, `[[matrix.exclude]]` and `[matrix.cases.NAME]`.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    matrix: Option<toml::Table>,
    /// Values that hold for every cell, by their dotted keys.
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    set: Option<toml::Table>,
}

/// The JSON Schema of recipe files and experiments, which editors use.
pub fn json_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(RecipeFile).to_value();
    schema["title"] = "surgcam: recipes and experiments".into();
    schema
}

/// The tables that hold named recipes. A section comes after those that its recipes can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    Adapter,
    LabelSpace,
    Data,
    Model,
    Extraction,
    Head,
}

impl Section {
    pub const ALL: [Section; 6] = [
        Section::Adapter,
        Section::LabelSpace,
        Section::Data,
        Section::Model,
        Section::Extraction,
        Section::Head,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Section::Adapter => "adapter",
            Section::LabelSpace => "label_space",
            Section::Data => "data",
            Section::Model => "model",
            Section::Extraction => "extraction",
            Section::Head => "head",
        }
    }

    pub fn named(name: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.name() == name)
    }

    /// The keys of the section's recipes, in the order of their declaration.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Section::Adapter => AdapterRecipe::KEYS,
            Section::LabelSpace => LabelSpaceRecipe::KEYS,
            Section::Data => DataRecipe::KEYS,
            Section::Model => ModelRecipe::KEYS,
            Section::Extraction => ExtractionRecipe::KEYS,
            Section::Head => HeadRecipe::KEYS,
        }
    }

    pub fn has_key(self, key: &str) -> bool {
        self.keys().contains(&key)
    }
}
