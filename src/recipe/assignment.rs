//! What a cell of a matrix is made of: values by the names of their axes.

use std::collections::BTreeMap;

use super::range::is_range;

/// One value for each axis of a matrix, by the name of the axis.
pub type Assignment = BTreeMap<String, toml::Value>;

/// The values of nested tables, each by its dotted name. A range is a value, although TOML writes
/// it as a table.
pub(super) fn flattened(table: &toml::Table) -> Vec<(String, toml::Value)> {
    let mut leaves = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) if !is_range(inner) => {
                leaves.extend(
                    flattened(inner)
                        .into_iter()
                        .map(|(inner, value)| (format!("{name}.{inner}"), value)),
                );
            }
            leaf => leaves.push((name.clone(), leaf.clone())),
        }
    }
    leaves
}
