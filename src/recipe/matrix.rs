//! The matrix of an experiment: its axes, expanded into every combination before anything runs.
//!
//! ```toml
//! [matrix]
//! model = ["gc-a", "gc-d"]               # a list
//! # A range, to which both ends belong:
//! "extraction.roi_threshold" = { from = 0.1, to = 0.9, step = 0.1 }
//! [[matrix.zip]]                         # lists that turn together
//! "model.epochs" = [10, 20]
//! "model.learning_rate" = [0.1, 0.05]
//! [[matrix.exclude]]                     # cells with all of these values are left out
//! model = "gc-a"
//! "extraction.roi_threshold" = [0.8, 0.9]
//! [matrix.cases.small]                   # named sets of values, one cell for each
//! "model.backbone" = "resnet18"
//! ```

use std::collections::HashSet;

use super::assignment::flattened;
use super::axis::{Axis, MOST_CELLS, Room, values};
use super::cell_filter::CellFilter;
use super::target::{AimedOverride, Target};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;

pub use super::assignment::Assignment;
pub use super::axis::CASE;

/// A matrix with more axes than this is a mistake.
const MOST_AXES: usize = 100;
/// The most values that all cells together may have, because all of them are held in memory.
const MOST_ASSIGNED: usize = 20 * MOST_CELLS;
/// The most values that filters may name, because each cell is compared with each of them.
const MOST_FILTERED: usize = 5_000;
/// The axes that name a recipe. They are the first columns of a table, in this order.
const NAMING: [&str; 3] = ["model", "extraction", "head"];

/// The axes of an experiment and the cells that it leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    axes: Vec<Axis>,
    /// A cell that matches one of these is left out.
    excludes: Vec<CellFilter>,
    /// The axes as the file gives them, before outer overrides change them.
    written: Vec<Axis>,
}

impl Matrix {
    /// Reads `[matrix]`. An outer override of a swept key replaces all values that the matrix gives
    /// to this key.
    pub fn new(table: &toml::Table, outer: &[AimedOverride]) -> Result<Self> {
        let mut matrix = Matrix { axes: Vec::new(), excludes: Vec::new(), written: Vec::new() };
        let mut lists = table.clone();
        let zips = lists.remove("zip");
        let excludes = lists.remove("exclude");
        let cases = lists.remove("cases");
        let mut room = Room::default();
        for (name, value) in flattened(&lists) {
            let values = values(&name, &value, &mut room)?;
            no_value_twice(&name, &values)?;
            matrix.axes.push(Axis::list(name, values));
        }
        for zip in tables("zip", zips.as_ref())? {
            matrix.axes.push(Axis::zipped(zip, &mut room)?);
        }
        matrix.axes.extend(cases.as_ref().map(Axis::named_cases).transpose()?);
        matrix.excludes = filters(excludes.as_ref())?;
        matrix.written = matrix.axes.clone();
        outer.iter().try_for_each(|found| matrix.apply(found, &mut room))?;
        matrix.check_size()?;
        matrix.axes.sort_by_key(|axis| {
            NAMING.iter().position(|naming| axis.names[0] == *naming).unwrap_or(NAMING.len())
        });
        matrix.check()?;
        Ok(matrix)
    }

    /// Adds an axis that changes fastest.
    pub(super) fn with_axis(mut self, axis: Axis) -> Result<Self> {
        self.axes.push(axis);
        self.check_size()?;
        Ok(self)
    }

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

    fn apply(&mut self, found: &AimedOverride, room: &mut Room) -> Result<()> {
        match &found.target {
            Target::Axis { name }
                if ["zip", "cases"].contains(&name.split('.').next().unwrap_or_default()) =>
            {
                Err(Error::usage(format!("matrix.{name} cannot be overridden"))
                    .at(&found.origin)
                    .hint("change it in the experiment's file"))
            }
            Target::Axis { name } if name == "exclude" => {
                self.excludes = filters(Some(&found.value))?;
                Ok(())
            }
            Target::Axis { name } => {
                let values =
                    values(name, &found.value, room).map_err(|error| error.at(&found.origin))?;
                self.axes.retain(|axis| axis.names != [name.as_str()]);
                self.axes.push(Axis::list(name.clone(), values));
                Ok(())
            }
            Target::Every { section, key } => {
                let swept = format!("{}.{}", section.name(), key.join("."));
                for axis in self.axes.iter_mut().filter(|axis| axis.sets(&swept)) {
                    axis.points.iter_mut().for_each(|point| {
                        *point.entry(swept.clone()).or_insert(found.value.clone()) =
                            found.value.clone()
                    });
                    axis.points.dedup();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Fails if the matrix has too many cells. This is counted before the combinations are made.
    fn check_size(&self) -> Result<()> {
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
    fn check(&self) -> Result<()> {
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
                return Err(Error::usage(format!("the matrix has an axis `{}`{suggestion}", shortened(name)))
                    .hint("an axis is model, extraction, head, or a dotted key such as \"extraction.roi_threshold\""));
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

    /// The names of the axes, in the order of the columns of tables.
    pub fn columns(&self) -> Vec<String> {
        self.axes.iter().flat_map(|axis| axis.names.iter().cloned()).collect()
    }

    /// The name of every value that some cell has.
    pub fn assigned_names(&self) -> impl Iterator<Item = &String> + Clone {
        self.axes.iter().flat_map(|axis| axis.points.iter().flat_map(Assignment::keys))
    }

    /// Every combination that is not excluded. The value of the first axis changes most slowly.
    pub fn assignments(&self) -> Result<Vec<Assignment>> {
        let mut assignments = vec![Assignment::new()];
        for axis in &self.axes {
            let extended = |assignment: &Assignment| {
                axis.points
                    .iter()
                    .map(|point| {
                        assignment
                            .iter()
                            .chain(point)
                            .map(|(name, value)| (name.clone(), value.clone()))
                            .collect()
                    })
                    .collect()
            };
            assignments = assignments
                .iter()
                .flat_map(|assignment| -> Vec<Assignment> { extended(assignment) })
                .collect();
        }
        assignments
            .retain(|assignment| !self.excludes.iter().any(|exclude| exclude.matches(assignment)));
        if assignments.is_empty() {
            return Err(Error::usage("the matrix has no cell: its excludes leave none"));
        }
        Ok(assignments)
    }
}

/// Fails for a list that names a value twice, because its cells would be there twice.
fn no_value_twice(name: &str, values: &[toml::Value]) -> Result<()> {
    let mut seen = HashSet::new();
    match values.iter().find(|value| !seen.insert(value.to_string())) {
        None => Ok(()),
        Some(twice) => {
            Err(Error::usage(format!("the matrix has `{name} = {}` twice", shortened(twice))))
        }
    }
}

fn filters(excludes: Option<&toml::Value>) -> Result<Vec<CellFilter>> {
    Ok(tables("exclude", excludes)?.into_iter().cloned().map(CellFilter::from).collect())
}

fn tables<'a>(what: &str, value: Option<&'a toml::Value>) -> Result<Vec<&'a toml::Table>> {
    let wrong = || {
        Error::usage(format!("the matrix's `{what}` is no list of tables"))
            .hint(format!("write [[matrix.{what}]] and its keys below"))
    };
    match value {
        None => Ok(Vec::new()),
        Some(toml::Value::Table(one)) => Ok(vec![one]),
        Some(toml::Value::Array(several)) => {
            several.iter().map(|one| one.as_table().ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::super::overrides::{self, Override};
    use super::*;

    fn matrix(text: &str, arguments: &[&str]) -> Result<Vec<Assignment>> {
        let table: toml::Table = text.parse().unwrap();
        let outer: Vec<Override> =
            arguments.iter().map(|argument| overrides::from_argument(argument).unwrap()).collect();
        Matrix::new(&table, &Library::default().aim(&outer)?)?.assignments()
    }

    fn column(assignments: &[Assignment], name: &str) -> Vec<String> {
        assignments
            .iter()
            .map(|assignment| assignment.get(name).map_or("-".into(), toml::Value::to_string))
            .collect()
    }

    const LISTS: &str = "\"extraction.roi_threshold\" = [0.1, 0.3]\nextraction = [\"l-fe\"]\nmodel = [\"a\", \"b\"]";

    #[test]
    fn a_matrix_is_every_combination_with_the_model_turning_slowest() {
        let cells = matrix(LISTS, &[]).unwrap();
        assert_eq!(column(&cells, "model"), ["\"a\"", "\"a\"", "\"b\"", "\"b\""]);
        assert_eq!(column(&cells, "extraction.roi_threshold"), ["0.1", "0.3", "0.1", "0.3"]);
    }

    #[test]
    fn an_override_of_a_swept_value_replaces_its_axis() {
        assert_eq!(matrix(LISTS, &["extraction.roi_threshold=0.2"]).unwrap().len(), 2);
        assert_eq!(matrix(LISTS, &["matrix.model=[\"a\"]"]).unwrap().len(), 2);
        assert_eq!(
            matrix(LISTS, &["matrix.extraction.roi_threshold={from = 1, to = 3, step = 1}"])
                .unwrap()
                .len(),
            6
        );
    }

    #[test]
    fn a_range_has_both_ends_and_no_dust() {
        let cells =
            matrix("\"extraction.roi_threshold\" = { from = 0.1, to = 0.9, step = 0.1 }", &[])
                .unwrap();
        assert_eq!(
            column(&cells, "extraction.roi_threshold").join(" "),
            "0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9"
        );
        let cells = matrix("\"model.epochs\" = { from = 5, to = 20, step = 5 }", &[]).unwrap();
        assert_eq!(column(&cells, "model.epochs"), ["5", "10", "15", "20"]);
        let cells =
            matrix("\"model.learning_rate\" = { from = 0, to = 1, count = 5 }", &[]).unwrap();
        assert_eq!(column(&cells, "model.learning_rate"), ["0.0", "0.25", "0.5", "0.75", "1.0"]);
    }

    #[test]
    fn zips_turn_together_and_cases_are_named() {
        let text = "model = [\"a\"]\n[[zip]]\n\"model.epochs\" = [1, 2]\nmodel.seed = [7, 8]\n[cases.small]\n\"model.backbone\" = \"resnet18\"\n[cases.large]\n";
        let cells = matrix(text, &[]).unwrap();
        assert_eq!(column(&cells, "model.epochs"), ["1", "1", "2", "2"]);
        assert_eq!(column(&cells, "model.seed"), ["7", "7", "8", "8"]);
        assert_eq!(column(&cells, "case"), ["\"large\"", "\"small\"", "\"large\"", "\"small\""]);
        assert_eq!(column(&cells, "model.backbone"), ["-", "\"resnet18\"", "-", "\"resnet18\""]);
    }

    #[test]
    fn excluded_cells_are_left_out() {
        let cells = matrix(
            &format!("{LISTS}\n[[exclude]]\nmodel = \"a\"\n\"extraction.roi_threshold\" = [0.3]"),
            &[],
        )
        .unwrap();
        assert_eq!(column(&cells, "model"), ["\"a\"", "\"b\"", "\"b\""]);
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
            ("\"model.epochs\" = { from = 0, to = 1, count = 1 }", "no whole number of at least 2"),
            ("\"model.epochs\" = { from = 1, to = 1, count = 3 }", "the same value twice"),
            ("\"model.epochs\" = { from = 0, to = inf, step = 1 }", "a `to` that is no number"),
            ("\"model.epochs\" = { from = 0, to = nan, count = 3 }", "a `to` that is no number"),
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
                "\"model.epochs\" = { from = 1, to = 1000, step = 1 }\n\"model.seed\" = { from = 1, to = 1000, step = 1 }",
                "more than 100000 cells",
            ),
            (nine_axes("10", "1").as_str(), "more than 100000 cells"),
            (nine_axes("90000", "1").as_str(), "more than 200000 values together"),
            (
                format!("[[zip]]\n{}", nine_axes("9", "1e-4")).as_str(),
                "more than 200000 values together",
            ),
        ] {
            let error = matrix(text, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
