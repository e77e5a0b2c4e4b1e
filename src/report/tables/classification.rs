//! The classification table: how well each model tells the labels of the validation frames.

use rayon::prelude::*;

use super::cell_groups::{Group, groups};
use super::cell_table::{CellTable, Row};
use super::shared_columns::{axis_columns, class_columns, variants};
use crate::report::result_table::{ResultTable, TableColumn};
use crate::report::results::Results;
use surgcam_engine::error::Result;
use surgcam_frames::metrics::Classification;
use surgcam_pipeline::planned::{Built, PlannedCell};
use surgcam_recipe::experiment::Experiment;
use surgcam_values::Training;

/// One row for each classifier that is evaluated.
pub fn table<'a>(
    experiment: &Experiment,
    built: &'a Built,
    results: &Results,
) -> Result<CellTable<'a>> {
    let groups = groups(built, |cell| cell.stages.evaluate);
    let cells: Vec<&'a PlannedCell> = groups.iter().map(Group::first).collect();
    let metrics: Vec<Option<Classification>> = cells
        .par_iter()
        .map(|cell| results.metrics(cell.stages.evaluate))
        .collect::<Result<_>>()?;
    let number = |value: fn(&Classification) -> Option<f64>| {
        metrics.iter().map(|metrics| metrics.as_ref().and_then(value)).collect()
    };
    let mut columns = vec![variants(&cells)];
    columns.extend(axis_columns(experiment, &groups, &[]));
    columns.push(TableColumn::text(
        "trained on",
        cells.iter().map(|cell| Some(trained_on(cell))).collect(),
    ));
    columns.push(TableColumn::count(
        "classes",
        cells.iter().map(|cell| Some(cell.label_space.len() as i64)).collect(),
    ));
    columns.push(TableColumn::count(
        "frames",
        metrics
            .iter()
            .map(|metrics| metrics.as_ref().map(|metrics| metrics.frames as i64))
            .collect(),
    ));
    columns.push(TableColumn::number("accuracy", 3, number(|metrics| Some(metrics.accuracy))));
    columns.push(TableColumn::number("mAP", 3, number(|metrics| metrics.mean_average_precision)));
    let per_class: Vec<_> = metrics
        .into_iter()
        .map(|metrics| metrics.map(|metrics| metrics.average_precision))
        .collect();
    columns.extend(class_columns("AP", &cells, &per_class));
    let notes = vec![
        "accuracy: share of validation frames whose every label is right at sigmoid > 0.5; \
         AP of a class without a positive frame is left out of mAP"
            .into(),
    ];
    let table = ResultTable {
        name: "classification".into(),
        title: format!("Classification ({})", experiment.name),
        columns,
        notes,
        ..Default::default()
    };
    Ok(CellTable { rows: Row::of_cells(&cells), table })
}

/// The data that a model was trained on, in words.
fn trained_on(cell: &PlannedCell) -> String {
    let model = &cell.model.value;
    match (model.train, &model.fine_tune_from) {
        (Training::None, _) => "given weights".into(),
        (_, Some(parent)) => format!("{parent}, then {}", model.data),
        _ => model.data.clone(),
    }
}
