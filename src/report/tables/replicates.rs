//! Tables over seeds: the rows that differ in their seeds alone become one row, with the mean and
//! the sample standard deviation of each number.

use std::collections::{HashMap, HashSet};

use super::cell_table::{CellTable, Row};
use crate::report::column_groups::{ColumnGroup, groups, key_columns};
use crate::report::result_table::{Cells, ResultTable, TableColumn};
use crate::report::statistics::{mean, sample_deviation};
use surgcam_engine::plan::StageId;
use surgcam_pipeline::planned::PlannedCell;
use surgcam_recipe::matrix::Assignment;
use surgcam_recipe::replicates::SEED_AXES;
use surgcam_values::Seeds;

/// The column with the number of replicates of a row.
pub const SEEDS: &str = "seeds";
/// The column with the seed of a row that is one replicate.
const SEED: &str = "seed";

/// The rows of a table before they are put together, which are the replicates of one row each.
pub struct Replicates<'a>(pub Vec<Vec<Row<'a>>>);

/// A table of means, where each of its rows comes from, and the table with a row for each seed.
pub struct OverSeeds<'a> {
    pub table: ResultTable,
    pub replicates: Replicates<'a>,
    /// `None` if there is one seed.
    pub by_seed: Option<ResultTable>,
}

/// Without seeds, the table stays as it is.
pub fn over_seeds<'a>(made: CellTable<'a>, seeds: Option<&Seeds>) -> OverSeeds<'a> {
    let CellTable { table, rows } = made;
    let Some(seeds) = seeds else {
        let replicates = Replicates(rows.into_iter().map(|row| vec![row]).collect());
        return OverSeeds { table, replicates, by_seed: None };
    };
    let places = places_of_replicates(&rows);
    let by_seed = (seeds.values().len() > 1).then(|| by_seed(&table, &rows, &places));
    let replicates = Replicates(
        places.iter().map(|places| places.iter().map(|&place| rows[place]).collect()).collect(),
    );
    let made_by =
        |column: &TableColumn, group, place: usize| made_by(rows[place].cell, column, group);
    OverSeeds { table: means(&table, &places, seeds, made_by), replicates, by_seed }
}

/// The places of the rows that differ in their seeds alone, in the order of their first ones.
fn places_of_replicates(rows: &[Row]) -> Vec<Vec<usize>> {
    let mut known: HashMap<(String, String, bool), usize> = HashMap::new();
    let mut places: Vec<Vec<usize>> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let cell = &row.cell.cell;
        let others: Assignment = cell
            .assignment
            .iter()
            .filter(|(axis, _)| !SEED_AXES.contains(&axis.as_str()))
            .map(|(axis, value)| (axis.clone(), value.clone()))
            .collect();
        let key = (cell.model.clone(), format!("{others:?}"), row.is_control);
        let group = *known.entry(key).or_insert_with(|| {
            places.push(Vec::new());
            places.len() - 1
        });
        places[group].push(place);
    }
    places
}

/// The stage that a cell's value in a column comes from, where it may be another one than that of
/// the row.
fn made_by(cell: &PlannedCell, column: &TableColumn, group: ColumnGroup) -> Option<StageId> {
    let stages = &cell.stages;
    match (group, column.name.as_str()) {
        (ColumnGroup::Speed, "FPS tasks") => stages.measure_tasks.map(StageId::from),
        (ColumnGroup::Speed, "passes/frame" | "regions/frame") => stages.extract.map(StageId::from),
        (ColumnGroup::Speed, _) => stages.measure.map(StageId::from),
        (ColumnGroup::Probe, _) => stages.probe.map(StageId::from),
        (ColumnGroup::Captions, _) => stages.caption.map(StageId::from),
        (ColumnGroup::Interactions, _) => stages.interact.map(StageId::from),
        (ColumnGroup::Row | ColumnGroup::Scores | ColumnGroup::Classes, _) => None,
    }
}

/// The means. A value that several rows have from one stage counts once: a captioner may depend on
/// the seed where the speed beside it does not.
fn means(
    table: &ResultTable,
    places: &[Vec<usize>],
    seeds: &Seeds,
    made_by: impl Fn(&TableColumn, ColumnGroup, usize) -> Option<StageId>,
) -> ResultTable {
    let of_column = |(column, group): (&TableColumn, ColumnGroup)| {
        let once = |of: &Vec<usize>| -> Vec<usize> {
            let mut known = HashSet::new();
            let mut is_new = |place: usize| {
                made_by(column, group, place).is_none_or(|stage| known.insert(stage))
            };
            of.iter().copied().filter(|&place| is_new(place)).collect()
        };
        mean_column(column, &places.iter().map(once).collect::<Vec<_>>())
    };
    let mut columns: Vec<TableColumn> =
        table.columns.iter().zip(groups(table)).map(of_column).collect();
    let counts = places.iter().map(|places| Some(places.len() as i64)).collect();
    columns.insert(key_columns(table).len(), TableColumn::count(SEEDS, counts));
    let mut notes = table.notes.clone();
    notes.push(note(seeds));
    let is_reference = |(_, places): &(usize, &Vec<usize>)| {
        places.iter().any(|place| table.reference_rows.contains(place))
    };
    let reference_rows =
        places.iter().enumerate().filter(is_reference).map(|(row, _)| row).collect();
    ResultTable { columns, notes, reference_rows, ..table.clone() }
}

fn note(seeds: &Seeds) -> String {
    let listed: Vec<String> = seeds.values().iter().map(u64::to_string).collect();
    let listed = listed.join(", ");
    if seeds.values().len() == 1 {
        return format!("of a single seed, {listed}: how much seeds vary is not known");
    }
    format!(
        "mean ± sample standard deviation (ddof = 1) over the seeds {listed}; the column `seeds` \
         counts the results of a row, and a result that depends on no seed is there once"
    )
}

/// One value for each row of means.
fn mean_column(column: &TableColumn, places: &[Vec<usize>]) -> TableColumn {
    let of_rows = places.iter();
    let cells = match &column.cells {
        Cells::Text(values) => Cells::Text(of_rows.map(|of| joined(values, of)).collect()),
        Cells::Count(values) => Cells::Count(
            of_rows.map(|of| of.iter().filter_map(|&place| values[place]).max()).collect(),
        ),
        Cells::Number(values, digits) => {
            let present =
                |of: &Vec<usize>| -> Vec<f64> { of.iter().filter_map(|&p| values[p]).collect() };
            let deviations: Vec<Option<f64>> =
                places.iter().map(|of| sample_deviation(&present(of))).collect();
            let means = of_rows.map(|of| mean(&present(of))).collect();
            let has_replicates = places.iter().any(|of| of.len() > 1);
            return TableColumn {
                cells: Cells::Number(means, *digits),
                deviations: has_replicates.then_some(deviations),
                ..column.clone()
            };
        }
    };
    TableColumn { cells, ..column.clone() }
}

/// The text of all rows, or the different texts of several.
fn joined(values: &[Option<String>], of: &[usize]) -> Option<String> {
    let mut texts: Vec<&str> = Vec::new();
    for text in of.iter().filter_map(|&place| values[place].as_deref()) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// The table as it is, with the seed of each row.
fn by_seed(table: &ResultTable, rows: &[Row], places: &[Vec<usize>]) -> ResultTable {
    let mut seeds: Vec<Option<String>> =
        rows.iter().map(|row| seed_of(row.cell).map(|seed| seed.to_string())).collect();
    for alone in places.iter().filter(|places| places.len() == 1) {
        seeds[alone[0]] = Some("any".into());
    }
    let mut columns = table.columns.clone();
    columns.insert(key_columns(table).len(), TableColumn::text(SEED, seeds));
    ResultTable {
        name: format!("{}-seeds", table.name),
        title: format!("{}, seed by seed", table.title),
        columns,
        notes: vec!["a row with the seed `any` depends on no seed".into()],
        more_rows: table.more_rows,
        reference_rows: table.reference_rows.clone(),
    }
}

fn seed_of(cell: &PlannedCell) -> Option<i64> {
    cell.cell.assignment.get(SEED_AXES[0])?.as_integer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_means_with_their_deviations_and_equal_texts_stay() {
        let text = |values: [&str; 4]| values.map(|value| Some(value.to_string())).to_vec();
        let table = ResultTable {
            name: "extraction".into(),
            title: "Extraction".into(),
            columns: vec![
                TableColumn::text("mode", text(["sl-fe", "sl-fe", "sl-fe", "whole-frame"])),
                TableColumn::count("pool", vec![Some(512); 4]),
                TableColumn::number("FPS", 1, vec![Some(1.0), Some(2.0), None, Some(9.0)]),
                TableColumn::text("timed", text(["alone", "not alone", "alone", "alone"])),
            ],
            ..Default::default()
        };
        let seeds: Seeds = serde_json::from_str("[1, 2, 3]").unwrap();
        let found = means(&table, &[vec![0, 1, 2], vec![3]], &seeds, |_, _, _| None);
        let shown = |row: usize| -> Vec<String> {
            found.columns.iter().map(|column| column.shown(row)).collect()
        };
        assert_eq!(shown(0), ["sl-fe", "512", "3", "1.5 ± 0.7", "alone, not alone"]);
        assert_eq!(shown(1), ["whole-frame", "512", "1", "9.0", "alone"]);
        assert!(found.notes[0].contains("ddof = 1) over the seeds 1, 2, 3;"), "{:?}", found.notes);
        let rows = [vec![0], vec![1], vec![2], vec![3]];
        let one = means(&table, &rows, &seeds, |_, _, _| None);
        assert!(one.columns.iter().all(|column| column.deviations.is_none()));
    }

    #[test]
    fn a_value_that_replicates_share_has_no_deviation() {
        let number =
            |name: &str, values: [f64; 2]| TableColumn::number(name, 3, values.map(Some).to_vec());
        let table = ResultTable {
            name: "extraction".into(),
            title: "Extraction".into(),
            columns: vec![
                TableColumn::text("mode", vec![Some("sl-fe".into()); 2]),
                number("FPS", [60.0, 60.0]),
                number("probe mAP", [0.5, 0.5]),
                number("CIDEr", [0.25, 0.75]),
            ],
            ..Default::default()
        };
        let seeds: Seeds = serde_json::from_str("[1, 2]").unwrap();
        // Speed and probe are measured once, and each seed has a captioner.
        let made_by = |_: &TableColumn, group: ColumnGroup, place: usize| match group {
            ColumnGroup::Captions => Some(StageId(10 + place)),
            ColumnGroup::Probe => Some(StageId(2)),
            _ => Some(StageId(1)),
        };
        let found = means(&table, &[vec![0, 1]], &seeds, made_by);
        let shown: Vec<String> = found.columns.iter().map(|column| column.shown(0)).collect();
        assert_eq!(shown, ["sl-fe", "2", "60.000", "0.500", "0.500 ± 0.354"]);
    }
}
