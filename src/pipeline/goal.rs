//! What is wanted of an experiment.

use std::collections::BTreeSet;

use surgcam_recipe::experiment::Experiment;
use surgcam_values::Table;

/// What is wanted of an experiment: its tables, or what an export needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goal {
    Classification,
    Localization,
    /// Heat maps and boxes, without their scores.
    Boxes,
    Extraction,
    /// Features, without heads and speed.
    Features,
    /// Heads, without speed.
    Heads,
}

impl Goal {
    /// The goals that the experiment's own tables stand for.
    pub fn of(experiment: &Experiment) -> BTreeSet<Goal> {
        experiment.recipe.tables.iter().map(|&table| Goal::from(table)).collect()
    }
}

impl From<Table> for Goal {
    fn from(table: Table) -> Self {
        match table {
            Table::Classification => Goal::Classification,
            Table::Localization => Goal::Localization,
            Table::Extraction => Goal::Extraction,
        }
    }
}
