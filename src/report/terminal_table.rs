//! Tables for people, on a terminal and on a pipe. Numbers are never broken. A table that is too
//! wide is drawn in blocks one below the other, group by group. Each block begins with the columns
//! that tell rows apart.
//!
//! On a terminal, a block has only the rows with a value in it. A reader of a pipe finds the same
//! rows and columns whatever is measured. Nothing but headers and notes is broken into lines there,
//! and rules are ASCII, so that a line has about as many bytes as letters.

mod widths;

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Table, TableComponent, Width, presets,
};

use super::column_groups::{groups, key_columns};
use super::paper_tables::Extent;
use super::result_table::{ResultTable, TableColumn};
use super::table_formats::grid;
use surgcam_engine::escape;
use widths::{BORDER, PADDING, narrow, narrow_in_bytes, wide, wide_in_bytes};

/// No text is broken into less.
const NARROWEST_TEXT: usize = 8;

/// The most bytes of a line on a pipe, unless the columns that tell rows apart need more.
const PIPE_WIDTH: usize = 200;

/// Draws the main columns for a terminal with `width` columns, or without a width for a pipe.
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
    let is_kept = |place: usize| {
        extent == Extent::All || width.is_none() || is_empty || says_something(place)
    };
    let is_chosen = |place: &usize| extent.includes(&table.columns[*place]) && is_kept(*place);
    let chosen: Vec<usize> = (0..table.columns.len()).filter(is_chosen).collect();
    let mut text = format!("{}\n", table.title);
    let parts = match width {
        Some(width) => on_terminal(table, &chosen, width, is_empty),
        None => on_pipe(table, &chosen),
    };
    for part in parts {
        text.push_str(&format!("{part}\n"));
    }
    if table.more_rows > 0 {
        text.push_str(&format!("({} more rows in {}.csv)\n", table.more_rows, table.name));
    }
    let hidden = table.columns.len() - chosen.len();
    if hidden > 0 {
        text.push_str(&format!("({hidden} more columns in {}.csv)\n", table.name));
    }
    for note in &table.notes {
        let lines = broken(note, width.unwrap_or(PIPE_WIDTH).saturating_sub(2));
        text.push_str(&format!("- {}\n", lines.join("\n  ")));
    }
    text
}

/// `is_empty` says that nothing was measured, so that all rows are shown.
fn on_terminal(table: &ResultTable, chosen: &[usize], width: usize, is_empty: bool) -> Vec<Table> {
    let columns = columns_at(table, chosen);
    if columns.iter().map(|column| wide(column)).sum::<usize>() <= width {
        return vec![draw_wide(&columns, table.rows())];
    }
    let keys = chosen_keys(table, chosen);
    let of_keys = key_widths(&keys, room_for_keys(width)).iter().sum::<usize>();
    let all_rows: Vec<usize> = (0..table.rows()).collect();
    let of_block = |block: &Block| {
        let has_value = |row: &usize| block.measured.iter().any(|column| column.has_value(*row));
        let some_rows: Vec<usize> = all_rows.iter().copied().filter(has_value).collect();
        let rows = if is_empty || block.measured.is_empty() { &all_rows } else { &some_rows };
        draw_narrow(block, rows, width)
    };
    let room = width.saturating_sub(of_keys);
    blocks(table, chosen, room, narrow).iter().map(of_block).collect()
}

fn on_pipe(table: &ResultTable, chosen: &[usize]) -> Vec<Table> {
    let columns = columns_at(table, chosen);
    let keys = chosen_keys(table, chosen);
    let fits = |size: fn(&TableColumn) -> usize| {
        columns.iter().map(|column| size(column)).sum::<usize>() <= PIPE_WIDTH
    };
    // A table that measures nothing has no columns that could stand below each other.
    let drawn = if fits(wide_in_bytes) || columns.len() == keys.len() {
        vec![draw_wide(&columns, table.rows())]
    } else if fits(narrow_in_bytes) {
        vec![draw_with_broken_headers(&columns, table.rows())]
    } else {
        let of_keys = keys.iter().map(|column| narrow_in_bytes(column)).sum::<usize>();
        let room = PIPE_WIDTH.saturating_sub(of_keys);
        let of_block = |block: &Block| {
            let columns: Vec<&TableColumn> =
                block.keys.iter().chain(&block.measured).copied().collect();
            draw_with_broken_headers(&columns, table.rows())
        };
        blocks(table, chosen, room, narrow_in_bytes).iter().map(of_block).collect()
    };
    drawn.into_iter().map(with_plain_rules).collect()
}

fn columns_at<'a>(table: &'a ResultTable, places: &[usize]) -> Vec<&'a TableColumn> {
    places.iter().map(|&place| &table.columns[place]).collect()
}

/// The columns that tell rows apart, of those at these places.
fn chosen_keys<'a>(table: &'a ResultTable, chosen: &[usize]) -> Vec<&'a TableColumn> {
    let keys = key_columns(table).len();
    chosen.iter().filter(|&&place| place < keys).map(|&place| &table.columns[place]).collect()
}

/// A text in lines of at most this many bytes, broken between words.
fn broken(text: &str, bytes: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= bytes => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// Part of a table: the columns that tell rows apart, and some of those that were measured.
struct Block<'a> {
    keys: Vec<&'a TableColumn>,
    measured: Vec<&'a TableColumn>,
}

/// The columns in as few blocks as possible. A block has columns of one group only, and at least
/// one measured column. `chosen` are the places of the columns that are drawn, `room` is the width
/// beside those that tell rows apart, and `size` the width of a measured column.
fn blocks<'a>(
    table: &'a ResultTable,
    chosen: &[usize],
    room: usize,
    size: fn(&TableColumn) -> usize,
) -> Vec<Block<'a>> {
    let groups = groups(table);
    let keys = chosen_keys(table, chosen);
    let first_measured = key_columns(table).len();
    let new_block = |measured| Block { keys: keys.clone(), measured };
    let mut blocks: Vec<Block> = Vec::new();
    let (mut left, mut group) = (0, None);
    for &place in chosen.iter().filter(|&&place| place >= first_measured) {
        let column = &table.columns[place];
        let needed = size(column);
        match blocks.last_mut().filter(|_| needed <= left && group == Some(groups[place])) {
            Some(block) => block.measured.push(column),
            None => {
                blocks.push(new_block(vec![column]));
                left = room;
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
    without_lines_between_rows(&mut drawn);
    drawn.set_header(columns.iter().map(|column| column.name.as_str()));
    drawn.add_rows(grid(columns, rows));
    for (column, drawn_column) in columns.iter().zip(drawn.column_iter_mut()) {
        if column.is_number() {
            drawn_column.set_cell_alignment(CellAlignment::Right);
        }
    }
    drawn
}

/// Each header in as many lines as its column is too narrow for. Cells stay as they are.
fn draw_with_broken_headers(columns: &[&TableColumn], rows: usize) -> Table {
    let header =
        |column: &&TableColumn| broken(&column.name, narrow(column) - PADDING - BORDER).join("\n");
    let mut drawn = draw_wide(columns, rows);
    drawn.set_header(columns.iter().map(header));
    drawn
}

/// Rules of a byte for each letter.
fn with_plain_rules(mut drawn: Table) -> Table {
    drawn.load_preset(presets::ASCII_HORIZONTAL_ONLY);
    without_lines_between_rows(&mut drawn);
    drawn
}

fn without_lines_between_rows(drawn: &mut Table) {
    drawn
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections);
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

    /// With the columns of an extraction table, as they are on a pipe.
    fn many_columns(measured: usize) -> ResultTable {
        let names = ["gc-a", "a-model-with-a-long-name"].map(|name| Some(name.to_string()));
        let mut columns = vec![TableColumn::text("variant", names.to_vec())];
        let named = |place: usize| match place % 3 {
            0 => format!("interaction score {place}"),
            1 => format!("probe score {place}"),
            _ => format!("a score {place}"),
        };
        columns.extend((0..measured).map(|place| {
            TableColumn::number(named(place), 3, vec![Some(0.5), None])
                .with_deviations(vec![(place == 0).then_some(0.25), None])
        }));
        columns.sort_by_key(|column| (column.is_number(), column.name.clone()));
        let notes = vec!["word ".repeat(80).trim_end().to_string()];
        ResultTable { name: "extraction".into(), columns, notes, ..table() }
    }

    #[test]
    fn a_pipe_gets_all_rows_and_columns_in_lines_of_at_most_200_bytes() {
        for measured in [4, 10, 11, 12, 13, 14, 40] {
            let table = many_columns(measured);
            let drawn = draw(&table, None);
            let widest = drawn.lines().map(str::len).max().unwrap();
            assert!(widest <= PIPE_WIDTH, "{widest}\n{drawn}");
            assert_eq!(drawn.matches("0.500").count(), measured, "{drawn}");
            let tables = drawn.matches(" variant ").count();
            assert_eq!(drawn.matches(" a-model-with-a-long-name ").count(), tables, "{drawn}");
            assert_eq!(tables == 1, measured < 40, "{tables} of {measured} columns\n{drawn}");
            assert_eq!(drawn.matches("word").count(), 80, "{drawn}");
        }
    }

    #[test]
    fn details_that_tell_rows_apart_are_in_no_block_unless_they_are_asked_for() {
        let mut table = many_columns(40);
        let frames = TableColumn::count("frames", vec![Some(12345); 2]).detail();
        table.columns.insert(1, frames);
        for width in [None, Some(60)] {
            let drawn = draw(&table, width);
            assert!(!drawn.contains("12345"), "{drawn}");
            assert!(drawn.contains("(1 more columns in extraction.csv)"), "{drawn}");
            assert!(draw_columns(&table, width, Extent::All).contains("12345"), "{width:?}");
        }
    }

    #[test]
    fn names_are_never_broken_on_a_pipe() {
        let long = "a name ".repeat(60);
        let names = [long.trim_end(), "gc_b", "gc_c"].map(|name| Some(name.to_string()));
        let mut table = many_columns(0);
        table.columns = vec![TableColumn::text("variant", names.to_vec())];
        assert!(draw(&table, None).contains(long.trim_end()));
        table.columns.push(TableColumn::number("mAP", 3, vec![Some(0.5); 3]));
        let drawn = draw(&table, None);
        assert!(drawn.contains(long.trim_end()) && drawn.contains("0.500"), "{drawn}");
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
