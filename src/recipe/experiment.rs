//! An experiment: its file, the cells that its matrix expands to, and the resolved recipes of each
//! cell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::Figment;
use serde::{Serialize, de::DeserializeOwned};

use super::assignment::Assignment;
use super::file::{self, CheckedFile};
use super::layer::{self, Layer};
use super::library::{Library, Resolved};
use super::matrix::Matrix;
use super::memory::ResolvedRecipes;
use super::overrides::{self, Override, Rank};
use super::schema::*;
use super::target::{AimedOverride, Target, target};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;
use surgcam_values::HeadTask;

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
    library: Library,
    /// What each swept key is about, and the `file:line` that messages name.
    swept: BTreeMap<String, SweptKey>,
    /// The overrides in the experiment's own `[set]`.
    own: Vec<AimedOverride>,
    /// The overrides from surgcam.toml, from variables and from `--set`.
    outer: Vec<AimedOverride>,
    resolved: ResolvedRecipes,
}

#[derive(Debug)]
struct SweptKey {
    target: Target,
    place: String,
}

/// Finds the file of an experiment. `name` is its path or the name of one in `experiments/`.
pub fn find(project: &Path, name: &str) -> Result<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.is_file() {
        return Ok(direct);
    }
    let folder = project.join("experiments");
    let shipped = folder.join(format!("{name}.toml"));
    if shipped.is_file() {
        return Ok(shipped);
    }
    if direct.is_dir() {
        return Err(Error::usage(format!(
            "`{}` is a folder, an experiment is a TOML file",
            shortened(name)
        ))
        .hint(match names_in(&direct).first() {
            Some(first) => format!(
                "name one of the files in it, as in {}",
                direct.join(format!("{first}.toml")).display()
            ),
            None => format!("the experiments there are: {}", names_in(&folder).join(", ")),
        }));
    }
    let known = names_in(&folder);
    let suggestion = did_you_mean(name, known.iter().map(String::as_str));
    let what = format!(
        "there is no file `{}` and no experiment of that name in {}{suggestion}",
        shortened(name),
        folder.display()
    );
    Err(Error::usage(what).hint(match known.as_slice() {
        [] => "give the path of a TOML file with [experiment] and [matrix] (docs/recipes.md), or make a project with experiments: \
               `surgcam init DIR`"
            .into(),
        several => format!("the experiments there are: {}", several.join(", ")),
    }))
}

/// The names of the TOML files in a folder, without `.toml`.
fn names_in(folder: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let names: BTreeSet<String> =
        files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.into_iter().collect()
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
        let matrix = Matrix::new(&table("matrix"), &outer).map_err(|error| error.at_path(path))?;
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

    fn origin(&self, axis: &str, value: &toml::Value) -> String {
        format!(
            "{} ({axis} = {})",
            self.swept.get(axis).map_or("[matrix]", |swept| swept.place.as_str()),
            shortened(value)
        )
    }

    /// Those values of a cell that are about the recipes of a section.
    fn assigned<'a>(
        &'a self,
        cell: &'a Cell,
        section: Section,
    ) -> impl Iterator<Item = (&'a String, &'a toml::Value, &'a Target)> {
        cell.assignment.iter().filter_map(move |(axis, value)| {
            let target = &self.swept.get(axis)?.target;
            let (Target::Every { section: of, .. } | Target::One { section: of, .. }) = target
            else {
                return None;
            };
            (*of == section).then_some((axis, value, target))
        })
    }

    /// Resolves a recipe by merging all its layers, among them the values of the cell.
    fn resolve_layers<T>(
        &self,
        cell: Option<&Cell>,
        section: Section,
        name: &str,
    ) -> Result<Resolved<T>>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        let mut all = self.own.clone();
        for (axis, value, target) in cell.into_iter().flat_map(|cell| self.assigned(cell, section))
        {
            all.push(AimedOverride {
                target: target.clone(),
                value: value.clone(),
                rank: Rank::Cell,
                origin: self.origin(axis, value),
            });
        }
        all.extend(self.outer.iter().cloned());
        self.library.resolve(section, name, &all)
    }

    fn resolve<T>(&self, cell: &Cell, section: Section, name: &str) -> Result<Arc<Resolved<T>>>
    where
        T: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let values: String = self
            .assigned(cell, section)
            .map(|(axis, value, _)| format!("{axis}={value};"))
            .collect();
        self.resolved.get(section, name, values.clone(), || {
            if !values.is_empty()
                && let Some(patched) = self.patched(cell, section, name)?
            {
                return Ok(patched);
            }
            self.resolve_layers(Some(cell), section, name)
        })
    }

    /// A quick way to resolve a recipe in a sweep of many values: it takes the recipe without the
    /// cell and puts the values of the cell in. `None` if merging all layers could give another
    /// result. That includes all errors, because merging knows where a wrong value comes from.
    fn patched<T>(&self, cell: &Cell, section: Section, name: &str) -> Result<Option<Resolved<T>>>
    where
        T: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let base = self.resolved.get::<T>(section, name, "without the cell".into(), || {
            self.resolve_layers(None, section, name)
        });
        let Ok(base) = base else { return Ok(None) };
        let Ok(mut table) = toml::Table::try_from(&base.value) else { return Ok(None) };
        let mut origins = base.origins.clone();
        for (axis, value, target) in self.assigned(cell, section) {
            let Target::Every { key, .. } = target else { return Ok(None) };
            let [key] = key.as_slice() else { return Ok(None) };
            let is_overridden = self.outer.iter().any(|outer| match &outer.target {
                Target::Every { section: of, key: outer }
                | Target::One { section: of, key: outer, .. } => {
                    *of == section && outer.first() == Some(key)
                }
                _ => false,
            });
            if is_overridden || value.is_table() {
                return Ok(None);
            }
            table.insert(key.clone(), value.clone());
            origins.insert(key.clone(), self.origin(axis, value));
        }
        Ok(table.try_into().ok().map(|value| Resolved { name: name.to_string(), value, origins }))
    }

    pub fn model(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<ModelRecipe>>> {
        self.resolve(cell, Section::Model, name)
    }

    pub fn data(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<DataRecipe>>> {
        self.resolve(cell, Section::Data, name)
    }

    pub fn extraction(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<ExtractionRecipe>>> {
        self.resolve(cell, Section::Extraction, name)
    }

    pub fn head(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<HeadRecipe>>> {
        self.resolve(cell, Section::Head, name)
    }

    /// The heads that judge the features of a cell, by their tasks. The cell's own head replaces
    /// the experiment's head for the same task.
    pub fn heads(&self, cell: &Cell) -> Result<BTreeMap<HeadTask, Arc<Resolved<HeadRecipe>>>> {
        let mut heads: BTreeMap<HeadTask, Arc<Resolved<HeadRecipe>>> = BTreeMap::new();
        for name in &self.recipe.heads {
            let head = self.head(cell, name)?;
            if let Some(other) = heads.insert(head.value.task, head) {
                let task =
                    serde_json::to_string(&other.value.task).unwrap_or_default().replace('"', "");
                return Err(Error::usage(format!(
                    "experiment.heads has two heads for the task {task}: {} and {name}",
                    other.name
                ))
                .hint("sweep them: `head = [...]` under [matrix]"));
            }
        }
        if let Some(name) = &cell.head {
            let head = self.head(cell, name)?;
            heads.insert(head.value.task, head);
        }
        if !self.recipe.heads_for.matches(&cell.assignment) {
            heads.retain(|task, _| *task == HeadTask::Probe);
        }
        Ok(heads)
    }

    pub fn adapter(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<AdapterRecipe>>> {
        self.resolve(cell, Section::Adapter, name)
    }

    pub fn label_space(&self, cell: &Cell, name: &str) -> Result<Arc<Resolved<LabelSpaceRecipe>>> {
        self.resolve(cell, Section::LabelSpace, name)
    }

    /// The names of all classes of all label spaces.
    pub fn known_classes(&self, cell: &Cell) -> Result<BTreeSet<String>> {
        let mut known = BTreeSet::new();
        for name in self.library.names(Section::LabelSpace) {
            known.extend(
                self.label_space(cell, &name)?
                    .value
                    .classes
                    .iter()
                    .map(|class| class.as_str().to_string()),
            );
        }
        Ok(known)
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
                    "the matrix sweeps `{}`, which is no value of a recipe",
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
