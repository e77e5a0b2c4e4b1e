//! One TOML file, checked by itself: a mistake is named with file, line and the nearest key there is.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::schema::RecipeFile;
use crate::error::{AtPath, Error, Result};

/// A file that is well-formed; its values are still TOML, to be merged.
#[derive(Debug, Clone)]
pub struct CheckedFile {
    pub path: PathBuf,
    pub table: toml::Table,
    text: String,
}

impl CheckedFile {
    /// `file:line` of a key, given as the parts of its path below a table; the keys of the file may be dotted themselves.
    pub fn place_of(&self, table: &str, path: &[String]) -> String {
        let wanted: Vec<String> = std::iter::once(table.to_string()).chain(path.iter().cloned()).collect();
        let line = toml::de::DeTable::parse(&self.text).ok().and_then(|document| {
            let start = key_start(document.get_ref(), &wanted)?;
            Some(self.text[..start].matches('\n').count() + 1)
        });
        match line {
            Some(line) => format!("{}:{line}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }
}

/// Where in the text a key starts, found through however many of the wanted parts each key of the file holds.
fn key_start(table: &toml::de::DeTable, wanted: &[String]) -> Option<usize> {
    table.iter().find_map(|(key, value)| {
        let parts: Vec<&str> = key.get_ref().split('.').collect();
        let rest = wanted.strip_prefix(parts.iter().map(|part| part.to_string()).collect::<Vec<_>>().as_slice())?;
        match (rest, value.get_ref()) {
            ([], _) => Some(key.span().start),
            (rest, toml::de::DeValue::Table(inner)) => key_start(inner, rest),
            _ => None,
        }
    })
}

pub fn read(path: &Path) -> Result<CheckedFile> {
    let text = std::fs::read_to_string(path).at_path("read the recipe", path).map_err(Error::as_usage)?;
    parse::<RecipeFile>(path, &text)
}

/// Checks `text` against a type and returns it as a table.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<CheckedFile> {
    let located = |error: toml::de::Error| located(path, text, error.message(), error.span());
    toml::from_str::<T>(text).map_err(located)?;
    let table = text.parse::<toml::Table>().map_err(located)?;
    Ok(CheckedFile { path: path.to_path_buf(), table, text: text.to_string() })
}

fn located(path: &Path, text: &str, message: &str, span: Option<Range<usize>>) -> Error {
    let line = span.map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    explained(message).at(place)
}

/// A message of serde's as a usage error; for an unknown key or variant with the nearest one that is known.
pub fn explained(message: &str) -> Error {
    let message = message.trim().trim_end_matches('.');
    let error = Error::usage(message.lines().collect::<Vec<_>>().join("; "));
    match unknown_name(message) {
        Some((unknown, known)) => match nearest(&unknown, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        },
        None => error,
    }
}

/// From "unknown field `x`, expected one of `a`, `b`": x and what was expected.
fn unknown_name(message: &str) -> Option<(String, Vec<String>)> {
    let start = message.find("unknown field `").or_else(|| message.find("unknown variant `"))?;
    let mut quoted = message[start..].split('`').skip(1).step_by(2).map(String::from);
    let unknown = quoted.next()?;
    Some((unknown, quoted.collect()))
}

/// The name most like `unknown`, if any is like it at all.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.4)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// ", did you mean `x`?" or nothing.
pub fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(unknown, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
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
        let text = "[set]\nextraction.pool = 32\n[matrix]\n\"extraction.roi_threshold\" = [0.1]\nmodel = [\"a\"]\n";
        let checked = parse::<RecipeFile>(Path::new("x.toml"), text).unwrap();
        let place = |table: &str, path: &str| checked.place_of(table, &path.split('.').map(String::from).collect::<Vec<_>>());
        assert_eq!(place("set", "extraction.pool"), "x.toml:2");
        assert_eq!(place("matrix", "extraction.roi_threshold"), "x.toml:4");
        assert_eq!(place("matrix", "head"), "x.toml");
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
