//! Figures of what the tables show. Their numbers are the tables' own.

use std::collections::BTreeMap;

use super::chart::{Chart, Look, Series};
use super::grid::Grid;
use super::{Figure, FigureKind, drawn, drawn_grid};
use crate::report::column_groups::key_columns;
use crate::report::comparison::{Comparison, GROUND_TRUTH, OWN_GROUND_TRUTH, row_names};
use crate::report::result_table::{ResultTable, TableColumn};
use crate::report::tables::SEEDS;
use surgcam_engine::error::Result;

/// Columns that tell nothing that a legend should say.
const SAID_ELSEWHERE: [&str; 4] = ["frames", "trained on", GROUND_TRUTH, SEEDS];

/// What the tables show.
pub fn of_results(tables: &[ResultTable], comparison: Option<&Comparison>) -> Result<Vec<Figure>> {
    let named = |name: &str| tables.iter().find(|table| table.name == name);
    let (localization, extraction) = (named("localization"), named("extraction"));
    let over =
        |table: Option<&ResultTable>, x: Axis, y: &str| table.and_then(|table| over(table, x, y));
    let front = "The line joins the rows that no other beats in both; yardsticks and controls are \
                 shown and do not take part in it.";
    let charts = [
        (FigureKind::SpeedQuality, comparison.and_then(speed_against_quality), front),
        (FigureKind::MiouOverThreshold, over(localization, Axis::THRESHOLD, "mIoU"), ""),
        (FigureKind::Ap50OverThreshold, over(localization, Axis::THRESHOLD, "AP50"), ""),
        (FigureKind::ProbeOverThreshold, over(extraction, Axis::THRESHOLD, "probe mAP"), ""),
        (FigureKind::ClassCount, over(named("classification"), Axis::CLASSES, "mAP"), ""),
    ];
    let mut figures = charts
        .into_iter()
        .filter_map(|(kind, chart, caption)| Some(drawn(kind, &chart?, caption)))
        .collect::<Result<Vec<_>>>()?;
    if let Some(grid) = named("classification").or(localization).and_then(class_precision) {
        let note = "A class without a positive frame or a true box has no cell.";
        figures.push(drawn_grid(FigureKind::ClassAp, &grid, note)?);
    }
    figures.sort_by_key(|figure| figure.kind);
    Ok(figures)
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
    let of_mode = |(name, points)| Series { name, look: Look::Points, points };
    let mut series: Vec<Series> = modes.into_iter().map(of_mode).collect();
    series.push(Series { name: "beaten by none".into(), look: Look::Front, points: front });
    Some(Chart {
        title: format!("{} against speed", comparison.quality.name),
        x_name: "frames a second".into(),
        y_name: comparison.quality.name.clone(),
        series,
    })
}

/// What lies along the horizontal axis.
#[derive(Clone, Copy)]
struct Axis {
    column: &'static str,
    name: &'static str,
    /// Columns that say the same in other words.
    twins: &'static [&'static str],
}

impl Axis {
    const THRESHOLD: Axis = Axis { column: "T_ROI", name: "T_ROI", twins: &[] };
    const CLASSES: Axis = Axis {
        column: "classes",
        name: "number of classes",
        twins: &["label space", "model.label space"],
    };
}

/// A measured column over another one, as a line for each combination of what else tells rows
/// apart. `None` where there is a single value to go over. Controls are left out, and so are lines
/// with a single value.
fn over(table: &ResultTable, axis: Axis, quality: &str) -> Option<Chart> {
    let (along, measured) = (table.column(axis.column)?, table.column(quality)?);
    let truth = table.column(GROUND_TRUTH);
    let is_own = |row: &usize| truth.is_none_or(|truth| truth.shown(*row) == OWN_GROUND_TRUTH);
    let names = telling_columns(table, axis);
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for row in (0..table.rows()).filter(is_own) {
        let (Ok(x), Some(y)) = (along.shown(row).parse::<f64>(), measured.number_at(row)) else {
            continue;
        };
        let name = names.iter().map(|column| column.shown(row)).collect::<Vec<_>>().join(", ");
        lines.entry(name).or_default().push((x, y));
    }
    let line = |(name, mut points): (String, Vec<(f64, f64)>)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { name, look: Look::Line, points }
    };
    // A single value is no curve.
    lines.retain(|_, points| points.iter().any(|point| point.0 != points[0].0));
    (!lines.is_empty()).then(|| Chart {
        title: format!("{quality} over {}", axis.name),
        x_name: axis.name.into(),
        y_name: quality.into(),
        series: lines.into_iter().map(line).collect(),
    })
}

/// The columns whose values name a line: the variant, and what differs between rows.
fn telling_columns(table: &ResultTable, axis: Axis) -> Vec<&TableColumn> {
    let is_telling = |column: &&TableColumn| {
        let name = column.name.as_str();
        let is_said = name == axis.column
            || axis.twins.contains(&name)
            || SAID_ELSEWHERE.contains(&name)
            || (axis.column != "classes" && name == "classes");
        !is_said && (name == "variant" || !column.is_constant())
    };
    key_columns(table).iter().filter(is_telling).collect()
}

/// `None` where no class has an average precision.
fn class_precision(table: &ResultTable) -> Option<Grid> {
    let prefix = if table.name == "classification" { "AP " } else { "AP50 " };
    let classes: Vec<(&str, &TableColumn)> = table
        .columns
        .iter()
        .filter(|column| column.is_detail)
        .filter_map(|column| Some((column.name.strip_prefix(prefix)?, column)))
        .filter(|(_, column)| (0..column.len()).any(|row| column.number_at(row).is_some()))
        .collect();
    let truth = table.column(GROUND_TRUTH);
    let has_number = |row: usize| classes.iter().any(|(_, column)| column.number_at(row).is_some());
    let is_own = |row: usize| truth.is_none_or(|truth| truth.shown(row) == OWN_GROUND_TRUTH);
    let rows: Vec<usize> =
        (0..table.rows()).filter(|&row| has_number(row) && is_own(row)).collect();
    let of_row = |&row: &usize| classes.iter().map(|(_, column)| column.number_at(row)).collect();
    (!rows.is_empty()).then(|| Grid {
        title: format!("{}of each class ({})", prefix, table.name),
        rows: rows.iter().copied().map(row_names(table)).collect(),
        columns: classes.iter().map(|(class, _)| class.to_string()).collect(),
        values: rows.iter().map(of_row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, values: [&str; 4]) -> TableColumn {
        TableColumn::text(name, values.map(|value| Some(value.to_string())).to_vec())
    }

    fn table(name: &str, columns: Vec<TableColumn>) -> ResultTable {
        ResultTable {
            name: name.into(),
            title: String::new(),
            columns,
            notes: vec![],
            more_rows: 0,
            reference_rows: Default::default(),
        }
    }

    fn localization() -> ResultTable {
        let columns = vec![
            text("variant", ["gc-c"; 4]),
            text("T_ROI", ["0.5", "0.5", "0.3", "0.3"]),
            text(GROUND_TRUTH, [OWN_GROUND_TRUTH, "control", OWN_GROUND_TRUTH, "control"]),
            TableColumn::number("mIoU", 3, vec![Some(0.5), Some(0.1), Some(0.25), Some(0.2)]),
            TableColumn::number("AP50 hook", 3, vec![Some(1.0 / 3.0), None, None, None]).detail(),
            TableColumn::number("AP50 grasper", 3, vec![None, None, Some(0.75), None]).detail(),
        ];
        table("localization", columns)
    }

    /// What the marks of an SVG say to the pointer.
    fn meanings(svg: &str) -> Vec<&str> {
        svg.split("<title>").skip(1).filter_map(|rest| rest.split("</title>").next()).collect()
    }

    #[test]
    fn thresholds_are_drawn_in_their_order_and_controls_are_not() {
        let mut table = localization();
        let chart = over(&table, Axis::THRESHOLD, "mIoU").unwrap();
        assert_eq!(chart.series.len(), 1);
        assert_eq!(chart.series[0].points, [(0.3, 0.25), (0.5, 0.5)]);
        table = table.head(2);
        assert!(over(&table, Axis::THRESHOLD, "mIoU").is_none(), "a single threshold is no curve");
    }

    #[test]
    fn numbers_read_back_from_an_svg_are_those_of_the_table() {
        let figures = of_results(&[localization()], None).unwrap();
        let kinds: Vec<FigureKind> = figures.iter().map(|figure| figure.kind).collect();
        assert_eq!(kinds, [FigureKind::MiouOverThreshold, FigureKind::ClassAp]);
        let svgs: Vec<String> =
            figures.iter().map(|figure| figure.drawing.svg().unwrap()).collect();
        assert_eq!(meanings(&svgs[0]), ["gc-c: T_ROI 0.3, mIoU 0.25", "gc-c: T_ROI 0.5, mIoU 0.5"]);
        let numbers: Vec<f64> = meanings(&svgs[1])
            .iter()
            .map(|meaning| meaning.rsplit(": ").next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers, [1.0 / 3.0, 0.75]);
    }

    #[test]
    fn curves_over_class_counts_join_label_spaces_and_not_variants() {
        let columns = vec![
            text("variant", ["gc-b", "gc-b", "gc-c", "gc-c"]),
            text("label space", ["endovis-9", "endovis-11", "endovis-9", "endovis-11"]),
            TableColumn::count("classes", vec![Some(9), Some(11), Some(9), Some(11)]),
            TableColumn::number("mAP", 3, vec![Some(0.5), Some(0.4), Some(0.7), Some(0.6)]),
        ];
        let chart = over(&table("classification", columns), Axis::CLASSES, "mAP").unwrap();
        let series: Vec<(&str, &[(f64, f64)])> = chart
            .series
            .iter()
            .map(|series| (series.name.as_str(), series.points.as_slice()))
            .collect();
        assert_eq!(
            series,
            [
                ("gc-b", [(9.0, 0.5), (11.0, 0.4)].as_slice()),
                ("gc-c", [(9.0, 0.7), (11.0, 0.6)].as_slice())
            ]
        );
    }
}
