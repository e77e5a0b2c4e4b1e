//! A table on a terminal. Numbers are never broken: a table that is too wide loses its details to the files, and what is still
//! too wide is drawn in blocks one below the other, each beginning with the columns that tell the rows apart.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, TableComponent, Width, presets};

use super::layout::{Cells, ResultTable, TableColumn};
use super::render::grid;
use surgcam_engine::escape;

/// Blank to the left and right of a cell.
const PADDING: usize = 2;
/// Between two columns.
const BORDER: usize = 1;

/// For a terminal of so many columns; `None`: as wide as it gets.
pub fn draw(table: &ResultTable, width: Option<usize>) -> String {
    // Before anything is measured: a character that is shown as an escape is wider than one.
    let table = &table.with_texts(|text| escape::line(text).into_owned());
    let all: Vec<&TableColumn> = table.columns.iter().collect();
    let main: Vec<&TableColumn> = table.columns.iter().filter(|column| !column.is_detail).collect();
    let fits = |columns: &[&TableColumn]| width.is_none_or(|width| columns.iter().map(|column| wide(column)).sum::<usize>() <= width);
    let columns = if fits(&all) { &all } else { &main };
    let mut text = format!("{}\n", table.title);
    let blocks = match width {
        Some(width) if !fits(columns) => blocks(columns, width).iter().map(|block| draw_narrow(block, table.rows())).collect(),
        _ => vec![draw_wide(columns, table.rows())],
    };
    for block in blocks {
        text.push_str(&format!("{block}\n"));
    }
    if table.more_rows > 0 {
        text.push_str(&format!("({} more rows in {}.csv)\n", table.more_rows, table.name));
    }
    let hidden = all.len() - columns.len();
    if hidden > 0 {
        text.push_str(&format!("({hidden} more columns in {}.csv)\n", table.name));
    }
    for note in &table.notes {
        text.push_str(&format!("- {note}\n"));
    }
    text
}

/// With the header on one line.
fn wide(column: &TableColumn) -> usize {
    widest_cell(column).max(column.name.chars().count()) + PADDING + BORDER
}

/// With the header broken between words.
fn narrow(column: &TableColumn) -> usize {
    let longest_word = column.name.split(' ').map(|word| word.chars().count()).max().unwrap_or(0);
    widest_cell(column).max(longest_word) + PADDING + BORDER
}

fn widest_cell(column: &TableColumn) -> usize {
    (0..column.len()).map(|row| column.shown(row).chars().count()).max().unwrap_or(0)
}

/// The columns in as few blocks as fit, one measured column a block at the least.
fn blocks<'a>(columns: &[&'a TableColumn], width: usize) -> Vec<Vec<&'a TableColumn>> {
    let first_measured = columns.iter().position(|column| matches!(column.cells, Cells::Number(..))).unwrap_or(columns.len());
    let (keys, measured) = columns.split_at(first_measured);
    let of_keys: usize = keys.iter().map(|column| narrow(column)).sum();
    let mut blocks: Vec<Vec<&TableColumn>> = Vec::new();
    let mut left = 0;
    for column in measured {
        let needed = narrow(column);
        match blocks.last_mut().filter(|_| needed <= left) {
            Some(block) => block.push(column),
            None => {
                blocks.push(keys.iter().chain([column]).copied().collect());
                left = width.saturating_sub(of_keys);
            }
        }
        left = left.saturating_sub(needed);
    }
    if blocks.is_empty() { vec![keys.to_vec()] } else { blocks }
}

/// Each header on one line.
fn draw_wide(columns: &[&TableColumn], rows: usize) -> Table {
    let mut drawn = Table::new();
    drawn.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    drawn.remove_style(TableComponent::HorizontalLines).remove_style(TableComponent::MiddleIntersections);
    drawn.set_header(columns.iter().map(|column| column.name.as_str()));
    drawn.add_rows(grid(columns, rows));
    for (column, drawn_column) in columns.iter().zip(drawn.column_iter_mut()) {
        if column.is_number() {
            drawn_column.set_cell_alignment(CellAlignment::Right);
        }
    }
    drawn
}

/// Headers broken between words.
fn draw_narrow(columns: &[&TableColumn], rows: usize) -> Table {
    let mut drawn = draw_wide(columns, rows);
    let width: usize = columns.iter().map(|column| narrow(column)).sum();
    drawn.set_content_arrangement(ContentArrangement::Dynamic).set_width(width as u16);
    for (column, drawn_column) in columns.iter().zip(drawn.column_iter_mut()) {
        drawn_column.set_constraint(ColumnConstraint::Absolute(Width::Fixed((narrow(column) - BORDER) as u16)));
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ResultTable {
        let numbers = |name: &str| TableColumn::number(name, 3, vec![Some(0.12345), None, Some(12.5)]);
        ResultTable {
            name: "example".into(),
            title: "An example".into(),
            columns: vec![
                TableColumn::text("variant", ["gc_a", "ground-truth-boxes", "gc_b"].map(|name| Some(name.into())).to_vec()),
                TableColumn::count("pool", vec![Some(512), Some(128), Some(32)]),
                numbers("mAP"),
                numbers("interaction accuracy"),
                numbers("CIDEr"),
                TableColumn::count("AP of a very long class name", vec![Some(3), Some(12), None]).detail(),
            ],
            notes: vec!["a note".into()],
            more_rows: 0,
        }
    }

    #[test]
    fn a_table_fits_its_terminal() {
        insta::assert_snapshot!("wide", draw(&table(), None));
        insta::assert_snapshot!("without_details", draw(&table().head(2), Some(90)));
        insta::assert_snapshot!("in_blocks", draw(&table().head(2), Some(48)));
    }

    #[test]
    fn a_foreign_name_stays_on_its_line() {
        let names = ["\u{1b}[2J\nnothing to see", "gc_b"].map(|name| Some(name.to_string()));
        let table = ResultTable { columns: vec![TableColumn::text("variant", names.to_vec())], ..table() };
        let drawn = draw(&table, None);
        assert!(drawn.contains(" \\u001b[2J\\nnothing to see \n") && !drawn.contains('\u{1b}'), "{drawn}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_number_is_broken() {
        for width in 45..120 {
            let drawn = draw(&table(), Some(width));
            let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} of {width}\n{drawn}");
            assert_eq!(drawn.matches("12.500").count(), 3, "{width}\n{drawn}");
        }
    }
}
