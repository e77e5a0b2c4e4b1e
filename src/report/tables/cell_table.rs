//! A table that knows which cell of the matrix each of its rows comes from.

use crate::report::result_table::ResultTable;
use surgcam_pipeline::planned::PlannedCell;

/// A table with one row for each of some cells.
pub struct CellTable<'a> {
    pub table: ResultTable,
    /// One for each row of the table.
    pub rows: Vec<Row<'a>>,
}

/// Where a row comes from.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The first of the cells that share the row.
    pub cell: &'a PlannedCell,
    /// Whether boxes are scored against the truth of another frame.
    pub is_control: bool,
}

impl<'a> Row<'a> {
    pub fn of_cells(cells: &[&'a PlannedCell]) -> Vec<Row<'a>> {
        cells.iter().map(|&cell| Row { cell, is_control: false }).collect()
    }
}
