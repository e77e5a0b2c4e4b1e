//! Which cells of a matrix are meant: those with given values, as `[[matrix.exclude]]` and `heads_for` have them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::did_you_mean;
use super::matrix::{Assignment, flattened};
use super::range::number;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// Axis -> value, or a list of which a cell has one. Axes may be nested tables or dotted names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "toml::Table", into = "toml::Table")]
#[schemars(with = "BTreeMap<String, serde_json::Value>")]
pub struct CellFilter(BTreeMap<String, Vec<toml::Value>>);

impl From<toml::Table> for CellFilter {
    fn from(table: toml::Table) -> Self {
        let values = flattened(&table).into_iter().map(|(name, value)| match value {
            toml::Value::Array(values) => (name, values),
            one => (name, vec![one]),
        });
        CellFilter(values.collect())
    }
}

impl From<CellFilter> for toml::Table {
    fn from(filter: CellFilter) -> toml::Table {
        filter.0.into_iter().map(|(name, values)| (name, toml::Value::Array(values))).collect()
    }
}

impl CellFilter {
    /// How many it names.
    pub fn values(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether the cell has, of every axis named here, one of the values. A filter that names none matches every cell.
    pub fn matches(&self, assignment: &Assignment) -> bool {
        self.0.iter().all(|(name, values)| assignment.get(name).is_some_and(|value| values.iter().any(|expected| is_same(value, expected))))
    }

    /// Fails for an axis, or a value of one, that is not among those that the matrix gives; `what` names the place in the message:
    /// "the matrix excludes".
    pub fn check<'a>(&self, what: &str, given: impl Iterator<Item = (&'a String, &'a toml::Value)> + Clone) -> Result<()> {
        for (name, values) in &self.0 {
            let of_axis: Vec<&toml::Value> = given.clone().filter(|(known, _)| *known == name).map(|(_, value)| value).collect();
            if of_axis.is_empty() {
                let suggestion = did_you_mean(name, given.clone().map(|(name, _)| name.as_str()));
                return Err(Error::usage(format!("{what} values of `{}`, which the matrix does not sweep{suggestion}", shortened(name))));
            }
            if let Some(unknown) = values.iter().find(|value| !of_axis.iter().any(|known| is_same(known, value))) {
                let names = of_axis.iter().filter_map(|value| value.as_str());
                let suggestion = unknown.as_str().map(|name| did_you_mean(name, names)).unwrap_or_default();
                let unknown = shortened(unknown);
                return Err(Error::usage(format!("{what} `{name} = {unknown}`, a value that the matrix does not have{suggestion}")));
            }
        }
        Ok(())
    }
}

/// `1` and `1.0` are the same number.
fn is_same(a: &toml::Value, b: &toml::Value) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(text: &str) -> Assignment {
        text.parse::<toml::Table>().unwrap().into_iter().collect()
    }

    #[test]
    fn a_filter_wants_one_value_of_every_axis_that_it_names() {
        let filter: CellFilter = "model = 'gc-d'\nextraction.roi_threshold = [0.3, 1]".parse::<toml::Table>().unwrap().into();
        assert!(filter.matches(&assignment("model = 'gc-d'\n'extraction.roi_threshold' = 0.3")));
        assert!(filter.matches(&assignment("model = 'gc-d'\n'extraction.roi_threshold' = 1.0\nextraction = 'sl-fe'")));
        assert!(!filter.matches(&assignment("model = 'gc-a'\n'extraction.roi_threshold' = 0.3")));
        assert!(!filter.matches(&assignment("model = 'gc-d'")));
        assert!(CellFilter::default().matches(&assignment("model = 'gc-d'")));
    }
}
