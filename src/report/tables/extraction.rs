//! The extraction table: how fast each mode is, and how good its features are.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::cell_groups::{Group, groups};
use super::cell_table::{CellTable, Row};
use super::shared_columns::{BATCH_NORM, POOL, ROI_THRESHOLD, axis_columns, variants};
use super::speed_columns;
use crate::report::result_table::{ResultTable, TableColumn};
use crate::report::results::Results;
use crate::report::task_columns;
use surgcam_engine::error::Result;
use surgcam_frames::metrics::{ExtractionSummary, Probe, Speed};
use surgcam_pipeline::planned::{Built, PlannedCell};
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;

/// One row for each way to extract features and to judge them.
pub fn table<'a>(
    experiment: &Experiment,
    built: &'a Built,
    results: &Results,
    machine: Option<&MeasuredMachine>,
) -> Result<CellTable<'a>> {
    // Two rows differ in their features or in the heads that judge them.
    let groups = groups(built, |cell| {
        let PlannedCell { stages, .. } = cell;
        stages.extract.map(|extract| (extract, stages.probe, stages.caption, stages.interact))
    });
    let cells: Vec<&'a PlannedCell> = groups.iter().map(Group::first).collect();
    let speed_of = |cell: &&PlannedCell| results.metrics(cell.stages.measure).map(Option::flatten);
    let speeds: Vec<Option<Speed>> = cells.par_iter().map(speed_of).collect::<Result<_>>()?;
    let probes: Vec<Option<Probe>> =
        cells.par_iter().map(|cell| results.metrics(cell.stages.probe)).collect::<Result<_>>()?;
    let summaries: Vec<Option<ExtractionSummary>> =
        cells.par_iter().map(|cell| results.metrics(cell.stages.extract)).collect::<Result<_>>()?;
    let localised = |cell: &&PlannedCell| {
        let recipe = &cell.extraction.as_ref()?.value;
        recipe.mode.is_localised().then(|| recipe.roi_threshold.value().to_string())
    };
    let per_frame = |value: fn(&ExtractionSummary) -> usize| {
        summaries
            .iter()
            .map(|summary| {
                summary.as_ref().map(|summary| value(summary) as f64 / summary.frames.max(1) as f64)
            })
            .collect()
    };
    let mut columns = vec![variants(&cells)];
    columns.push(TableColumn::text(
        "mode",
        cells
            .iter()
            .map(|cell| cell.extraction.as_ref().map(|extraction| extraction.name.clone()))
            .collect(),
    ));
    columns.extend(heads_column(&cells));
    columns.extend(axis_columns(experiment, &groups, &[ROI_THRESHOLD, POOL, BATCH_NORM]));
    columns.push(TableColumn::text("T_ROI", cells.iter().map(localised).collect()));
    columns.push(TableColumn::count(
        "pool",
        cells
            .iter()
            .map(|cell| {
                cell.extraction
                    .as_ref()
                    .map(|extraction| i64::from(extraction.value.pool.channels()))
            })
            .collect(),
    ));
    columns.extend(batch_norm_column(&cells));
    let speed = speed_columns::of(&speeds);
    columns.extend(speed.columns);
    columns.push(TableColumn::number(
        "passes/frame",
        2,
        per_frame(|summary| summary.forward_passes),
    ));
    columns.push(TableColumn::number("regions/frame", 2, per_frame(|summary| summary.regions)));
    let mut notes: Vec<String> = speed.notes;
    if cells.iter().any(|cell| cell.stages.probe.is_some()) {
        let map =
            |probe: &Option<Probe>| probe.as_ref().and_then(|probe| probe.mean_average_precision);
        columns.push(TableColumn::number("probe mAP", 3, probes.iter().map(map).collect()));
        notes.push(
            "probe mAP: labels of the validation frames from the mean and maximum of the frame's \
             region features, by ridge regression on the train frames"
                .to_string(),
        );
    }
    let tasks = task_columns::of(&cells, results)?;
    columns.extend(tasks.columns);
    notes.extend(tasks.notes);
    if let Some(machine) = machine {
        notes.push(speed_columns::conditions(machine, &cells));
    }
    let without_region: usize =
        summaries.iter().flatten().map(|summary| summary.classes_without_region).sum();
    if without_region > 0 {
        notes.push(format!(
            "{without_region} times, over all rows, a present class had no region at its T_ROI"
        ));
    }
    let is_reference = |cell: &PlannedCell| {
        cell.extraction.as_ref().is_some_and(|extraction| extraction.value.is_reference())
    };
    let reference_rows = (0..cells.len()).filter(|&row| is_reference(cells[row])).collect();
    let table = ResultTable {
        name: "extraction".into(),
        title: format!("Extraction ({})", experiment.name),
        columns,
        notes,
        reference_rows,
        ..Default::default()
    };
    Ok(CellTable { rows: Row::of_cells(&cells), table })
}

/// The head of each row, if the rows differ in their heads.
fn heads_column(cells: &[&PlannedCell]) -> Option<TableColumn> {
    let heads: Vec<Option<String>> = cells.iter().map(|cell| cell.cell.head.clone()).collect();
    heads.iter().any(|head| *head != heads[0]).then(|| TableColumn::text("head", heads))
}

/// Whose statistics normalise the maps that each row's features come from, if the rows differ in
/// this. Rows of modes that take no cells from maps have no value.
fn batch_norm_column(cells: &[&PlannedCell]) -> Option<TableColumn> {
    let of_cell = |cell: &&PlannedCell| {
        let recipe = &cell.extraction.as_ref()?.value;
        recipe.mode.takes_cells().then(|| recipe.batch_norm.name())
    };
    let named: BTreeSet<&str> = cells.iter().filter_map(of_cell).collect();
    let column = || {
        TableColumn::text(
            "batch norm",
            cells.iter().map(|cell| of_cell(cell).map(String::from)).collect(),
        )
    };
    (named.len() > 1).then(column)
}
