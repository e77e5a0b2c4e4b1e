//! A choice among the cells of a matrix: those that have given values. `[[matrix.exclude]]` and
//! `heads_for` are such choices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::assignment::{Assignment, flattened};
use super::range::number;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;

/// For each axis that it names, the value that a cell must have, or a list of values of which a
/// cell must have one. Axes are named by nested tables or by dotted keys.
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
    /// How many values the filter names.
    pub fn values(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether the cell has one of the filter's values on every axis that the filter names. A
    /// filter that names no axis matches every cell.
    pub fn matches(&self, assignment: &Assignment) -> bool {
        self.0.iter().all(|(name, values)| {
            assignment
                .get(name)
                .is_some_and(|value| values.iter().any(|expected| is_same(value, expected)))
        })
    }

    /// Fails if the filter names an axis or a value that the matrix does not have. `given` are the
    /// matrix's values with their axes. The message begins with `what`, as in "the matrix
    /// excludes".
    pub fn check<'a>(
        &self,
        what: &str,
        given: impl Iterator<Item = (&'a String, &'a toml::Value)> + Clone,
    ) -> Result<()> {
        for (name, values) in &self.0 {
            let of_axis: Vec<&toml::Value> =
                given.clone().filter(|(known, _)| *known == name).map(|(_, value)| value).collect();
            if of_axis.is_empty() {
                let suggestion = did_you_mean(name, given.clone().map(|(name, _)| name.as_str()));
                return Err(Error::usage(format!(
                    "{what} values of `{}`, which the matrix does not sweep{suggestion}",
                    shortened(name)
                )));
            }
            if let Some(unknown) =
                values.iter().find(|value| !of_axis.iter().any(|known| is_same(known, value)))
            {
                let names = of_axis.iter().filter_map(|value| value.as_str());
                let suggestion =
                    unknown.as_str().map(|name| did_you_mean(name, names)).unwrap_or_default();
                let unknown = shortened(unknown);
                return Err(Error::usage(format!(
                    "{what} `{name} = {unknown}`, a value that the matrix does not have{suggestion}"
                )));
            }
        }
        Ok(())
    }
}

/// Whether two values are equal. `1` and `1.0` are the same number.
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
        let filter: CellFilter = "model = 'gc-d'\nextraction.roi_threshold = [0.3, 1]"
            .parse::<toml::Table>()
            .unwrap()
            .into();
        assert!(filter.matches(&assignment("model = 'gc-d'\n'extraction.roi_threshold' = 0.3")));
        assert!(filter.matches(&assignment(
            "model = 'gc-d'\n'extraction.roi_threshold' = 1.0\nextraction = 'sl-fe'"
        )));
        assert!(!filter.matches(&assignment("model = 'gc-a'\n'extraction.roi_threshold' = 0.3")));
        assert!(!filter.matches(&assignment("model = 'gc-d'")));
        assert!(CellFilter::default().matches(&assignment("model = 'gc-d'")));
    }
}
