//! Overrides of recipes' values: `model.epochs = 2` under `[set]` of an experiment or of
//! surgcam.toml, `SURGCAM_SET__MODEL__EPOCHS=2`, or `--set model.epochs=2`.

use super::file::CheckedFile;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// How the names of variables begin that are overrides.
pub const VARIABLE_PREFIX: &str = "SURGCAM_SET__";
/// The most parts that the path of a key may have. No key of a recipe has half as many.
const MOST_PARTS: usize = 16;

/// The kinds of places that an override can come from. A later kind wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The experiment's own `[set]`.
    Experiment,
    /// A cell of the experiment's matrix.
    Cell,
    /// `[set]` in surgcam.toml.
    Settings,
    /// A `SURGCAM_SET__` variable.
    Variable,
    /// `--set`.
    CommandLine,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// `["model", "epochs"]` or `["model", "gc-a", "epochs"]`.
    pub path: Vec<String>,
    pub value: toml::Value,
    pub rank: Rank,
    /// Where the override was written: `--set ...`, the name of a variable, or a file and its line.
    pub origin: String,
}

impl Override {
    /// The path as it is written, with dots between its parts.
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }
}

/// Reads a TOML value. Text that is not TOML is taken as a string, so that a shell needs no quotes
/// around one. It is a mistake if the text begins like a list or like a quoted string.
fn value_of(text: &str, origin: &str) -> Result<toml::Value> {
    let parsed = format!("value = {text}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    match parsed {
        Some(value) => Ok(value),
        None if text.starts_with(['[', '"', '\'']) => Err(Error::usage(format!(
            "`{}` is not a value of TOML",
            shortened(text)
        ))
        .at(origin)
        .hint(
            "strings in a list keep their quotes: in a shell, put all of it into single ones, as \
             in --set 'matrix.model=[\"gc-a\", \"gc-d\"]'",
        )),
        None => Ok(toml::Value::String(text.to_string())),
    }
}

/// Reads the argument of `--set`, which is `a.b=VALUE`. A part of the path may be quoted, as in
/// TOML.
pub fn from_argument(argument: &str) -> Result<Override> {
    let malformed = |what: &str| {
        Error::usage(format!("`--set {}` has {what}", shortened(argument)))
            .hint("write --set section.key=value, as in --set model.epochs=2")
    };
    let (path, value) = argument.split_once('=').ok_or_else(|| malformed("no value"))?;
    let path = path
        .split('.')
        .map(|part| part.trim().trim_matches(['"', '\'']).to_string())
        .collect::<Vec<_>>();
    if path.iter().any(String::is_empty) {
        return Err(malformed("no key before the `=`, or a part of it is empty"));
    }
    let origin = format!("--set {}", shortened(argument));
    Ok(Override { path, value: value_of(value.trim(), &origin)?, rank: Rank::CommandLine, origin })
}

/// Reads every variable `SURGCAM_SET__A__B=VALUE`, sorted by its name. The name of a recipe is
/// found whatever its case is, and `_` may stand for `-` in it.
pub fn from_variables(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>> {
    let mut overrides: Vec<Override> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let path =
                name.strip_prefix(VARIABLE_PREFIX)?.split("__").map(str::to_lowercase).collect();
            Some(value_of(&value, &name).map(|value| Override {
                path,
                value,
                rank: Rank::Variable,
                origin: name.clone(),
            }))
        })
        .collect::<Result<_>>()?;
    overrides.sort_by(|a, b| a.origin.cmp(&b.origin));
    Ok(overrides)
}

/// Reads the `[set]` table of a file: one override for each value in it and in its inner tables.
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

/// Calls `found` for each value that is not a table, with its path. `present = { above = 0.5 }`
/// becomes `present.above`, which is merged in the same way. A key that is a dotted path itself, as
/// in `"extraction.pool"`, is split.
fn flatten(
    table: &toml::Table,
    prefix: &mut Vec<String>,
    found: &mut impl FnMut(&[String], &toml::Value) -> Result<()>,
) -> Result<()> {
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

/// Refuses a path with too many parts. Each part becomes a table within the table before it, and
/// the stack cannot hold tables that lie too deep.
pub(super) fn check_length(path: &[String], origin: &str) -> Result<()> {
    if path.len() <= MOST_PARTS {
        return Ok(());
    }
    Err(Error::usage(format!(
        "the key `{}` has more than {MOST_PARTS} parts",
        shortened(path.join("."))
    ))
    .at(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml_and_bare_words_are_strings() {
        assert_eq!(from_argument("model.epochs=2").unwrap().value, toml::Value::Integer(2));
        assert_eq!(
            from_argument("model.init=random").unwrap().value,
            toml::Value::String("random".into())
        );
        assert!(from_argument("data.x.train=[1, 2]").unwrap().value.is_array());
        assert!(from_argument("data.x.frames={sequence}/{frame}.png").unwrap().value.is_str());
        for (argument, expected) in [
            ("model.epochs", "has no value"),
            ("=3", "has no key"),
            ("model..epochs=3", "a part of it is empty"),
            ("matrix.model=[gc-a]", "`[gc-a]` is not a value of TOML"),
            ("data.x.train=[1, 2", "`[1, 2` is not a value of TOML"),
            ("model.init='random", "is not a value of TOML"),
        ] {
            let error = from_argument(argument).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("hint: "), "{argument}: {error}");
        }
    }

    #[test]
    fn variables_give_paths() {
        let found = from_variables([
            ("SURGCAM_SET__MODEL__EPOCHS".to_string(), "3".to_string()),
            ("HOME".into(), "/".into()),
        ])
        .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].dotted(), "model.epochs");
    }
}
