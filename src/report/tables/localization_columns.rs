//! The columns of the localization table that tell where boxes come from, how well they are
//! detected, how much heat lies in the true boxes, and what a class's probability says of the heat.

use super::shared_columns::class_columns;
use crate::report::result_table::TableColumn;
use surgcam_frames::metrics::{CurveAreas, Detection, HeatLocalization, Localization};
use surgcam_pipeline::planned::PlannedCell;

#[derive(Default)]
pub struct LocalizationColumns {
    /// Columns of means over the classes.
    pub means: Vec<TableColumn>,
    /// Detail columns, one for each class and value.
    pub per_class: Vec<TableColumn>,
}

/// The name of a column and what it shows.
type DetectionColumn = (&'static str, fn(&Detection) -> f64);

/// The columns in their order.
const DETECTION: [DetectionColumn; 5] = [
    ("box precision", |detection| detection.precision),
    ("box recall", |detection| detection.recall),
    ("box F1", |detection| detection.f1),
    (COCO_AP50, |detection| detection.average_precision_at_50),
    ("AP50:95", |detection| detection.average_precision_50_to_95),
];

/// It is a detail, because it hardly differs from `AP50`, which interpolates the precision between
/// recalls.
const COCO_AP50: &str = "COCO AP50";

/// `rows`: what is known of each row of the table, whose cells are `cells`.
pub fn detection_columns(
    cells: &[&PlannedCell],
    rows: &[Option<Localization>],
) -> LocalizationColumns {
    let mut columns = LocalizationColumns::default();
    for (name, value) in DETECTION {
        let mean = |row: &Option<Localization>| row.as_ref()?.detection.mean.as_ref().map(value);
        let mean = TableColumn::number(name, 3, rows.iter().map(mean).collect());
        columns.means.push(if name == COCO_AP50 { mean.detail() } else { mean });
        let of_classes = |row: &Option<Localization>| -> Option<Vec<Option<f64>>> {
            Some(
                row.as_ref()?
                    .detection
                    .per_class
                    .iter()
                    .map(|class| class.as_ref().map(value))
                    .collect(),
            )
        };
        let of_classes: Vec<Option<Vec<Option<f64>>>> = rows.iter().map(of_classes).collect();
        columns.per_class.extend(class_columns(name, cells, &of_classes));
    }
    columns
}

/// A value of which a row has a mean over the classes, and one for each class.
struct Averaged<R> {
    name: &'static str,
    mean: fn(&R) -> Option<f64>,
    per_class: fn(&R) -> &Vec<Option<f64>>,
}

fn averaged_columns<R>(
    cells: &[&PlannedCell],
    rows: &[Option<R>],
    averaged: &[Averaged<R>],
) -> LocalizationColumns {
    let mut columns = LocalizationColumns::default();
    for value in averaged {
        let means = rows.iter().map(|row| row.as_ref().and_then(value.mean)).collect();
        columns.means.push(TableColumn::number(value.name, 3, means));
        let of_classes = |row: &Option<R>| row.as_ref().map(|row| (value.per_class)(row).clone());
        let of_classes: Vec<Option<Vec<Option<f64>>>> = rows.iter().map(of_classes).collect();
        columns.per_class.extend(class_columns(value.name, cells, &of_classes));
    }
    columns
}

/// As [`detection_columns`], of heat maps.
pub fn heat_columns(
    cells: &[&PlannedCell],
    rows: &[Option<HeatLocalization>],
) -> LocalizationColumns {
    let energy = Averaged::<HeatLocalization> {
        name: "energy in box",
        mean: |row| row.energy_in_box,
        per_class: |row| &row.energy_in_box_per_class,
    };
    let pointing = Averaged::<HeatLocalization> {
        name: "pointing game",
        mean: |row| row.pointing_game,
        per_class: |row| &row.pointing_game_per_class,
    };
    averaged_columns(cells, rows, &[energy, pointing])
}

/// Where the boxes of each row come from, if those of some come from a detector.
pub fn boxes_column(cells: &[&PlannedCell]) -> Option<TableColumn> {
    let of_cell = |cell: &&PlannedCell| {
        let extraction = cell.extraction.as_ref()?;
        let is_detected = cell.stages.detections.is_some();
        Some(if is_detected { extraction.name.clone() } else { "heat maps".to_string() })
    };
    let some_are_detected = cells.iter().any(|cell| cell.stages.detections.is_some());
    some_are_detected.then(|| TableColumn::text("boxes", cells.iter().map(of_cell).collect()))
}

/// What the table says below the columns of [`curve_columns`].
pub const CURVES_NOTE: &str = "deletion and insertion: area under the class's probability \
                               while its hottest pixels are removed (lower is better) and \
                               inserted into a blurred picture (higher is better), as means over \
                               classes; the control takes the order from another frame's heat of \
                               the class";

/// As [`detection_columns`], of deletion and insertion curves.
pub fn curve_columns(cells: &[&PlannedCell], rows: &[Option<CurveAreas>]) -> LocalizationColumns {
    let deletion = Averaged::<CurveAreas> {
        name: "deletion",
        mean: |row| row.deletion,
        per_class: |row| &row.deletion_per_class,
    };
    let insertion = Averaged::<CurveAreas> {
        name: "insertion",
        mean: |row| row.insertion,
        per_class: |row| &row.insertion_per_class,
    };
    averaged_columns(cells, rows, &[deletion, insertion])
}
