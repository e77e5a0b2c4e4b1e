//! An experiment: what its file says, and the cells that its matrix expands to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::assignment::Assignment;
use super::file::{self, CheckedFile};
use super::layer::{self, Layer};
use super::library::Library;
use super::matrix::Matrix;
use super::memory::ResolvedRecipes;
use super::overrides::{self, Override, Rank};
use super::replicates::with_seeds;
use super::schema::ExperimentRecipe;
use super::target::{AimedOverride, Target, target};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

#[derive(Debug, Clone)]
pub struct Cell {
    pub model: String,
    /// `None` in an experiment that only classifies.
    pub extraction: Option<String>,
    /// The head that the matrix names. [`Experiment::heads`] has all heads of a cell.
    pub head: Option<String>,
    pub assignment: Assignment,
}

#[derive(Debug)]
pub struct Experiment {
    pub path: PathBuf,
    pub name: String,
    pub recipe: ExperimentRecipe,
    /// The names of the axes, in the order of the columns of tables.
    pub axes: Vec<String>,
    pub cells: Vec<Cell>,
    pub(super) library: Library,
    /// What each swept key is about, and the `file:line` that messages name.
    pub(super) swept: BTreeMap<String, SweptKey>,
    /// The overrides in the experiment's own `[set]`.
    pub(super) own: Vec<AimedOverride>,
    /// The overrides from surgcam.toml, from variables and from `--set`.
    pub(super) outer: Vec<AimedOverride>,
    pub(super) resolved: ResolvedRecipes,
}

#[derive(Debug)]
pub(super) struct SweptKey {
    pub(super) target: Target,
    pub(super) place: String,
}

impl Experiment {
    /// Reads the file at `path`, whose values win over those of the project's recipes. The
    /// overrides in `outer` come from outside the file, in rising order of their ranks.
    pub fn load(project: &Path, path: &Path, outer: &[Override]) -> Result<Self> {
        let mut library = Library::load(&project.join("recipes"))?;
        let checked = file::read(path)?;
        library.add(&checked);
        let table = |name: &str| {
            checked.table.get(name).and_then(toml::Value::as_table).cloned().unwrap_or_default()
        };
        let own = library.aim(&overrides::from_set(&checked, Rank::Experiment)?)?;
        let outer = library.aim(outer)?;
        let recipe = experiment_recipe(&checked, &own, &outer)?;
        let name = match &recipe.name {
            Some(name) => name.as_str().to_string(),
            None => {
                return Err(Error::usage("the experiment has no name")
                    .at_path(path)
                    .hint("add `name = \"...\"` under [experiment]"));
            }
        };
        let matrix = Matrix::new(&table("matrix"), &outer)
            .and_then(|matrix| match &recipe.seeds {
                Some(seeds) => with_seeds(matrix, seeds, &outer),
                None => Ok(matrix),
            })
            .map_err(|error| error.at_path(path))?;
        matrix
            .check_filter(&recipe.heads_for, "experiment.heads_for wants")
            .map_err(|error| error.at_path(path))?;
        let assignments = matrix.assignments().map_err(|error| error.at_path(path))?;
        let cells = assignments
            .into_iter()
            .map(cell)
            .collect::<Result<Vec<_>>>()
            .map_err(|error| error.at_path(path))?;
        let swept = swept_keys(&matrix, &checked, &library)?;
        let axes = matrix.columns();
        Ok(Experiment {
            path: path.to_path_buf(),
            name,
            recipe,
            axes,
            cells,
            library,
            swept,
            own,
            outer,
            resolved: ResolvedRecipes::default(),
        })
    }

    /// An experiment without cells, with which the recipes of a library can be checked.
    pub fn of_library(library: Library) -> Self {
        Experiment {
            path: PathBuf::new(),
            name: String::new(),
            recipe: ExperimentRecipe::default(),
            axes: Vec::new(),
            cells: Vec::new(),
            library,
            swept: BTreeMap::new(),
            own: Vec::new(),
            outer: Vec::new(),
            resolved: ResolvedRecipes::default(),
        }
    }

    /// With overrides from surgcam.toml, from variables and from `--set`, in rising order of their
    /// ranks.
    pub fn with_overrides(mut self, outer: &[Override]) -> Result<Self> {
        self.outer = self.library.aim(outer)?;
        Ok(self)
    }

    /// The project's recipes and the experiment's own.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// All overrides as text. Two plans are the same if this text and the keys of their stages are
    /// the same.
    pub fn layers_text(&self) -> String {
        let line = |found: &AimedOverride| {
            format!("{:?} {} {}\n", found.target, found.value, found.origin)
        };
        self.own.iter().chain(&self.outer).map(line).collect()
    }
}

fn experiment_recipe(
    checked: &CheckedFile,
    own: &[AimedOverride],
    outer: &[AimedOverride],
) -> Result<ExperimentRecipe> {
    let mut figment =
        Figment::from(Layer::of_defaults(&ExperimentRecipe::default(), "experiments")?);
    if let Some(table) = checked.table.get("experiment").and_then(toml::Value::as_table) {
        figment = figment
            .merge(Layer { origin: checked.path.display().to_string(), table: table.clone() });
    }
    for found in own.iter().chain(outer) {
        if let Target::Experiment { key } = &found.target {
            figment = figment.merge(Layer::of_value(&found.origin, key, &found.value));
        }
    }
    figment
        .extract()
        .map_err(|error| layer::explained(error, &["experiment"]).at_path(&checked.path))
}

fn swept_keys(
    matrix: &Matrix,
    checked: &CheckedFile,
    library: &Library,
) -> Result<BTreeMap<String, SweptKey>> {
    let mut swept = BTreeMap::new();
    for axis in matrix.assigned_names().filter(|axis| axis.contains('.')) {
        if !swept.contains_key(axis) {
            let path: Vec<String> = axis.split('.').map(String::from).collect();
            let place = checked.place_of("matrix", &path);
            let target = target(&path, &place, |section| library.names(section))?;
            if !matches!(target, Target::Every { .. } | Target::One { .. }) {
                return Err(Error::usage(format!(
                    "the matrix sweeps `{}`, which is not a value of a recipe",
                    shortened(axis)
                ))
                .at(place)
                .hint(
                    "sweep values of model, data, extraction, head, adapter or label_space recipes",
                ));
            }
            swept.insert(axis.clone(), SweptKey { target, place });
        }
    }
    Ok(swept)
}

fn cell(assignment: Assignment) -> Result<Cell> {
    let name = |axis: &str| match assignment.get(axis) {
        None => Ok(None),
        Some(toml::Value::String(name)) => Ok(Some(name.clone())),
        Some(other) => Err(Error::usage(format!(
            "the matrix's `{axis}` has {}, the name of a recipe is expected",
            shortened(other)
        ))),
    };
    let Some(model) = name("model")? else {
        return Err(Error::usage("the matrix names no model, so it has no cell")
            .hint("add `model = [\"gc-d\"]` under [matrix]"));
    };
    Ok(Cell { model, extraction: name("extraction")?, head: name("head")?, assignment })
}
