//! One axis of a matrix: the values that its cells differ in.

use super::assignment::{Assignment, flattened};
use super::range::{self, is_range, range_values};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// A matrix with more cells than this is a mistake. Each value of a range is in a cell of its own.
pub(super) const MOST_CELLS: usize = range::MOST_VALUES;
/// The most values that all axes together may have. A matrix with more has too many cells.
const MOST_VALUES: usize = 2 * MOST_CELLS;
/// The name of the axis of named cases.
pub const CASE: &str = "case";

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    /// The columns of a table in which the points of this axis differ.
    pub(super) names: Vec<String>,
    pub(super) points: Vec<Assignment>,
}

impl Axis {
    /// The axis of one key that has these values.
    pub(super) fn list(name: String, values: Vec<toml::Value>) -> Self {
        let points =
            values.into_iter().map(|value| Assignment::from([(name.clone(), value)])).collect();
        Axis { names: vec![name], points }
    }

    /// Reads a `[[matrix.zip]]`: lists of one length whose values change together.
    pub(super) fn zipped(table: &toml::Table, room: &mut Room) -> Result<Axis> {
        if table.is_empty() {
            return Err(Error::usage("a [[matrix.zip]] names nothing that turns")
                .hint("write its keys below, each with a list, or take it out"));
        }
        let lists = flattened(table)
            .into_iter()
            .map(|(name, value)| Ok((values(&name, &value, room)?, name)))
            .collect::<Result<Vec<_>>>()?;
        let length = lists.first().map_or(0, |(values, _)| values.len());
        if let Some((values, name)) = lists.iter().find(|(values, _)| values.len() != length) {
            return Err(Error::usage(format!(
                "lists of a zip turn together, but `{}` has {length} values and `{name}` {}",
                lists[0].1,
                values.len()
            )));
        }
        let point = |position: usize| {
            lists.iter().map(|(values, name)| (name.clone(), values[position].clone())).collect()
        };
        Ok(Axis {
            names: lists.iter().map(|(_, name)| name.clone()).collect(),
            points: (0..length).map(point).collect(),
        })
    }

    /// Reads `[matrix.cases]`: sets of values, each with a name.
    pub(super) fn named_cases(cases: &toml::Value) -> Result<Axis> {
        let wrong = || {
            Error::usage("the matrix's `cases` are not tables")
                .hint("write [matrix.cases.NAME] and its values below")
        };
        let mut points = Vec::new();
        for (name, values) in cases.as_table().ok_or_else(wrong)? {
            let mut point: Assignment =
                flattened(values.as_table().ok_or_else(wrong)?).into_iter().collect();
            point.insert(CASE.into(), toml::Value::String(name.clone()));
            points.push(point);
        }
        Ok(Axis { names: vec![CASE.into()], points })
    }

    /// Whether a point of this axis has a value of this name.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.points.iter().any(|point| point.contains_key(name))
    }
}

/// How many values may still be added to the axes of a matrix.
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Room(MOST_VALUES)
    }
}

impl Room {
    fn take(&mut self, values: usize) -> Result<()> {
        self.0 = self.0.checked_sub(values).ok_or_else(|| {
            Error::usage(format!(
                "the axes of the matrix have more than {MOST_VALUES} values together"
            ))
            .hint(format!("sweep fewer values at once: a matrix has at most {MOST_CELLS} cells"))
        })?;
        Ok(())
    }
}

/// The values of an axis: a list as it is written, or the list that a range stands for.
pub(super) fn values(name: &str, value: &toml::Value, room: &mut Room) -> Result<Vec<toml::Value>> {
    let values = match value {
        toml::Value::Array(values) => values.clone(),
        toml::Value::Table(range) if is_range(range) => range_values(name, range)?,
        other => {
            return Err(Error::usage(format!(
                "the matrix's `{name}` is {}, a list or a range is expected",
                shortened(other)
            ))
            .hint(format!(
                "write {name} = [...], or {name} = {{ from = 0.1, to = 0.9, step = 0.1 }}"
            )));
        }
    };
    room.take(values.len())?;
    Ok(values)
}
