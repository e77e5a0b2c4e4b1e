//! Figures of an experiment: quality against speed, overlap over T_ROI, training curves, stages
//! over time. The results in them are the numbers of the tables.

mod chart;
mod timeline;
mod training;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::column_groups::key_columns;
use super::comparison::{Comparison, GROUND_TRUTH, OWN_GROUND_TRUTH};
use super::result_table::ResultTable;
use super::tables::SEEDS;
use chart::{Chart, Look, MOST_SERIES, Series};
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::store::file::{Durability, write_with};
pub use timeline::timeline;
pub use training::curves;

pub struct Figure {
    /// Its file's name without extension.
    pub name: &'static str,
    /// What it shows and what it leaves out, in a sentence.
    pub caption: String,
    pub svg: String,
}

const SPEED: &str = "speed-quality";
const THRESHOLDS: &str = "miou-over-threshold";
/// Every name that a figure can have.
const NAMES: [&str; 5] = [SPEED, THRESHOLDS, training::SCORE, training::LOSS, timeline::NAME];

/// Writes each as NAME.svg, and removes what an earlier run drew and this one does not.
pub fn write(figures: &[&Figure], folder: &Path) -> Result<()> {
    for name in NAMES {
        let path = folder.join(format!("{name}.svg"));
        match figures.iter().find(|figure| figure.name == name) {
            Some(figure) => write_with(&path, figure.svg.as_bytes(), Durability::Remade)?,
            None if path.is_file() => std::fs::remove_file(&path).at_path("remove", &path)?,
            None => {}
        }
    }
    Ok(())
}

/// What the tables show.
pub fn of_results(tables: &[ResultTable], comparison: Option<&Comparison>) -> Result<Vec<Figure>> {
    let speed = comparison
        .and_then(speed_against_quality)
        .map(|chart| drawn(SPEED, &chart, speed_caption()))
        .transpose()?;
    let localization = tables.iter().find(|table| table.name == "localization");
    let thresholds = localization
        .and_then(over_thresholds)
        .map(|chart| drawn(THRESHOLDS, &chart, String::new()))
        .transpose()?;
    Ok(speed.into_iter().chain(thresholds).collect())
}

fn speed_caption() -> String {
    "The line joins the rows that no other beats in both; \
     yardsticks and controls are shown and do not take part in it."
        .into()
}

/// Draws a chart; its caption says how many series are left out.
fn drawn(name: &'static str, chart: &Chart, caption: String) -> Result<Figure> {
    let left_out = chart.series.len().saturating_sub(MOST_SERIES);
    let left_out = if left_out > 0 {
        format!(" {left_out} more have no room and are left out.")
    } else {
        String::new()
    };
    let caption = format!("{}. {caption}{left_out}", chart.title);
    Ok(Figure { name, caption: caption.trim().to_string(), svg: chart::draw(chart)? })
}

/// `None` where speed was not measured.
fn speed_against_quality(comparison: &Comparison) -> Option<Chart> {
    let speed = comparison.speed?;
    let point = |row: usize| Some((speed.number_at(row)?, comparison.quality.number_at(row)?));
    let front: Vec<(f64, f64)> = comparison.front().into_iter().filter_map(point).collect();
    let mode = comparison.table.column("mode");
    let mut modes: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for &row in comparison.rows.iter().chain(&comparison.yardsticks) {
        let name = mode.map(|mode| mode.shown(row)).unwrap_or_default();
        modes.entry(name).or_default().extend(point(row));
    }
    let mut series =
        vec![Series { name: "beaten by none".into(), look: Look::Front, points: front }];
    series.extend(modes.into_iter().map(|(name, points)| Series {
        name,
        look: Look::Points,
        points,
    }));
    Some(Chart {
        title: format!("{} against speed", comparison.quality.name),
        x_name: "frames a second".into(),
        y_name: comparison.quality.name.clone(),
        series,
    })
}

/// `None` where the experiment does not sweep T_ROI.
fn over_thresholds(table: &ResultTable) -> Option<Chart> {
    let (threshold, quality, truth) =
        (table.column("T_ROI")?, table.column("mIoU")?, table.column(GROUND_TRUTH)?);
    let left_out = ["T_ROI", "frames", "classes", GROUND_TRUTH, SEEDS];
    let names: Vec<_> = key_columns(table)
        .iter()
        .filter(|column| !left_out.contains(&column.name.as_str()))
        .collect();
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    let mut thresholds = BTreeSet::new();
    for row in (0..table.rows()).filter(|&row| truth.shown(row) == OWN_GROUND_TRUTH) {
        let (Ok(x), Some(y)) = (threshold.shown(row).parse::<f64>(), quality.number_at(row)) else {
            continue;
        };
        thresholds.insert(threshold.shown(row));
        let name = names.iter().map(|column| column.shown(row)).collect::<Vec<_>>().join(", ");
        series.entry(name).or_default().push((x, y));
    }
    let line = |(name, mut points): (String, Vec<(f64, f64)>)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { name, look: Look::Line, points }
    };
    (thresholds.len() > 1).then(|| Chart {
        title: "mIoU over T_ROI".into(),
        x_name: "T_ROI".into(),
        y_name: "mIoU".into(),
        series: series.into_iter().map(line).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::result_table::TableColumn;
    use super::*;

    #[test]
    fn thresholds_are_drawn_in_their_order_and_controls_are_not() {
        let text = |name: &str, values: [&str; 4]| {
            TableColumn::text(name, values.map(|value| Some(value.to_string())).to_vec())
        };
        let columns = vec![
            text("variant", ["gc-c"; 4]),
            text("T_ROI", ["0.5", "0.5", "0.3", "0.3"]),
            text(GROUND_TRUTH, [OWN_GROUND_TRUTH, "control", OWN_GROUND_TRUTH, "control"]),
            TableColumn::number("mIoU", 3, vec![Some(0.5), Some(0.1), Some(0.25), Some(0.2)]),
        ];
        let mut table = ResultTable {
            name: "localization".into(),
            title: String::new(),
            columns,
            notes: vec![],
            more_rows: 0,
        };
        let chart = over_thresholds(&table).unwrap();
        assert_eq!(chart.series.len(), 1);
        assert_eq!(chart.series[0].points, [(0.3, 0.25), (0.5, 0.5)]);
        table = table.head(2);
        assert!(over_thresholds(&table).is_none(), "a single threshold is no curve");
    }
}
