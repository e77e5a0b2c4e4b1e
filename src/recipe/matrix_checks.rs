//! What a matrix must satisfy before its cells are made.

use std::collections::HashSet;

use super::assignment::Assignment;
use super::axis::{CASE, MOST_CELLS};
use super::cell_filter::CellFilter;
use super::matrix::{Matrix, NAMING};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;

/// A matrix with more axes than this is a mistake.
const MOST_AXES: usize = 100;
/// The most values that all cells together may have, because all of them are held in memory.
const MOST_ASSIGNED: usize = 20 * MOST_CELLS;
/// The most values that filters may name, because each cell is compared with each of them.
const MOST_FILTERED: usize = 5_000;

impl Matrix {
    /// Fails if the filter names cells that the matrix cannot have. The message begins with `what`,
    /// as in "the matrix excludes".
    pub fn check_filter(&self, filter: &CellFilter, what: &str) -> Result<()> {
        if filter.values() > MOST_FILTERED {
            return Err(Error::usage(format!("{what} more than {MOST_FILTERED} values")));
        }
        // The filter may name values that an override has replaced.
        filter.check(
            what,
            self.written.iter().chain(&self.axes).flat_map(|axis| &axis.points).flatten(),
        )
    }

    /// Fails if the matrix has too many cells. This is counted before the combinations are made.
    pub(super) fn check_size(&self) -> Result<()> {
        let cells =
            self.axes.iter().fold(1_usize, |cells, axis| cells.saturating_mul(axis.points.len()));
        let of_a_cell: usize = self
            .axes
            .iter()
            .map(|axis| axis.points.iter().map(Assignment::len).max().unwrap_or(0))
            .sum();
        let too_many = |what: String| {
            Err(Error::usage(format!("the matrix has more than {what}"))
                .hint("sweep fewer values at once; cells that are excluded count, too"))
        };
        if cells > MOST_CELLS {
            return too_many(format!("{MOST_CELLS} cells"));
        }
        if self.axes.len() > MOST_AXES {
            return too_many(format!("{MOST_AXES} axes"));
        }
        if cells.saturating_mul(of_a_cell) > MOST_ASSIGNED {
            return too_many(format!("{MOST_ASSIGNED} values in all its cells together"));
        }
        Ok(())
    }

    /// Fails for axes and excludes that cannot be meant as they are written.
    pub(super) fn check(&self) -> Result<()> {
        for axis in &self.axes {
            if axis.points.is_empty() {
                let what = if axis.names == [CASE] {
                    "`cases` name none".into()
                } else {
                    format!("`{}` is an empty list", axis.names.join("`, `"))
                };
                return Err(Error::usage(format!("the matrix has no cell: its {what}")));
            }
        }
        for name in self.assigned_names() {
            if !name.contains('.') && !NAMING.contains(&name.as_str()) && name != CASE {
                let suggestion = did_you_mean(name, NAMING);
                return Err(Error::usage(format!(
                    "the matrix has an axis `{}`{suggestion}",
                    shortened(name)
                ))
                .hint(
                    "an axis is model, extraction, head, or a dotted key such as \
                     \"extraction.roi_threshold\"",
                ));
            }
        }
        if self.excludes.iter().map(CellFilter::values).sum::<usize>() > MOST_FILTERED {
            return Err(Error::usage(format!(
                "the matrix excludes more than {MOST_FILTERED} values"
            )));
        }
        for exclude in &self.excludes {
            if *exclude == CellFilter::default() {
                return Err(Error::usage(
                    "a [[matrix.exclude]] names no value, so it would leave no cell",
                )
                .hint(
                    "write the values of the cells that it leaves out below it, or take it out",
                ));
            }
            self.check_filter(exclude, "the matrix excludes")?;
        }
        for (position, axis) in self.axes.iter().enumerate() {
            for name in axis.points.iter().flat_map(Assignment::keys) {
                if self.axes[..position].iter().any(|earlier| earlier.sets(name)) {
                    return Err(Error::usage(format!(
                        "the matrix gives values of `{name}` in two places"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Fails for a list that names a value twice, because its cells would be there twice.
pub(super) fn no_value_twice(name: &str, values: &[toml::Value]) -> Result<()> {
    let mut seen = HashSet::new();
    match values.iter().find(|value| !seen.insert(value.to_string())) {
        None => Ok(()),
        Some(twice) => {
            Err(Error::usage(format!("the matrix has `{name} = {}` twice", shortened(twice))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignments(text: &str) -> Result<Vec<Assignment>> {
        Matrix::new(&text.parse::<toml::Table>().unwrap(), &[])?.assignments()
    }

    /// Nine axes, each with a range from 1.
    fn nine_axes(to: &str, step: &str) -> String {
        let axis = |number: usize| {
            format!("\"head.h{number}.epochs\" = {{ from = 1, to = {to}, step = {step} }}\n")
        };
        (1..=9).map(axis).collect()
    }

    #[test]
    fn mistakes_in_a_matrix_are_named() {
        for (text, expected) in [
            ("model = []", "no cell"),
            ("modle = [\"a\"]", "did you mean `model`?"),
            ("model = \"a\"", "a list or a range is expected"),
            ("\"model.epochs\" = { from = 1, to = 3 }", "needs one of `step` and `count`"),
            ("\"model.epochs\" = { from = 3, to = 1, step = 1 }", "never gets from"),
            ("\"model.epochs\" = { from = 1, to = 3, stop = 1 }", "has a key `stop`"),
            (
                "[[zip]]\n\"model.epochs\" = [1, 2]\n\"model.seed\" = [1]",
                "`model.epochs` has 2 values and `model.seed` 1",
            ),
            ("model = [\"a\"]\n[[exclude]]\nextraction = \"x\"", "which the matrix does not sweep"),
            (
                "model = [\"gc-a\", \"gc-b\"]\n[[exclude]]\nmodel = \"gc-c\"",
                "`model = \"gc-c\"`, a value that the matrix does not have",
            ),
            ("model = [\"a\", \"b\", \"a\"]", "`model = \"a\"` twice"),
            ("model = [\"a\"]\n[[exclude]]\nmodel = \"a\"", "its excludes leave none"),
            ("model = [\"a\"]\n[[zip]]\nmodel = [\"b\"]", "in two places"),
            ("\"model.epochs\" = { from = 0, to = 1000000, step = 1 }", "more than 100000 values"),
            ("\"model.epochs\" = { from = 1, to = 3, step = 0 }", "never gets from"),
            ("\"model.epochs\" = { from = 1, to = 3, step = -1 }", "never gets from"),
            (
                "\"model.epochs\" = { from = 0, to = 1, count = 1000000000 }",
                "more than 100000 values",
            ),
            (
                "\"model.epochs\" = { from = 0, to = 1e308, step = 1e-308 }",
                "more than 100000 values",
            ),
            (
                "\"model.epochs\" = { from = -1e308, to = 1e308, count = 3 }",
                "ends that are too far apart",
            ),
            (
                "\"model.epochs\" = { from = 0, to = 1, count = 1 }",
                "not a whole number of at least 2",
            ),
            ("\"model.epochs\" = { from = 1, to = 1, count = 3 }", "the same value twice"),
            ("\"model.epochs\" = { from = 0, to = inf, step = 1 }", "a `to` that is not a number"),
            ("\"model.epochs\" = { from = 0, to = nan, count = 3 }", "a `to` that is not a number"),
            ("\"model.epochs\" = { from = 0, step = 1 }", "no `from` or no `to`"),
            (
                "\"model.seed\" = { from = 9007199254740993, to = 9007199254740995, step = 1 }",
                "too large to count with",
            ),
            ("[[zip]]", "names nothing that turns"),
            (
                "[[zip]]\n\"model.epochs\" = []\n\"model.seed\" = []",
                "`model.epochs`, `model.seed` is an empty list",
            ),
            ("[cases]", "`cases` name none"),
            ("model = [\"a\"]\n[[exclude]]", "names no value"),
            (
                "\"model.epochs\" = { from = 1, to = 1000, step = 1 }\n\
                 \"model.seed\" = { from = 1, to = 1000, step = 1 }",
                "more than 100000 cells",
            ),
            (nine_axes("10", "1").as_str(), "more than 100000 cells"),
            (nine_axes("90000", "1").as_str(), "more than 200000 values together"),
            (
                format!("[[zip]]\n{}", nine_axes("9", "1e-4")).as_str(),
                "more than 200000 values together",
            ),
        ] {
            let error = assignments(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
