//! The localization table: how well boxes and heat maps meet the true boxes.

use rayon::prelude::*;

use super::cell_groups::groups;
use super::cell_table::{CellTable, Row};
use super::localization_columns::{
    CURVES_NOTE, LocalizationColumns, boxes_column, curve_columns, detection_columns, heat_columns,
};
use super::shared_columns::{ROI_THRESHOLD, axis_columns, class_columns, variants};
use crate::report::result_table::{Cells, ResultTable, TableColumn};
use crate::report::results::Results;
use surgcam_engine::error::Result;
use surgcam_frames::metrics::{
    DeletionInsertionMetrics, HeatScoreMetrics, Localization, LocalizationMetrics,
};
use surgcam_pipeline::planned::{Built, PlannedCell};
use surgcam_recipe::experiment::Experiment;

/// Two rows for each model and T_ROI: its boxes, and the control.
pub fn table<'a>(
    experiment: &Experiment,
    built: &'a Built,
    results: &Results,
) -> Result<CellTable<'a>> {
    let groups = groups(built, |cell| cell.stages.score);
    // Each group has two rows: its boxes, and the control.
    let cells: Vec<&'a PlannedCell> = groups.iter().flat_map(|group| [group.first(); 2]).collect();
    let scores: Vec<Option<LocalizationMetrics>> = groups
        .par_iter()
        .map(|group| results.metrics(group.first().stages.score))
        .collect::<Result<_>>()?;
    let scored = |found: &Option<LocalizationMetrics>| {
        found.as_ref().map(|found| found.scored_frames as i64)
    };
    let frames: Vec<Option<i64>> = scores.iter().flat_map(|found| [scored(found); 2]).collect();
    let counted = || scores.iter().flatten();
    let validation = counted().map(|found| found.validation_frames).max().unwrap_or(0);
    let without_truth =
        counted().map(|found| found.validation_frames - found.scored_frames).max().unwrap_or(0);
    let metrics: Vec<Option<Localization>> =
        in_two_rows(scores, |found| [found.boxes, found.control]);
    let heat: Vec<Option<HeatScoreMetrics>> = groups
        .par_iter()
        .map(|group| results.metrics(group.first().stages.heat_score))
        .collect::<Result<_>>()?;
    let heat = in_two_rows(heat, |found| [found.heat, found.control]);
    let curves: Vec<Option<DeletionInsertionMetrics>> = groups
        .par_iter()
        .map(|group| results.metrics(group.first().stages.deletion_insertion))
        .collect::<Result<_>>()?;
    let curves = in_two_rows(curves, |found| [found.heat, found.control]);
    let number = |value: fn(&Localization) -> Option<f64>| {
        metrics.iter().map(|metrics| metrics.as_ref().and_then(value)).collect()
    };
    let threshold = |cell: &&PlannedCell| {
        cell.extraction
            .as_ref()
            .filter(|extraction| extraction.value.mode.is_localised())
            .map(|extraction| extraction.value.roi_threshold.value().to_string())
    };
    let truth = ["its own", "another frame's (control)"];
    let mut columns = vec![variants(&cells)];
    for column in axis_columns(experiment, &groups, &[ROI_THRESHOLD]) {
        let Cells::Text(values) = column.cells else { continue };
        columns.push(TableColumn::text(
            column.name,
            values.into_iter().flat_map(|value| [value.clone(), value]).collect(),
        ));
    }
    columns.extend(boxes_column(&cells));
    columns.push(TableColumn::text("T_ROI", cells.iter().map(threshold).collect()));
    columns.push(TableColumn::text(
        "ground truth",
        (0..cells.len()).map(|row| Some(truth[row % 2].into())).collect(),
    ));
    columns.push(TableColumn::count("frames", frames));
    columns.push(TableColumn::number("mIoU", 3, number(|metrics| metrics.mean_iou)));
    columns.push(TableColumn::number(
        "mIoU instruments",
        3,
        number(|metrics| metrics.mean_iou_without_tissue),
    ));
    columns.push(TableColumn::number("AP50", 3, number(|metrics| metrics.detection_map)));
    let (detection, heat) = (detection_columns(&cells, &metrics), heat_columns(&cells, &heat));
    columns.extend(detection.means);
    columns.extend(heat.means);
    let judged_by_curves =
        groups.iter().any(|group| group.first().stages.deletion_insertion.is_some());
    let curves = if judged_by_curves {
        curve_columns(&cells, &curves)
    } else {
        LocalizationColumns::default()
    };
    columns.extend(curves.means);
    let per_class = |value: fn(&Localization) -> &Vec<Option<f64>>| -> Vec<_> {
        metrics
            .iter()
            .map(|metrics| metrics.as_ref().map(|metrics| value(metrics).clone()))
            .collect()
    };
    columns.extend(class_columns("IoU", &cells, &per_class(|metrics| &metrics.iou_per_class)));
    columns.extend(class_columns("AP50", &cells, &per_class(|metrics| &metrics.ap_per_class)));
    columns.extend(detection.per_class);
    columns.extend(heat.per_class);
    columns.extend(curves.per_class);
    let mut notes = vec![
        "mIoU instruments leaves the tissue out, which fills the frame and flatters; \
         the control scores the same boxes against the ground truth of a frame half the data away"
            .to_string(),
        "box precision, recall and F1 (at IoU 0.5), COCO AP50 and AP50:95 \
         are those of pycocotools, as means over the classes that have true boxes"
            .to_string(),
        "energy in box: share of a class's heat inside its true boxes; \
         pointing game: share of frames whose hottest pixel lies in one; \
         both where the class is present and has a true box, as means over classes"
            .to_string(),
    ];
    notes.extend(judged_by_curves.then(|| CURVES_NOTE.to_string()));
    if without_truth > 0 {
        notes.push(format!(
            "{without_truth} of {validation} validation frames have no annotated boxes \
             and take no part"
        ));
    }
    let table = ResultTable {
        name: "localization".into(),
        title: format!("Localization ({})", experiment.name),
        columns,
        notes,
        // Every second row is the control of the one before it.
        reference_rows: (0..cells.len()).filter(|row| row % 2 == 1).collect(),
        ..Default::default()
    };
    let rows = cells.iter().enumerate();
    let rows = rows.map(|(place, &cell)| Row { cell, is_control: place % 2 == 1 }).collect();
    Ok(CellTable { rows, table })
}

/// Puts the metrics of each group into its two rows: what was found, and the control.
fn in_two_rows<M, R>(metrics: Vec<Option<M>>, parts: impl Fn(M) -> [R; 2]) -> Vec<Option<R>> {
    let rows = |found: Option<M>| found.map_or([None, None], |found| parts(found).map(Some));
    metrics.into_iter().flat_map(rows).collect()
}
