//! Recipes: from TOML files, variables and `--set` to typed, validated values, each with its origin.
//!
//! * [`schema`]: the sections of a file, key by key; the types of their values are `surgcam_values`'s.
//! * [`file`]: reads one file and checks it by itself, so that a mistake is named with its line.
//! * [`overrides`]: `a.b = value` from surgcam.toml, SURGCAM_SET__ variables and `--set`.
//! * [`library`]: all recipes that are there, and `layer`s merged for one of them.
//! * [`matrix`]: what an experiment sweeps, expanded, with its `range`s. [`experiment`]: an experiment with its cells and their recipes.
//! * [`cell_filter`]: which of its cells are meant.
//! * [`memory`]: resolved recipes, each distinct one once.
//! * [`settings`]: what belongs to the machine: store, results, device.
//!
//! Layers, later wins: built-in defaults, recipe files (with `extends`), the experiment's own tables, its `[set]`, the
//! matrix cell, surgcam.toml, variables, `--set`. An override of a whole section (`model.epochs`) comes before one of a
//! single recipe (`model.gc-a.epochs`) from the same place.

pub mod cell_filter;
pub mod experiment;
pub mod file;
mod layer;
pub mod library;
pub mod matrix;
pub mod memory;
pub mod overrides;
mod range;
pub mod schema;
pub mod settings;
