//! An experiment: its file, its matrix expanded into cells, and each cell's recipes resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::Serialized;

use super::file::{self, CheckedFile, did_you_mean};
use super::library::{AimedOverride, Library, Resolved};
use super::overrides::{self, Override, Rank, Target};
use super::schema::*;
use crate::error::{Error, Result};

/// More cells than this are a mistake in a matrix.
const MOST_CELLS: usize = 100_000;

/// One combination of the matrix: axis name -> value.
pub type Assignment = BTreeMap<String, toml::Value>;

#[derive(Debug, Clone)]
pub struct Cell {
    pub model: String,
    /// Absent in an experiment that only classifies.
    pub extraction: Option<String>,
    pub head: String,
    pub assignment: Assignment,
}

#[derive(Debug)]
pub struct Experiment {
    pub path: PathBuf,
    pub name: String,
    pub recipe: ExperimentRecipe,
    /// Axis names in the order of the tables' columns.
    pub axes: Vec<String>,
    pub cells: Vec<Cell>,
    library: Library,
    /// `file:line` of each axis, for error messages.
    axis_places: BTreeMap<String, String>,
    /// The experiment's own `[set]`.
    own: Vec<AimedOverride>,
    /// surgcam.toml, variables, `--set`.
    outer: Vec<AimedOverride>,
}

/// The head that judges features where a matrix names none.
const DEFAULT_HEAD: &str = "probe";

/// A file's path, or the name of one in experiments/.
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
    let known: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let suggestion = did_you_mean(name, known.iter().map(String::as_str));
    Err(Error::usage(format!("there is no file `{name}` and no experiment of that name in {}{suggestion}", folder.display()))
        .hint(format!("the experiments there are: {}", known.join(", "))))
}

impl Experiment {
    /// Reads the file at `path` on top of the project's recipes. `outer`: overrides in rising order.
    pub fn load(project: &Path, path: &Path, outer: &[Override]) -> Result<Self> {
        let mut library = Library::load(&project.join("recipes"))?;
        let checked = file::read(path)?;
        library.add(&checked)?;
        let table = |name: &str| checked.table.get(name).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let own = library.aim(&overrides::from_set(&checked, Rank::Experiment))?;
        let outer = library.aim(outer)?;
        let recipe = experiment_recipe(&checked, &own, &outer)?;
        let name = match &recipe.name {
            Some(name) => name.as_str().to_string(),
            None => return Err(Error::usage("the experiment has no name").at_path(path).hint("add `name = \"...\"` under [experiment]")),
        };
        let axes = axes(&table("matrix"), &outer).map_err(|error| error.at_path(path))?;
        let axis_place = |axis: &String| checked.place_of("matrix", &axis.split('.').map(String::from).collect::<Vec<_>>());
        let axis_places = axes.iter().map(|(axis, _)| (axis.clone(), axis_place(axis))).collect();
        let cells = expand(&axes).map_err(|error| error.at_path(path))?;
        Ok(Experiment {
            path: path.to_path_buf(),
            name,
            recipe,
            axes: axes.into_iter().map(|(name, _)| name).collect(),
            cells,
            library,
            axis_places,
            own,
            outer,
        })
    }

    fn overrides(&self, cell: &Cell) -> Result<Vec<AimedOverride>> {
        let assigned: Vec<Override> = cell
            .assignment
            .iter()
            .filter(|(axis, _)| axis.contains('.'))
            .map(|(axis, value)| Override {
                path: axis.split('.').map(String::from).collect(),
                value: value.clone(),
                rank: Rank::Cell,
                origin: format!("{} ({axis} = {value})", self.axis_places.get(axis).map_or("[matrix]", String::as_str)),
            })
            .collect();
        let mut all = self.own.clone();
        all.extend(self.library.aim(&assigned)?);
        all.extend(self.outer.iter().cloned());
        Ok(all)
    }

    fn resolve<T>(&self, cell: &Cell, section: Section, name: &str) -> Result<Resolved<T>>
    where
        T: Default + serde::Serialize + serde::de::DeserializeOwned,
    {
        self.library.resolve(section, name, &self.overrides(cell)?).map_err(|error| error.at_path(&self.path))
    }

    pub fn model(&self, cell: &Cell, name: &str) -> Result<Resolved<ModelRecipe>> {
        self.resolve(cell, Section::Model, name)
    }

    pub fn data(&self, cell: &Cell, name: &str) -> Result<Resolved<DataRecipe>> {
        self.resolve(cell, Section::Data, name)
    }

    pub fn extraction(&self, cell: &Cell, name: &str) -> Result<Resolved<ExtractionRecipe>> {
        self.resolve(cell, Section::Extraction, name)
    }

    pub fn head(&self, cell: &Cell, name: &str) -> Result<Resolved<HeadRecipe>> {
        self.resolve(cell, Section::Head, name)
    }

    pub fn adapter(&self, cell: &Cell, name: &str) -> Result<Resolved<AdapterRecipe>> {
        self.resolve(cell, Section::Adapter, name)
    }

    pub fn label_space(&self, cell: &Cell, name: &str) -> Result<Resolved<LabelSpaceRecipe>> {
        self.resolve(cell, Section::LabelSpace, name)
    }

    /// Every class name that some label space has.
    pub fn known_classes(&self, cell: &Cell) -> Result<BTreeSet<String>> {
        let mut known = BTreeSet::new();
        for name in self.library.names(Section::LabelSpace) {
            known.extend(self.label_space(cell, &name)?.value.classes);
        }
        Ok(known)
    }
}

fn experiment_recipe(checked: &CheckedFile, own: &[AimedOverride], outer: &[AimedOverride]) -> Result<ExperimentRecipe> {
    let mut figment = Figment::from(Serialized::defaults(ExperimentRecipe::default()));
    if let Some(table) = checked.table.get("experiment") {
        figment = figment.merge(Serialized::globals(table));
    }
    for found in own.iter().chain(outer) {
        if let Target::Experiment { key } = &found.target {
            figment = figment.merge(Serialized::global(&key.join("."), &found.value));
        }
    }
    figment.extract().map_err(|error| Error::usage(format!("[experiment] is wrong: {error}")).at_path(&checked.path))
}

type Axes = Vec<(String, Vec<toml::Value>)>;

/// The matrix's axes. An outer override of a swept value takes the place of its whole axis.
fn axes(matrix: &toml::Table, outer: &[AimedOverride]) -> Result<Axes> {
    let mut axes: Axes = Vec::new();
    let mut problem = None;
    overrides::flatten(matrix, &mut Vec::new(), &mut |path, value| match value {
        toml::Value::Array(values) => axes.push((path.join("."), values)),
        other => problem = Some(Error::usage(format!("the matrix's `{}` is {other}, a list is expected", path.join(".")))),
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    for found in outer {
        match (&found.target, &found.value) {
            (Target::Axis { name }, toml::Value::Array(values)) => match axes.iter_mut().find(|(axis, _)| axis == name) {
                Some((_, current)) => *current = values.clone(),
                None => axes.push((name.clone(), values.clone())),
            },
            (Target::Axis { name }, _) => {
                return Err(Error::usage(format!("an axis is a list: write matrix.{name}=[...]")).at(&found.origin));
            }
            (Target::Every { section, key }, value) => {
                let swept = format!("{}.{}", section.name(), key.join("."));
                if let Some((_, values)) = axes.iter_mut().find(|(axis, _)| *axis == swept) {
                    *values = vec![value.clone()];
                }
            }
            _ => {}
        }
    }
    for axis in ["model", "extraction", "head"] {
        // The names that a row starts with come first in the tables.
        if let Some(position) = axes.iter().position(|(name, _)| name == axis) {
            let rank = ["model", "extraction", "head"].iter().position(|name| *name == axis).unwrap_or(0).min(axes.len() - 1);
            let moved = axes.remove(position);
            axes.insert(rank.min(axes.len()), moved);
        }
    }
    for (name, values) in &axes {
        if values.is_empty() {
            return Err(Error::usage(format!("the matrix has no cell: its `{name}` is an empty list")));
        }
        if !name.contains('.') && !["model", "extraction", "head"].contains(&name.as_str()) {
            let suggestion = did_you_mean(name, ["model", "extraction", "head"]);
            return Err(Error::usage(format!("the matrix has an axis `{name}`{suggestion}"))
                .hint("an axis is model, extraction, head, or a dotted key such as \"extraction.roi_threshold\""));
        }
    }
    Ok(axes)
}

/// Every combination, the first axis turning slowest.
fn expand(axes: &Axes) -> Result<Vec<Cell>> {
    let size: usize = axes.iter().map(|(_, values)| values.len()).product();
    if size > MOST_CELLS {
        return Err(Error::usage(format!("the matrix has {size} cells, at most {MOST_CELLS} are allowed")));
    }
    if !axes.iter().any(|(name, _)| name == "model") {
        return Err(Error::usage("the matrix names no model, so it has no cell").hint("add `model = [\"gc-d\"]` under [matrix]"));
    }
    let mut assignments = vec![Assignment::new()];
    for (name, values) in axes {
        assignments = assignments
            .into_iter()
            .flat_map(|assignment| {
                values.iter().map(move |value| {
                    let mut extended = assignment.clone();
                    extended.insert(name.clone(), value.clone());
                    extended
                })
            })
            .collect();
    }
    assignments.into_iter().map(cell).collect()
}

fn cell(assignment: Assignment) -> Result<Cell> {
    let name = |axis: &str| match assignment.get(axis) {
        None => Ok(None),
        Some(toml::Value::String(name)) => Ok(Some(name.clone())),
        Some(other) => Err(Error::usage(format!("the matrix's `{axis}` has {other}, the name of a recipe is expected"))),
    };
    Ok(Cell {
        model: name("model")?.unwrap_or_default(),
        extraction: name("extraction")?,
        head: name("head")?.unwrap_or_else(|| DEFAULT_HEAD.to_string()),
        assignment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes_of(text: &str, arguments: &[&str]) -> Result<Axes> {
        let matrix: toml::Table = text.parse().unwrap();
        let library = Library::default();
        let outer: Vec<Override> = arguments.iter().map(|argument| overrides::from_argument(argument).unwrap()).collect();
        axes(&matrix, &library.aim(&outer)?)
    }

    const MATRIX: &str = "model = [\"a\", \"b\"]\nextraction = [\"l-fe\"]\n\"extraction.roi_threshold\" = [0.1, 0.3]";

    #[test]
    fn a_matrix_is_every_combination() {
        let cells = expand(&axes_of(MATRIX, &[]).unwrap()).unwrap();
        assert_eq!(cells.len(), 4);
        assert_eq!((cells[0].model.as_str(), cells[3].model.as_str()), ("a", "b"));
    }

    #[test]
    fn an_override_of_a_swept_value_replaces_its_axis() {
        let found = axes_of(MATRIX, &["extraction.roi_threshold=0.2"]).unwrap();
        assert_eq!(expand(&found).unwrap().len(), 2);
        let found = axes_of(MATRIX, &["matrix.model=[\"a\"]"]).unwrap();
        assert_eq!(expand(&found).unwrap().len(), 2);
    }

    #[test]
    fn a_matrix_without_a_cell_is_refused() {
        assert!(axes_of("model = []", &[]).unwrap_err().to_string().contains("no cell"));
        assert!(expand(&axes_of("extraction = [\"l-fe\"]", &[]).unwrap()).is_err());
        assert!(axes_of("modle = [\"a\"]", &[]).unwrap_err().to_string().contains("did you mean `model`?"));
    }
}
