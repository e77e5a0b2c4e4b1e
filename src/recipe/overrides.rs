//! Overrides: `model.epochs = 2`, from surgcam.toml's `[set]`, `SURGCAM_SET__MODEL__EPOCHS`, or `--set model.epochs=2`.

use super::file::{CheckedFile, did_you_mean};
use super::schema::{ExperimentRecipe, Section};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

pub const VARIABLE_PREFIX: &str = "SURGCAM_SET__";
/// Of a key's path. No key of a recipe has half as many.
const MOST_PARTS: usize = 16;

/// The kinds of places that an override comes from, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The experiment's own `[set]`.
    Experiment,
    /// A cell of its matrix.
    Cell,
    /// surgcam.toml.
    Settings,
    Variable,
    CommandLine,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// `["model", "epochs"]` or `["model", "gc-a", "epochs"]`.
    pub path: Vec<String>,
    pub value: toml::Value,
    pub rank: Rank,
    /// Where it was said: `--set ...`, a variable's name, a file and its line.
    pub origin: String,
}

impl Override {
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }
}

/// A TOML value; text that is none is taken as a string, so that quotes can be left out in a shell. A list that is none is a mistake.
fn value_of(text: &str, origin: &str) -> Result<toml::Value> {
    let parsed = format!("value = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
    match parsed {
        Some(value) => Ok(value),
        None if text.starts_with(['[', '"', '\'']) => Err(Error::usage(format!("`{}` is no value of TOML", shortened(text)))
            .at(origin)
            .hint("strings in a list keep their quotes: in a shell, put all of it into single ones, as in --set 'matrix.model=[\"gc-a\", \"gc-d\"]'")),
        None => Ok(toml::Value::String(text.to_string())),
    }
}

/// `a.b=VALUE`; a part of the path may be quoted, as in TOML.
pub fn from_argument(argument: &str) -> Result<Override> {
    let malformed = |what: &str| {
        Error::usage(format!("`--set {}` has {what}", shortened(argument)))
            .hint("write --set section.key=value, as in --set model.epochs=2")
    };
    let (path, value) = argument.split_once('=').ok_or_else(|| malformed("no value"))?;
    let path = path.split('.').map(|part| part.trim().trim_matches(['"', '\'']).to_string()).collect::<Vec<_>>();
    if path.iter().any(String::is_empty) {
        return Err(malformed("no key before the `=`, or a part of it is empty"));
    }
    let origin = format!("--set {}", shortened(argument));
    Ok(Override { path, value: value_of(value.trim(), &origin)?, rank: Rank::CommandLine, origin })
}

/// Every `SURGCAM_SET__A__B=VALUE`, sorted by name; names of recipes are found whatever their case and with `_` for `-`.
pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Vec<Override>> {
    let mut overrides: Vec<Override> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let path = name.strip_prefix(VARIABLE_PREFIX)?.split("__").map(str::to_lowercase).collect();
            Some(value_of(&value, &name).map(|value| Override { path, value, rank: Rank::Variable, origin: name.clone() }))
        })
        .collect::<Result<_>>()?;
    overrides.sort_by(|a, b| a.origin.cmp(&b.origin));
    Ok(overrides)
}

/// A file's `[set]` table, flattened as far as it has tables that are not values.
pub fn from_set(file: &CheckedFile, rank: Rank) -> Result<Vec<Override>> {
    let mut overrides = Vec::new();
    if let Some(toml::Value::Table(table)) = file.table.get("set") {
        flatten(table, &mut Vec::new(), &mut |path: &[String], value: &toml::Value| {
            let origin = file.place_of("set", path);
            check_length(path, &origin)?;
            overrides.push(Override { path: path.to_vec(), value: value.clone(), rank, origin });
            Ok(())
        })?;
    }
    Ok(overrides)
}

/// Calls `found` for each leaf. `present = { above = 0.5 }` comes out as `present.above`, which merges to the same. A key that
/// is a dotted path itself (`"extraction.pool"`) is split.
fn flatten(table: &toml::Table, prefix: &mut Vec<String>, found: &mut impl FnMut(&[String], &toml::Value) -> Result<()>) -> Result<()> {
    for (key, value) in table {
        let depth = prefix.len();
        prefix.extend(key.split('.').map(String::from));
        match value {
            toml::Value::Table(inner) => flatten(inner, prefix, found)?,
            leaf => found(prefix, leaf)?,
        }
        prefix.truncate(depth);
    }
    Ok(())
}

/// Each part becomes a table in the one before, and tables that lie too deep in each other are more than a stack can hold.
fn check_length(path: &[String], origin: &str) -> Result<()> {
    if path.len() <= MOST_PARTS {
        return Ok(());
    }
    Err(Error::usage(format!("the key `{}` has more than {MOST_PARTS} parts", shortened(path.join(".")))).at(origin))
}

/// What an override is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A key of `[experiment]`.
    Experiment { key: Vec<String> },
    /// An axis of the matrix, by its dotted name.
    Axis { name: String },
    /// A key of every recipe of a section.
    Every { section: Section, key: Vec<String> },
    /// A key of one recipe.
    One { section: Section, recipe: String, key: Vec<String> },
}

/// Finds what the path means among the recipes that there are; `names(section)` lists them.
pub fn target(path: &[String], origin: &str, names: impl Fn(Section) -> Vec<String>) -> Result<Target> {
    check_length(path, origin)?;
    let unknown = |what: String| Error::usage(what).at(origin);
    let (first, rest) = path.split_first().ok_or_else(|| unknown("an override without a path".into()))?;
    match first.as_str() {
        "experiment" => {
            let known = || ExperimentRecipe::KEYS.iter().map(|(name, _)| *name);
            match rest.first() {
                Some(key) if known().any(|name| name == key) => Ok(Target::Experiment { key: rest.to_vec() }),
                Some(key) => Err(unknown(format!("`experiment` has no key `{}`{}", shortened(key), did_you_mean(key, known())))),
                None => Err(unknown("`experiment` is a section; name one of its keys, as in experiment.name".into())),
            }
        }
        "matrix" if rest.is_empty() => Err(unknown("`matrix` is a section; name one of its axes, as in matrix.model".into())
            .hint("write --set 'matrix.model=[\"gc-a\", \"gc-d\"]'")),
        "matrix" => Ok(Target::Axis { name: rest.join(".") }),
        _ => {
            let Some(section) = Section::named(first) else {
                let sections = Section::ALL.map(Section::name).into_iter().chain(["experiment", "matrix"]);
                let suggestion = did_you_mean(first, sections);
                return Err(unknown(format!("`{}` starts with no section of a recipe{suggestion}", shortened(path.join(".")))));
            };
            section_target(section, rest, names(section)).map_err(unknown)
        }
    }
}

fn section_target(section: Section, rest: &[String], names: Vec<String>) -> std::result::Result<Target, String> {
    let Some((first, deeper)) = rest.split_first() else {
        return Err(format!("`{}` is a section; name one of its keys", section.name()));
    };
    if section.has_key(first) {
        return Ok(Target::Every { section, key: rest.to_vec() });
    }
    let same = |name: &&String| name.to_lowercase().replace('-', "_") == first.to_lowercase().replace('-', "_");
    if let Some(recipe) = names.iter().find(same) {
        return match deeper.first() {
            Some(key) if section.has_key(key) => Ok(Target::One { section, recipe: recipe.clone(), key: deeper.to_vec() }),
            Some(key) => {
                let suggestion = did_you_mean(key, section.keys().iter().map(|(name, _)| *name));
                Err(format!("`{}.{recipe}` has no key `{}`{suggestion}", section.name(), shortened(key)))
            }
            None => Err(format!("`{}.{recipe}` is a recipe; name one of its keys", section.name())),
        };
    }
    let known = section.keys().iter().map(|(name, _)| *name).chain(names.iter().map(String::as_str));
    Err(format!("`{}` has neither a key nor a recipe `{}`{}", section.name(), shortened(first), did_you_mean(first, known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(section: Section) -> Vec<String> {
        if section == Section::Model { vec!["gc-a".into()] } else { Vec::new() }
    }

    fn target_of(argument: &str) -> Result<Target> {
        let found = from_argument(argument)?;
        target(&found.path, &found.origin, names)
    }

    #[test]
    fn values_are_toml_and_bare_words_are_strings() {
        assert_eq!(from_argument("model.epochs=2").unwrap().value, toml::Value::Integer(2));
        assert_eq!(from_argument("model.init=random").unwrap().value, toml::Value::String("random".into()));
        assert!(from_argument("data.x.train=[1, 2]").unwrap().value.is_array());
        assert!(from_argument("data.x.frames={sequence}/{frame}.png").unwrap().value.is_str());
        for (argument, expected) in [
            ("model.epochs", "has no value"),
            ("=3", "has no key"),
            ("model..epochs=3", "a part of it is empty"),
            ("matrix.model=[gc-a]", "`[gc-a]` is no value of TOML"),
            ("data.x.train=[1, 2", "`[1, 2` is no value of TOML"),
            ("model.init='random", "is no value of TOML"),
        ] {
            let error = from_argument(argument).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("hint: "), "{argument}: {error}");
        }
    }

    #[test]
    fn a_path_means_every_recipe_or_one() {
        let Target::Every { key, .. } = target_of("model.epochs=2").unwrap() else { panic!("every model") };
        assert_eq!(key, ["epochs"]);
        let Target::One { recipe, .. } = target_of("model.GC_A.epochs=2").unwrap() else { panic!("one model") };
        assert_eq!(recipe, "gc-a");
    }

    #[test]
    fn a_path_that_means_nothing_suggests_what_was_meant() {
        for (argument, suggestion) in [
            ("modle.epochs=2", "did you mean `model`?"),
            ("model.epoch=2", "did you mean `epochs`?"),
            ("model.gc-a.epoch=2", "did you mean `epochs`?"),
            ("model.gc-b.epochs=2", "did you mean `gc-a`?"),
            ("experiment.table=2", "did you mean `tables`?"),
            ("matrix=2", "name one of its axes"),
            ("experiment=2", "name one of its keys"),
        ] {
            let error = target_of(argument).unwrap_err().to_string();
            assert!(error.contains(suggestion), "{argument}: {error}");
        }
    }

    #[test]
    fn a_path_without_an_end_is_refused() {
        let error = target_of(&format!("model.epochs{}=1", ".a".repeat(100_000))).unwrap_err().to_string();
        assert!(error.contains("more than 16 parts") && error.len() < 1000, "{error}");
    }

    #[test]
    fn variables_give_paths() {
        let found = from_variables([("SURGCAM_SET__MODEL__EPOCHS".to_string(), "3".to_string()), ("HOME".into(), "/".into())]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].dotted(), "model.epochs");
    }
}
