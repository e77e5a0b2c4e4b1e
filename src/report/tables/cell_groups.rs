//! Which cells of the matrix share a row of a table.

use std::collections::BTreeMap;

use surgcam_pipeline::planned::{Built, PlannedCell};

/// The cells whose results come from the same stages. They share one row.
pub struct Group<'a> {
    pub cells: Vec<&'a PlannedCell>,
}

impl<'a> Group<'a> {
    pub fn first(&self) -> &'a PlannedCell {
        self.cells[0]
    }
}

/// The cells that have the stage, grouped by the model's name and by that stage. Groups are in the
/// order of their first cells.
pub fn groups<'a, S: Ord>(
    built: &'a Built,
    stage: impl Fn(&PlannedCell) -> Option<S>,
) -> Vec<Group<'a>> {
    let mut positions: BTreeMap<(String, S), usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for cell in &built.cells {
        let Some(id) = stage(cell) else { continue };
        let model = cell.cell.model.clone();
        let position = *positions.entry((model, id)).or_insert_with(|| {
            groups.push(Group { cells: Vec::new() });
            groups.len() - 1
        });
        groups[position].cells.push(cell);
    }
    groups
}
