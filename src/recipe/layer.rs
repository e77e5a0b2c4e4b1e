//! A layer of values that a recipe is merged from, and the mistakes that merging finds.

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use serde::Serialize;

use super::spelling;
use surgcam_engine::error::{Error, Result};

/// The origin of a default.
pub(super) const BUILT_IN: &str = "built-in";

/// A table of values and the place that it comes from.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) origin: String,
    pub(super) table: toml::Table,
}

impl Layer {
    /// The lowest layer, which holds the defaults. A message about it calls it "the defaults of
    /// `what`".
    pub(super) fn of_defaults(defaults: &impl Serialize, what: &str) -> Result<Self> {
        let table = toml::Table::try_from(defaults).map_err(|error| {
            Error::failure(format!("the defaults of {what} are not TOML: {error}"))
        })?;
        Ok(Layer { origin: BUILT_IN.into(), table })
    }

    /// A layer that holds a single value. `key` are the parts of its path.
    pub(super) fn of_value(origin: &str, key: &[String], value: &toml::Value) -> Self {
        let Some((first, deeper)) = key.split_first() else {
            return Layer { origin: origin.into(), table: toml::Table::new() };
        };
        let within = |value, part: &String| {
            toml::Value::Table(toml::Table::from_iter([(part.clone(), value)]))
        };
        let value = deeper.iter().rev().fold(value.clone(), within);
        Layer { origin: origin.into(), table: toml::Table::from_iter([(first.clone(), value)]) }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        let dict = Value::serialize(&self.table)?.into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// Makes an error of a mistake in a merged value. It names the layer that the value comes from and
/// the whole path of the key, which begins with the parts in `above`.
pub(super) fn explained(error: figment::Error, above: &[&str]) -> Error {
    let path: Vec<&str> =
        above.iter().copied().chain(error.path.iter().map(String::as_str)).collect();
    let explained = spelling::explained(&format!("{} (in `{}`)", error.kind, path.join(".")));
    match &error.metadata {
        Some(metadata) => explained.at(metadata.name.as_ref()),
        None => explained,
    }
}
