//! Recipes: TOML files, variables and `--set` become typed, checked values, each with its origin.
//!
//! Each module imports only modules that stand above it in this list, or beside it in one entry:
//!
//! * `spelling`: names that nobody knows, and the known name that was probably meant.
//! * `range`, `assignment`, [`cell_filter`]: the values of a cell, and a choice among cells.
//! * [`schema`]: the sections of a file with all their keys. `surgcam_values` has the types of most
//!   values. [`reference`] makes the tables of keys in docs/recipes.md from it.
//! * [`file`]: reads one file and checks it by itself, so that a mistake is found with its line.
//! * [`overrides`]: `a.b = value` from `[set]`, from `SURGCAM_SET__` variables and from `--set`.
//!   [`target`] finds out what an override is about.
//! * [`slurm_settings`]: what jobs of a cluster ask for. [`settings`]: what belongs to the machine,
//!   such as the store, the results and the device.
//! * `layer`, [`library`]: all recipes of a project, and how the layers of one of them are merged.
//! * `axis`, [`matrix`], `matrix_checks`: the axes of an experiment, checked and expanded into all
//!   combinations of their values.
//! * [`replicates`]: the axis of the seeds, with which an experiment repeats each of its cells.
//! * [`memory`]: keeps resolved recipes, so that each distinct one is resolved only once.
//! * [`experiment_file`], [`experiment`], `cell_recipes`: the file of an experiment, its cells, and
//!   the recipes of each cell.
//!
//! Recipes are merged from these layers, of which a later one wins over an earlier one: built-in
//! defaults, recipe files (a recipe that is extended comes before the one that extends it), the
//! experiment's own tables, its `[set]`, the cell of its matrix, surgcam.toml, variables, `--set`.
//! Among overrides from one place, one of a single recipe (`model.gc-a.epochs`) wins over one of
//! all recipes of a section (`model.epochs`).

mod assignment;
mod axis;
pub mod cell_filter;
mod cell_recipes;
pub mod experiment;
pub mod experiment_file;
pub mod file;
mod layer;
pub mod library;
pub mod matrix;
mod matrix_checks;
pub mod memory;
pub mod overrides;
mod range;
pub mod reference;
pub mod replicates;
pub mod schema;
pub mod settings;
pub mod slurm_settings;
mod spelling;
pub mod target;
