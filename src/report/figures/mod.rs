//! Figures of an experiment: quality against speed, curves over T_ROI and over class counts, grids
//! of classes and of confused interactions, training curves, stages over time. The results in them
//! are the numbers of the tables.

mod bars;
mod chart;
mod confusion;
mod grid;
mod kind;
mod legend;
mod palette;
mod results;
mod timeline;
mod training;

use std::path::Path;

use clap::ValueEnum;
use rayon::prelude::*;

use super::drawing::{Drawing, Format};
use chart::{Chart, MOST_SERIES};
pub use confusion::of_best_graph;
use grid::Grid;
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::store::file::{Durability, write_with};

pub use kind::FigureKind;
pub use results::of_results;
pub use timeline::timeline;
pub use training::curves;

pub struct Figure {
    pub kind: FigureKind,
    /// What it shows and what it leaves out, in a sentence.
    pub caption: String,
    drawing: Drawing,
}

impl Figure {
    /// For a page.
    pub fn svg(&self) -> Result<String> {
        self.drawing.svg()
    }

    pub fn file(&self, format: Format) -> Result<Vec<u8>> {
        self.drawing.file(format, palette::PNG_SCALE, palette::POINTS)
    }
}

/// Writes each as SVG, PDF and PNG, and removes what an earlier run drew and this one does not.
pub fn write(figures: &[&Figure], folder: &Path) -> Result<()> {
    let files: Vec<(FigureKind, Format)> = FigureKind::value_variants()
        .iter()
        .flat_map(|&kind| Format::ALL.map(|format| (kind, format)))
        .collect();
    files.into_par_iter().try_for_each(|(kind, format)| {
        let path = folder.join(format!("{}.{}", kind.name(), format.extension()));
        match figures.iter().find(|figure| figure.kind == kind) {
            Some(figure) => write_with(&path, &figure.file(format)?, Durability::Remade),
            None if path.is_file() => std::fs::remove_file(&path).at_path("remove", &path),
            None => Ok(()),
        }
    })
}

/// Draws a chart; its caption says how many series are left out.
fn drawn(kind: FigureKind, chart: &Chart, caption: &str) -> Result<Figure> {
    let left_out = chart.series.len().saturating_sub(MOST_SERIES);
    let left_out = if left_out > 0 {
        format!(" {left_out} more have no room and are left out.")
    } else {
        String::new()
    };
    let caption = format!("{}. {caption}{left_out}", chart.title);
    Ok(Figure { kind, caption: caption.trim().to_string(), drawing: chart::draw(chart)? })
}

/// Draws a grid; its caption says how many rows and columns are left out.
fn drawn_grid(kind: FigureKind, grid: &Grid, caption: &str) -> Result<Figure> {
    let left_out: String = [
        (grid.rows.len(), grid::MOST_ROWS, "rows"),
        (grid.columns.len(), grid::MOST_COLUMNS, "columns"),
    ]
    .into_iter()
    .filter(|(all, most, _)| all > most)
    .map(|(all, most, what)| format!(" {} more {what} have no room and are left out.", all - most))
    .collect();
    let caption = format!("{}. {caption}{left_out}", grid.title);
    Ok(Figure { kind, caption, drawing: grid::draw(grid)? })
}
