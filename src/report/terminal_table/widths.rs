//! How wide the columns of a table are where it is printed.

use crate::report::result_table::TableColumn;

/// Blank to the left and right of a cell.
pub const PADDING: usize = 2;
/// Between two columns.
pub const BORDER: usize = 1;

/// With the header on one line.
pub fn wide(column: &TableColumn) -> usize {
    widest_cell(column).max(column.name.chars().count()) + PADDING + BORDER
}

/// With the header broken between words.
pub fn narrow(column: &TableColumn) -> usize {
    let longest_word = column.name.split(' ').map(|word| word.chars().count()).max().unwrap_or(0);
    widest_cell(column).max(longest_word) + PADDING + BORDER
}

pub fn wide_in_bytes(column: &TableColumn) -> usize {
    wide(column) + more_bytes(column)
}

pub fn narrow_in_bytes(column: &TableColumn) -> usize {
    narrow(column) + more_bytes(column)
}

/// How many bytes more than letters a text of the column has at most.
fn more_bytes(column: &TableColumn) -> usize {
    let more = |text: &str| text.len() - text.chars().count();
    (0..column.len()).map(|row| more(&column.shown(row))).fold(more(&column.name), usize::max)
}

fn widest_cell(column: &TableColumn) -> usize {
    (0..column.len()).map(|row| column.shown(row).chars().count()).max().unwrap_or(0)
}
