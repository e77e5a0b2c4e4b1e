//! Tables on a terminal. Numbers are never broken. A table that is too wide is drawn in blocks one
//! below the other, group by group. Each block begins with the columns that tell rows apart, and
//! has only the rows with a value in it.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Table, TableComponent, Width, presets,
};

use super::column_groups::{groups, key_columns};
use super::paper_tables::Extent;
use super::result_table::{ResultTable, TableColumn};
use super::table_formats::grid;
use surgcam_engine::escape;

/// Blank to the left and right of a cell.
const PADDING: usize = 2;
/// Between two columns.
const BORDER: usize = 1;
/// No text is broken into less.
const NARROWEST_TEXT: usize = 8;

/// Draws the main columns for a terminal with `width` columns. Without a width, the table is as
/// wide as its texts.
pub fn draw(table: &ResultTable, width: Option<usize>) -> String {
    draw_columns(table, width, Extent::Main)
}

/// As [`draw`], with the columns that are asked for.
pub fn draw_columns(table: &ResultTable, width: Option<usize>, extent: Extent) -> String {
    // Before anything is measured: a character that is shown as an escape is wider than one.
    let table = &table.with_texts(|text| escape::line(text).into_owned());
    let keys = key_columns(table).len();
    let says_something = |place: usize| {
        place < keys || (0..table.rows()).any(|row| table.columns[place].has_value(row))
    };
    let is_empty = (keys..table.columns.len()).all(|place| !says_something(place));
    // Who reads from a pipe finds the same columns whatever is measured.
    let is_kept = |place: usize| {
        extent == Extent::All || width.is_none() || is_empty || says_something(place)
    };
    let is_chosen = |place: &usize| extent.includes(&table.columns[*place]) && is_kept(*place);
    let chosen: Vec<usize> = (0..table.columns.len()).filter(is_chosen).collect();
    let columns: Vec<&TableColumn> = chosen.iter().map(|&place| &table.columns[place]).collect();
    let all_rows: Vec<usize> = (0..table.rows()).collect();
    let mut text = format!("{}\n", table.title);
    match width {
        Some(width) if columns.iter().map(|column| wide(column)).sum::<usize>() > width => {
            for block in blocks(table, &chosen, width) {
                let with_values =
                    |row: &usize| block.measured.iter().any(|column| column.has_value(*row));
                let some_rows: Vec<usize> = all_rows.iter().copied().filter(with_values).collect();
                let rows =
                    if is_empty || block.measured.is_empty() { &all_rows } else { &some_rows };
                text.push_str(&format!("{}\n", draw_narrow(&block, rows, width)));
            }
        }
        _ => text.push_str(&format!("{}\n", draw_wide(&columns, table.rows()))),
    }
    if table.more_rows > 0 {
        text.push_str(&format!("({} more rows in {}.csv)\n", table.more_rows, table.name));
    }
    let hidden = table.columns.len() - chosen.len();
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

/// Part of a table: the columns that tell rows apart, and some of those that were measured.
struct Block<'a> {
    keys: Vec<&'a TableColumn>,
    measured: Vec<&'a TableColumn>,
}

/// The columns in as few blocks as possible. A block has columns of one group only, and at least
/// one measured column. `chosen` are the places of the columns that are drawn.
fn blocks<'a>(table: &'a ResultTable, chosen: &[usize], width: usize) -> Vec<Block<'a>> {
    let groups = groups(table);
    let keys: Vec<&TableColumn> = key_columns(table).iter().collect();
    let of_keys: usize = key_widths(&keys, room_for_keys(width)).iter().sum();
    let new_block = |measured| Block { keys: keys.clone(), measured };
    let mut blocks: Vec<Block> = Vec::new();
    let (mut left, mut group) = (0, None);
    for &place in chosen.iter().filter(|&&place| place >= keys.len()) {
        let column = &table.columns[place];
        let needed = narrow(column);
        match blocks.last_mut().filter(|_| needed <= left && group == Some(groups[place])) {
            Some(block) => block.measured.push(column),
            None => {
                blocks.push(new_block(vec![column]));
                left = width.saturating_sub(of_keys);
            }
        }
        left = left.saturating_sub(needed);
        group = Some(groups[place]);
    }
    if blocks.is_empty() { vec![new_block(Vec::new())] } else { blocks }
}

/// Beside columns that were measured.
fn room_for_keys(width: usize) -> usize {
    width * 2 / 3
}

/// The widths of the columns that tell rows apart. Together they are not wider than `room`, as far
/// as their texts can be broken.
fn key_widths(keys: &[&TableColumn], room: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = keys.iter().map(|column| narrow(column)).collect();
    let can_shrink = |place: usize, widths: &[usize]| {
        !keys[place].is_number() && widths[place] > NARROWEST_TEXT + PADDING + BORDER
    };
    while widths.iter().sum::<usize>() > room {
        let widest = (0..widths.len())
            .filter(|&place| can_shrink(place, &widths))
            .max_by_key(|&place| widths[place]);
        let Some(widest) = widest else { break };
        widths[widest] -= 1;
    }
    widths
}

/// Each header on one line.
fn draw_wide(columns: &[&TableColumn], rows: usize) -> Table {
    let mut drawn = Table::new();
    drawn.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    drawn
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections);
    drawn.set_header(columns.iter().map(|column| column.name.as_str()));
    drawn.add_rows(grid(columns, rows));
    for (column, drawn_column) in columns.iter().zip(drawn.column_iter_mut()) {
        if column.is_number() {
            drawn_column.set_cell_alignment(CellAlignment::Right);
        }
    }
    drawn
}

/// Headers broken between words, and long texts where they must.
fn draw_narrow(block: &Block, rows: &[usize], width: usize) -> Table {
    let kept: Vec<TableColumn> =
        block.keys.iter().chain(&block.measured).map(|column| column.with_rows(rows)).collect();
    let columns: Vec<&TableColumn> = kept.iter().collect();
    let room = if block.measured.is_empty() { width } else { room_for_keys(width) };
    let mut widths = key_widths(&block.keys, room);
    widths.extend(block.measured.iter().map(|column| narrow(column)));
    let mut drawn = draw_wide(&columns, rows.len());
    let total: usize = widths.iter().sum();
    drawn
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(total).unwrap_or(u16::MAX));
    for (width, drawn_column) in widths.iter().zip(drawn.column_iter_mut()) {
        let inner = u16::try_from(width - BORDER).unwrap_or(u16::MAX);
        drawn_column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(inner)));
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ResultTable {
        let numbers =
            |name: &str| TableColumn::number(name, 3, vec![Some(0.12345), None, Some(12.5)]);
        ResultTable {
            name: "example".into(),
            title: "An example".into(),
            columns: vec![
                TableColumn::text(
                    "variant",
                    ["gc_a", "ground-truth-boxes", "gc_b"].map(|name| Some(name.into())).to_vec(),
                ),
                TableColumn::count("pool", vec![Some(512), Some(128), Some(32)]),
                numbers("mAP"),
                numbers("interaction accuracy"),
                numbers("CIDEr"),
                TableColumn::count("AP of a very long class name", vec![Some(3), Some(12), None])
                    .detail(),
            ],
            notes: vec!["a note".into()],
            more_rows: 0,
            reference_rows: Default::default(),
        }
    }

    #[test]
    fn a_table_fits_its_terminal() {
        insta::assert_snapshot!("wide", draw_columns(&table(), None, Extent::All));
        insta::assert_snapshot!("without_details", draw(&table().head(2), Some(90)));
        insta::assert_snapshot!("in_blocks", draw(&table().head(2), Some(48)));
    }

    #[test]
    fn a_foreign_name_stays_on_its_line() {
        let names = ["\u{1b}[2J\nnothing to see", "gc_b"].map(|name| Some(name.to_string()));
        let table =
            ResultTable { columns: vec![TableColumn::text("variant", names.to_vec())], ..table() };
        let drawn = draw(&table, None);
        assert!(
            drawn.contains(" \\u001b[2J\\nnothing to see \n") && !drawn.contains('\u{1b}'),
            "{drawn}"
        );
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

    #[test]
    fn a_head_is_shown_only_for_rows_that_have_it_and_long_names_are_broken() {
        let text = |name: &str, values: [&str; 3]| {
            TableColumn::text(name, values.map(|value| Some(value.into())).to_vec())
        };
        let number =
            |name: &str, values: [Option<f64>; 3]| TableColumn::number(name, 3, values.to_vec());
        let names = ["a-model-of-a-very-long-name-with-many-words", "gc-b", "gc-c"];
        let mut columns = vec![
            text("variant", names),
            text("mode", ["ground-truth-boxes-and-more", "sl-fe", "l-fe"]),
        ];
        columns.push(TableColumn::count("pool", vec![Some(512); 3]));
        for name in ["FPS", "p50 ms", "p95 ms", "passes/frame", "regions/frame", "probe mAP"] {
            columns.push(number(name, [Some(1.0), Some(2.0), Some(3.0)]));
        }
        columns.push(number("CIDEr", [None, None, Some(0.5)]));
        columns.push(number("METEOR", [None, None, None]));
        let table = ResultTable { name: "extraction".into(), columns, ..table() };
        let drawn = draw(&table, Some(80));
        let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{widest}\n{drawn}");
        let captions = &drawn[drawn.find("CIDEr").unwrap()..];
        assert!(captions.contains("gc-c") && !captions.contains("gc-b"), "{drawn}");
        assert!(
            !drawn.contains("METEOR") && drawn.contains("(1 more columns in extraction.csv)"),
            "{drawn}"
        );
    }
}
