//! The three tables of an experiment, from what is in the store. What is not finished is absent,
//! never guessed.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::layout::{Cells, ResultTable, TableColumn};
use super::localization_columns::{
    CURVES_NOTE, LocalizationColumns, boxes_column, curve_columns, detection_columns, heat_columns,
};
use super::results::Results;
use super::task_columns;
use surgcam_engine::error::Result;
use surgcam_frames::metrics::*;
use surgcam_pipeline::naming::RecipeKey;
use surgcam_pipeline::planned::{Built, PlannedCell};
use surgcam_pipeline::recipe_key;
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;
use surgcam_recipe::matrix::CASE;
use surgcam_recipe::schema::{ExtractionRecipe, PublishedValue};
use surgcam_values::Table;

/// All tables that the experiment asks for, in a fixed order.
pub fn all(
    experiment: &Experiment,
    built: &Built,
    results: &Results,
    machine: Option<&MeasuredMachine>,
) -> Result<Vec<ResultTable>> {
    let mut wanted = experiment.recipe.tables.clone();
    wanted.sort();
    wanted.dedup();
    let left_out = [
        ("frames were skipped", results.skipped_frames(built)?),
        ("captions and interactions were skipped", results.skipped_annotations(built)?),
        ("boxes were cut or taken once", results.mended_boxes(built)?),
    ];
    let mut tables = Vec::new();
    for table in wanted {
        let mut made = match table {
            Table::Classification => classification(experiment, built, results)?,
            Table::Localization => localization(experiment, built, results)?,
            Table::Extraction => extraction(experiment, built, results, machine)?,
        };
        add_published(&mut made, &experiment.recipe.published, table);
        for (what, places) in &left_out {
            if let Some(first) = places.first() {
                made.notes.push(format!(
                    "{} {what}, the first: {}: {}",
                    places.len(),
                    first.place,
                    first.problem
                ));
            }
        }
        tables.push(made);
    }
    Ok(tables)
}

/// The cells whose rows come from one stage: of several cells with the same stage one row is
/// enough.
struct Group<'a> {
    cells: Vec<&'a PlannedCell>,
}

impl<'a> Group<'a> {
    fn first(&self) -> &'a PlannedCell {
        self.cells[0]
    }
}

fn groups<'a, S: Ord>(
    built: &'a Built,
    stage: impl Fn(&PlannedCell) -> Option<S>,
) -> Vec<Group<'a>> {
    let mut positions: BTreeMap<(String, S), usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for cell in &built.cells {
        let Some(id) = stage(cell) else { continue };
        let model = cell.cell.model.clone();
        let position = *positions.entry((model, id)).or_insert_with(|| {
            groups.push(Group { cells: Vec::new() });
            groups.len() - 1
        });
        groups[position].cells.push(cell);
    }
    groups
}

/// Columns of tables by names that a recipe's field has, too.
const OWN_COLUMNS: [&str; 7] = ["mode", "pool", "batch_norm", "head", "classes", "frames", "boxes"];

/// What tables have columns of their own for.
const ROI_THRESHOLD: RecipeKey = recipe_key!(ExtractionRecipe, roi_threshold);
const POOL: RecipeKey = recipe_key!(ExtractionRecipe, pool);
const BATCH_NORM: RecipeKey = recipe_key!(ExtractionRecipe, batch_norm);

/// One column for each swept value that decides which row a cell is in, but for those that the
/// table shows anyway.
fn axis_columns(
    experiment: &Experiment,
    groups: &[Group],
    shown_anyway: &[RecipeKey],
) -> Vec<TableColumn> {
    let shown_anyway: Vec<String> = shown_anyway.iter().map(|key| key.axis()).collect();
    let mut columns = Vec::new();
    let last_part = |axis: &str| axis.split('.').next_back().unwrap_or(axis).to_string();
    // Seeds of a model and of a head are told apart, and both from the tables' own columns.
    let is_taken = |name: &String| {
        OWN_COLUMNS.contains(&name.as_str())
            || experiment.axes.iter().filter(|axis| last_part(axis) == *name).count() > 1
    };
    for axis in experiment
        .axes
        .iter()
        .filter(|axis| (axis.contains('.') || *axis == CASE) && !shown_anyway.contains(axis))
    {
        let value = |cell: &PlannedCell| {
            cell.cell
                .assignment
                .get(axis)
                .map(|value| value.to_string().trim_matches('"').to_string())
        };
        let is_decided = groups
            .iter()
            .all(|group| group.cells.iter().all(|cell| value(cell) == value(group.first())));
        let differs = groups.iter().any(|group| value(group.first()) != value(groups[0].first()));
        if is_decided && differs {
            let name = Some(last_part(axis))
                .filter(|name| !is_taken(name))
                .unwrap_or_else(|| axis.clone())
                .replace('_', " ");
            columns.push(TableColumn::text(
                name,
                groups.iter().map(|group| value(group.first())).collect(),
            ));
        }
    }
    columns
}

/// One detail column for each class that any row has, named by the class.
pub(super) fn class_columns(
    prefix: &str,
    groups: &[&PlannedCell],
    values: &[Option<Vec<Option<f64>>>],
) -> Vec<TableColumn> {
    let mut names: Vec<&String> = Vec::new();
    for cell in groups {
        for class in &cell.label_space.classes {
            if !names.contains(&class) {
                names.push(class);
            }
        }
    }
    let value = |cell: &PlannedCell,
                 values: &Option<Vec<Option<f64>>>,
                 class: &str|
     -> Option<f64> { *values.as_ref()?.get(cell.label_space.index_of(class)?)? };
    names
        .iter()
        .map(|class| {
            let column = groups
                .iter()
                .zip(values)
                .map(|(cell, values)| value(cell, values, class))
                .collect();
            TableColumn::number(format!("{prefix} {class}"), 3, column).detail()
        })
        .collect()
}

fn variants(cells: &[&PlannedCell]) -> TableColumn {
    TableColumn::text("variant", cells.iter().map(|cell| Some(cell.model.name.clone())).collect())
}

fn classification(
    experiment: &Experiment,
    built: &Built,
    results: &Results,
) -> Result<ResultTable> {
    let groups = groups(built, |cell| cell.stages.evaluate);
    let cells: Vec<&PlannedCell> = groups.iter().map(Group::first).collect();
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
    let notes = vec!["accuracy: share of validation frames whose every label is right at sigmoid > 0.5; AP of a class without a positive frame is left out of mAP".into()];
    Ok(ResultTable {
        name: "classification".into(),
        title: format!("Classification ({})", experiment.name),
        columns,
        notes,
        more_rows: 0,
    })
}

fn trained_on(cell: &PlannedCell) -> String {
    let model = &cell.model.value;
    match (model.train, &model.fine_tune_from) {
        (surgcam_values::Training::None, _) => "given weights".into(),
        (_, Some(parent)) => format!("{parent}, then {}", model.data),
        _ => model.data.clone(),
    }
}

fn localization(experiment: &Experiment, built: &Built, results: &Results) -> Result<ResultTable> {
    let groups = groups(built, |cell| cell.stages.score);
    // Each group has two rows: its boxes, and the control.
    let cells: Vec<&PlannedCell> = groups.iter().flat_map(|group| [group.first(); 2]).collect();
    let mut metrics: Vec<Option<Localization>> = Vec::new();
    let mut frames = Vec::new();
    let (mut without_truth, mut validation) = (0, 0);
    let scores: Vec<Option<LocalizationMetrics>> = groups
        .par_iter()
        .map(|group| results.metrics(group.first().stages.score))
        .collect::<Result<_>>()?;
    for found in scores {
        let scored = found.as_ref().map(|found| found.scored_frames as i64);
        frames.extend([scored; 2]);
        if let Some(found) = found {
            validation = validation.max(found.validation_frames);
            without_truth = without_truth.max(found.validation_frames - found.scored_frames);
            metrics.extend([Some(found.boxes), Some(found.control)]);
        } else {
            metrics.extend([None, None]);
        }
    }
    let heat: Vec<Option<HeatScoreMetrics>> = groups
        .par_iter()
        .map(|group| results.metrics(group.first().stages.heat_score))
        .collect::<Result<_>>()?;
    let heat: Vec<Option<HeatLocalization>> = heat
        .into_iter()
        .flat_map(|found| {
            found.map_or([None, None], |found| [Some(found.heat), Some(found.control)])
        })
        .collect();
    let curves: Vec<Option<DeletionInsertionMetrics>> = groups
        .par_iter()
        .map(|group| results.metrics(group.first().stages.deletion_insertion))
        .collect::<Result<_>>()?;
    let curves: Vec<Option<CurveAreas>> = curves
        .into_iter()
        .flat_map(|found| {
            found.map_or([None, None], |found| [Some(found.heat), Some(found.control)])
        })
        .collect();
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
        "mIoU instruments leaves the tissue out, which fills the frame and flatters; the control scores the same boxes against the ground truth of a frame half the data away".to_string(),
        "box precision, recall and F1 (at IoU 0.5), COCO AP50 and AP50:95 are those of pycocotools, as means over the classes that have true boxes".to_string(),
        "energy in box: share of a class's heat inside its true boxes; pointing game: share of frames whose hottest pixel lies in one; both where the class is present and has a true box, as means over classes".to_string(),
    ];
    notes.extend(judged_by_curves.then(|| CURVES_NOTE.to_string()));
    if without_truth > 0 {
        notes.push(format!("{without_truth} of {validation} validation frames have no annotated boxes and take no part"));
    }
    Ok(ResultTable {
        name: "localization".into(),
        title: format!("Localization ({})", experiment.name),
        columns,
        notes,
        more_rows: 0,
    })
}

fn extraction(
    experiment: &Experiment,
    built: &Built,
    results: &Results,
    machine: Option<&MeasuredMachine>,
) -> Result<ResultTable> {
    // Rows are distinct by features and by how they are judged.
    let groups = groups(built, |cell| {
        let PlannedCell { stages, .. } = cell;
        stages.extract.map(|extract| (extract, stages.probe, stages.caption, stages.interact))
    });
    let cells: Vec<&PlannedCell> = groups.iter().map(Group::first).collect();
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
    let speed =
        |value: fn(&Speed) -> f64| speeds.iter().map(|speed| speed.as_ref().map(value)).collect();
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
    columns.push(TableColumn::number("FPS", 1, speed(|speed| speed.frames_per_second)));
    columns.push(TableColumn::number("p50 ms", 1, speed(|speed| speed.p50_milliseconds)));
    columns.push(TableColumn::number("p95 ms", 1, speed(|speed| speed.p95_milliseconds)));
    let (timed, timed_note) = task_columns::timing("timed", &speeds).unzip();
    columns.extend(timed);
    columns.push(TableColumn::number(
        "passes/frame",
        2,
        per_frame(|summary| summary.forward_passes),
    ));
    columns.push(TableColumn::number("regions/frame", 2, per_frame(|summary| summary.regions)));
    let mut notes: Vec<String> = timed_note.into_iter().collect();
    if cells.iter().any(|cell| cell.stages.probe.is_some()) {
        let map =
            |probe: &Option<Probe>| probe.as_ref().and_then(|probe| probe.mean_average_precision);
        columns.push(TableColumn::number("probe mAP", 3, probes.iter().map(map).collect()));
        notes.push("probe mAP: labels of the validation frames from the mean and maximum of the frame's region features, by ridge regression on the train frames".to_string());
    }
    let tasks = task_columns::of(&cells, results)?;
    columns.extend(tasks.columns);
    notes.extend(tasks.notes);
    if let Some(machine) = machine {
        let mut precisions: Vec<&str> = cells
            .iter()
            .filter_map(|cell| Some(cell.extraction.as_ref()?.value.precision.name()))
            .collect();
        precisions.sort_unstable();
        precisions.dedup();
        notes.push(format!(
            "speed: {}, {} threads, {}, batch 1, from packed pixels to features (decoding not included)",
            machine.device,
            machine.threads,
            precisions.join(" and ")
        ));
    }
    let without_region: usize =
        summaries.iter().flatten().map(|summary| summary.classes_without_region).sum();
    if without_region > 0 {
        notes.push(format!(
            "{without_region} times, over all rows, a present class had no region at its T_ROI"
        ));
    }
    Ok(ResultTable {
        name: "extraction".into(),
        title: format!("Extraction ({})", experiment.name),
        columns,
        notes,
        more_rows: 0,
    })
}

/// The head of each row, where a matrix sweeps heads.
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

/// Beside each column that a publication gives values for: those values, and measured minus
/// published.
fn add_published(table: &mut ResultTable, published: &[PublishedValue], which: Table) {
    let of_table: Vec<&PublishedValue> =
        published.iter().filter(|published| published.table == which).collect();
    let names: BTreeSet<&String> = of_table.iter().map(|published| &published.column).collect();
    for name in names {
        let Some(position) = table.columns.iter().position(|column| &column.name == name) else {
            table.notes.push(format!(
                "published values for a column `{name}`, which this table does not have"
            ));
            continue;
        };
        let Cells::Number(measured, digits) = table.columns[position].cells.clone() else {
            continue;
        };
        let value = |row: usize| {
            let matches = |published: &&&PublishedValue| {
                published.row.iter().all(|(column, wanted)| {
                    table.column(column).is_some_and(|column| column.shown(row) == *wanted)
                })
            };
            of_table
                .iter()
                .filter(|published| &published.column == name)
                .find(matches)
                .map(|published| published.value.value())
        };
        let values: Vec<Option<f64>> = (0..measured.len()).map(value).collect();
        let differences = measured
            .iter()
            .zip(&values)
            .map(|(measured, published)| Some((*measured)? - (*published)?))
            .collect();
        table
            .columns
            .insert(position + 1, TableColumn::number(format!("{name} published"), digits, values));
        table.columns.insert(
            position + 2,
            TableColumn::number(format!("{name} difference"), digits, differences),
        );
    }
}

#[cfg(test)]
mod tests {
    use surgcam_values::Printed;

    use super::*;

    #[test]
    fn published_values_stand_beside_the_measured_ones_and_empty_stays_empty() {
        let mut table = ResultTable {
            name: "classification".into(),
            title: String::new(),
            columns: vec![
                TableColumn::text("variant", vec![Some("gc-a".into()), Some("gc-d".into())]),
                TableColumn::number("mAP", 3, vec![Some(0.5), Some(0.75)]),
            ],
            notes: vec![],
            more_rows: 0,
        };
        let row = BTreeMap::from([("variant".to_string(), "gc-d".to_string())]);
        let published = PublishedValue {
            table: Table::Classification,
            row,
            column: "mAP".into(),
            value: Printed::new(0.5),
        };
        add_published(&mut table, &[published], Table::Classification);
        let shown: Vec<Vec<String>> = (0..2)
            .map(|row| table.columns.iter().map(|column| column.shown(row)).collect())
            .collect();
        assert_eq!(shown, [["gc-a", "0.500", "-", "-"], ["gc-d", "0.750", "0.500", "0.250"]]);
        add_published(&mut table, &[], Table::Classification);
        assert_eq!(table.columns.len(), 4);
    }

    #[test]
    fn a_column_with_published_values_between_those_of_another_is_there_once() {
        let column = |name: &str| TableColumn::number(name, 3, vec![Some(0.5)]);
        let mut table = ResultTable {
            name: "classification".into(),
            title: String::new(),
            columns: vec![column("mAP"), column("accuracy")],
            notes: vec![],
            more_rows: 0,
        };
        let published = ["mAP", "accuracy", "mAP"].map(|column| PublishedValue {
            table: Table::Classification,
            row: BTreeMap::new(),
            column: column.into(),
            value: Printed::new(0.5),
        });
        add_published(&mut table, &published, Table::Classification);
        assert_eq!(table.columns.len(), 6);
    }
}
