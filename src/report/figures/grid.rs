//! Numbers between 0 and 1 as a grid of coloured cells, each with its number.

use super::palette::{COLUMN, INK, PAGE, TEXT, TITLE, letters_on};
use crate::report::drawing::{
    Anchor, Drawing, Label, Outline, Paint, Point, Shape, text_width, without_excess,
};
use surgcam_engine::error::Result;
use surgcam_engine::escape;

#[derive(Debug)]
pub struct Grid {
    pub title: String,
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    /// For each row as many as there are columns.
    pub values: Vec<Vec<Option<f64>>>,
}

/// What more there is is left out.
pub const MOST_ROWS: usize = 40;
pub const MOST_COLUMNS: usize = 40;
/// With more columns than this, a grid is as wide as a page.
const NARROW: usize = 6;
const CELL_HEIGHT: f64 = 24.0;
const MARGIN: f64 = 12.0;
/// Smaller numbers cannot be read on paper and are left out.
const SMALLEST: f64 = 9.0;
const LONGEST_HEADING: f64 = 220.0;
/// The ends of the scale: nearly white, and a dark blue of Okabe and Ito's hue. Its lightness alone
/// tells the number.
const LOW: [f64; 3] = [240.0, 245.0, 250.0];
const HIGH: [f64; 3] = [0.0, 66.0, 120.0];

pub fn draw(grid: &Grid) -> Result<Drawing> {
    let rows = grid.rows.len().min(MOST_ROWS);
    let columns = grid.columns.len().min(MOST_COLUMNS);
    let width = if columns > NARROW { PAGE } else { COLUMN };
    let wide = f64::from(width);
    let row_names = names(&grid.rows[..rows], wide * 0.35)?;
    let column_names = names(&grid.columns[..columns], LONGEST_HEADING)?;
    let left = MARGIN + widest(&row_names)? + 8.0;
    let top = 40.0 + widest(&column_names)? + 8.0;
    let height = top + rows as f64 * CELL_HEIGHT + MARGIN;
    let mut drawing = Drawing::new(width, height.ceil() as u32, grid.title.clone())?;
    let title = without_excess(&escape::line(&grid.title), TITLE, wide - 2.0 * MARGIN)?;
    let text = |text: &str, at: Point, size: f64, anchor: Anchor| Label {
        text: text.to_string(),
        at,
        size,
        paint: INK,
        anchor,
        is_upright: false,
    };
    drawing.label(text(&title, (wide / 2.0, 26.0), TITLE, Anchor::Middle));
    let cell = (wide - left - MARGIN) / columns.max(1) as f64;
    for (column, name) in column_names.iter().enumerate() {
        let at = (left + (column as f64 + 0.5) * cell + TEXT * 0.36, top - 6.0);
        drawing.label(Label { is_upright: true, ..text(name, at, TEXT, Anchor::Start) });
    }
    // As large as a cell has room for.
    let size = (cell / 2.6).min(TEXT - 1.0);
    for (row, name) in row_names.iter().enumerate() {
        let middle = top + (row as f64 + 0.5) * CELL_HEIGHT;
        drawing.label(text(name, (left - 8.0, middle + TEXT * 0.36), TEXT, Anchor::End));
        for (column, column_name) in column_names.iter().enumerate() {
            let Some(value) = grid.values.get(row).and_then(|values| *values.get(column)?) else {
                continue;
            };
            let x = left + column as f64 * cell;
            let area = shade(value);
            let half = CELL_HEIGHT / 2.0 - 1.0;
            drawing.shapes.push(Shape::Figure {
                outline: Outline::rectangle([
                    x + 1.0,
                    middle - half,
                    x + cell - 1.0,
                    middle + half,
                ]),
                fill: Some(Paint::rgb(area)),
                stroke: None,
                meaning: Some(format!("{name}, {column_name}: {value}")),
            });
            if size >= SMALLEST {
                let at = (x + cell / 2.0, middle + size * 0.36);
                let label = text(&format!("{value:.2}"), at, size, Anchor::Middle);
                drawing.label(Label { paint: letters_on(area), ..label });
            }
        }
    }
    Ok(drawing)
}

fn names(all: &[String], width: f64) -> Result<Vec<String>> {
    all.iter().map(|name| without_excess(&escape::line(name), TEXT, width)).collect()
}

fn widest(names: &[String]) -> Result<f64> {
    names.iter().try_fold(0.0, |widest: f64, name| Ok(widest.max(text_width(name, TEXT)?)))
}

fn shade(value: f64) -> [u8; 3] {
    let share = if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 };
    std::array::from_fn(|channel| {
        (LOW[channel] + (HIGH[channel] - LOW[channel]) * share).round() as u8
    })
}
