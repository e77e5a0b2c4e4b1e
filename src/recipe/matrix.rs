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

use super::assignment::flattened;
use super::axis::{Axis, Room, values};
use super::cell_filter::CellFilter;
use super::matrix_checks::no_value_twice;
use super::target::{AimedOverride, Target};
use surgcam_engine::error::{Error, Result};

pub use super::assignment::Assignment;
pub use super::axis::CASE;

/// The axes that name a recipe. They are the first columns of a table, in this order.
pub(super) const NAMING: [&str; 3] = ["model", "extraction", "head"];

/// The axes of an experiment and the cells that it leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub(super) axes: Vec<Axis>,
    /// A cell that matches one of these is left out.
    pub(super) excludes: Vec<CellFilter>,
    /// The axes as the file gives them, before outer overrides change them.
    pub(super) written: Vec<Axis>,
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

fn filters(excludes: Option<&toml::Value>) -> Result<Vec<CellFilter>> {
    Ok(tables("exclude", excludes)?.into_iter().cloned().map(CellFilter::from).collect())
}

fn tables<'a>(what: &str, value: Option<&'a toml::Value>) -> Result<Vec<&'a toml::Table>> {
    let wrong = || {
        Error::usage(format!("the matrix's `{what}` is not a list of tables"))
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

    const LISTS: &str = "\"extraction.roi_threshold\" = [0.1, 0.3]\nextraction = [\"l-fe\"]\n\
        model = [\"a\", \"b\"]";

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
        let text = "model = [\"a\"]\n[[zip]]\n\"model.epochs\" = [1, 2]\nmodel.seed = [7, 8]\n\
            [cases.small]\n\"model.backbone\" = \"resnet18\"\n[cases.large]\n";
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
}
