//! One TOML file, checked by itself. A mistake in it is reported with the file, the line and the
//! known key that is most like an unknown one.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::schema::RecipeFile;
use super::spelling::explained;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::regular_file;

pub use surgcam_engine::suggestion::did_you_mean;

/// The most bytes that a file may have. The longest list that a matrix may have fits in.
const LARGEST_FILE: u64 = 1 << 20;
/// The most bytes that the name of a key may have.
const LONGEST_KEY: usize = 100;
/// The most tables that may lie within each other. No recipe needs half as many.
const DEEPEST_TABLE: usize = 16;

/// A file that is well-formed. Its values are still TOML, because layers are merged later.
#[derive(Debug, Clone)]
pub struct CheckedFile {
    pub path: PathBuf,
    pub table: toml::Table,
    text: String,
    /// Made when somebody first asks for the place of a key.
    keys: OnceLock<Keys>,
}

impl CheckedFile {
    /// The `file:line` of a key. The key is given as the parts of its path below a table, however
    /// the file divides the path into tables and dotted keys.
    pub fn place_of(&self, table: &str, path: &[String]) -> String {
        let keys = self.keys.get_or_init(|| Keys::of(&self.text));
        match keys.line(std::iter::once(table).chain(path.iter().map(String::as_str))) {
            Some(line) => format!("{}:{line}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }
}

/// The lines of a file's keys, by the parts of their paths.
#[derive(Debug, Clone, Default)]
struct Keys {
    /// From the number of a table and a part of a path below it to the number and the line of the
    /// key that this part names. The file itself has the number 0.
    below: HashMap<(usize, String), (usize, usize)>,
}

impl Keys {
    fn of(text: &str) -> Self {
        let mut keys = Keys::default();
        let line_ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end).collect();
        if let Ok(document) = DeTable::parse(text) {
            keys.add(document.get_ref(), 0, &line_ends);
        }
        keys
    }

    fn add(&mut self, table: &DeTable, above: usize, line_ends: &[usize]) {
        for (key, value) in table {
            let line = line_ends.partition_point(|end| *end < key.span().start) + 1;
            let mut number = above;
            for part in key.get_ref().split('.') {
                let next = self.below.len() + 1;
                number = self.below.entry((number, part.to_string())).or_insert((next, line)).0;
            }
            if let toml::de::DeValue::Table(inner) = value.get_ref() {
                self.add(inner, number, line_ends);
            }
        }
    }

    fn line<'a>(&self, path: impl Iterator<Item = &'a str>) -> Option<usize> {
        let mut found = (0, None);
        for part in path {
            let (number, line) = self.below.get(&(found.0, part.to_string()))?;
            found = (*number, Some(*line));
        }
        found.1
    }
}

/// Reads a recipe file or an experiment and checks it by itself.
pub fn read(path: &Path) -> Result<CheckedFile> {
    parse::<RecipeFile>(path, &read_text(path)?)
}

/// The text of a recipe file or of surgcam.toml.
pub fn read_text(path: &Path) -> Result<String> {
    regular_file::read_to_string(path, LARGEST_FILE).map_err(Error::as_usage)
}

/// Checks `text` against a type and returns it as a table.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<CheckedFile> {
    let located = |error: toml::de::Error| located(path, text, error.message(), error.span());
    toml::from_str::<T>(text).map_err(located)?;
    let table = text.parse::<toml::Table>().map_err(located)?;
    check_keys(&table, 1).map_err(|error| error.at_path(path))?;
    Ok(CheckedFile {
        path: path.to_path_buf(),
        table,
        text: text.to_string(),
        keys: OnceLock::new(),
    })
}

/// Refuses keys that are too long or lie too deep. The path of a key holds all keys above it, so a
/// few long or deep keys could make very many long paths.
fn check_keys(table: &toml::Table, depth: usize) -> Result<()> {
    if depth > DEEPEST_TABLE {
        return Err(Error::usage(format!(
            "it has more than {DEEPEST_TABLE} tables within each other"
        )));
    }
    if let Some(key) = table.keys().find(|key| key.len() > LONGEST_KEY) {
        return Err(Error::usage(format!(
            "its key `{}` is longer than {LONGEST_KEY} bytes",
            shortened(key)
        )));
    }
    table.values().try_for_each(|value| check_keys_within(value, depth))
}

fn check_keys_within(value: &toml::Value, depth: usize) -> Result<()> {
    match value {
        toml::Value::Table(inner) => check_keys(inner, depth + 1),
        toml::Value::Array(values) => {
            values.iter().try_for_each(|value| check_keys_within(value, depth))
        }
        _ => Ok(()),
    }
}

fn located(path: &Path, text: &str, message: &str, span: Option<Range<usize>>) -> Error {
    let line = span.map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    explained(message).at(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error_of(text: &str) -> String {
        parse::<RecipeFile>(Path::new("x.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_names_file_line_and_the_nearest_key() {
        let error = error_of("[model.a]\nbackbone = \"resnet18\"\nbatchsize = 3\n");
        assert!(error.starts_with("x.toml:3: unknown field `batchsize`"), "{error}");
        assert!(error.contains("did you mean `batch_size`?"), "{error}");
    }

    #[test]
    fn a_bad_value_names_its_line() {
        let error = error_of("[extraction.x]\nmode = \"l-fe\"\n\nroi_threshold = 1.5\n");
        assert!(error.starts_with("x.toml:4: 1.5 is outside [0, 1)"), "{error}");
        assert!(error_of("[model.a]\nbackbone = \"resnet5\"").contains("did you mean `resnet50`?"));
    }

    #[test]
    fn a_key_is_found_however_it_is_dotted() {
        let text = "[set]\nextraction.pool = 32\n[matrix]\n\"extraction.roi_threshold\" = [0.1]\n\
            model = [\"a\"]\n";
        let checked = parse::<RecipeFile>(Path::new("x.toml"), text).unwrap();
        let place = |table: &str, path: &str| {
            checked.place_of(table, &path.split('.').map(String::from).collect::<Vec<_>>())
        };
        assert_eq!(place("set", "extraction.pool"), "x.toml:2");
        assert_eq!(place("matrix", "extraction.roi_threshold"), "x.toml:4");
        assert_eq!(place("matrix", "head"), "x.toml");
    }

    #[test]
    fn many_keys_are_found_at_once() {
        let keys: String = (0..20_000).map(|number| format!("\"a.b\".k{number} = 1\n")).collect();
        let checked = parse::<RecipeFile>(Path::new("x.toml"), &format!("[set]\n{keys}")).unwrap();
        for number in 0..20_000 {
            let path = ["a", "b", &format!("k{number}")].map(String::from);
            assert_eq!(checked.place_of("set", &path), format!("x.toml:{}", number + 2));
        }
    }

    #[test]
    fn keys_that_would_make_endless_paths_are_refused() {
        assert!(
            error_of(&format!("[set.{}]\nx = 1", "k".repeat(200)))
                .contains("longer than 100 bytes")
        );
        assert!(
            error_of(&format!("[set{}]\nx = 1", ".k".repeat(20))).contains("more than 16 tables")
        );
    }

    #[test]
    fn text_that_is_no_toml_names_its_line() {
        assert!(error_of("[model.a]\nbackbone = \n").starts_with("x.toml:2"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,60}") {
            let _ = parse::<RecipeFile>(Path::new("x"), &text);
        }
    }
}
