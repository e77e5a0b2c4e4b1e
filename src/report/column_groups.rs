//! Which columns of a table belong together, what tells its rows apart, and in which columns a high
//! or a low value is the better one.

use super::result_table::{Cells, ResultTable, TableColumn};

/// The groups, in the order in which tables have their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnGroup {
    /// What tells rows apart: variant, mode, swept values.
    Row,
    Scores,
    Speed,
    Probe,
    Captions,
    Interactions,
    Classes,
}

impl ColumnGroup {
    /// As a heading over the group's columns.
    pub fn name(self) -> &'static str {
        match self {
            ColumnGroup::Row => "",
            ColumnGroup::Scores => "scores",
            ColumnGroup::Speed => "speed",
            ColumnGroup::Probe => "probe",
            ColumnGroup::Captions => "captions",
            ColumnGroup::Interactions => "interactions",
            ColumnGroup::Classes => "classes",
        }
    }
}

/// The columns at the beginning of a table, before what was measured.
pub fn key_columns(table: &ResultTable) -> &[TableColumn] {
    let first_measured =
        table.columns.iter().position(|column| matches!(column.cells, Cells::Number(..)));
    &table.columns[..first_measured.unwrap_or(table.columns.len())]
}

/// The group of each column.
pub fn groups(table: &ResultTable) -> Vec<ColumnGroup> {
    let keys = key_columns(table).len();
    let of = |(place, column): (usize, &TableColumn)| {
        if place < keys { ColumnGroup::Row } else { of_measured(table, column) }
    };
    table.columns.iter().enumerate().map(of).collect()
}

fn of_measured(table: &ResultTable, column: &TableColumn) -> ColumnGroup {
    let name = column.name.as_str();
    if table.name == "stages" {
        // The report's list of stages measures nothing.
        return ColumnGroup::Row;
    }
    let begins =
        |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
    if begins(&["FPS", "p50 ms", "p95 ms", "timed", "tasks timed", "passes/frame", "regions/frame"])
    {
        ColumnGroup::Speed
    } else if begins(&["probe "]) {
        ColumnGroup::Probe
    } else if begins(&["BLEU-", "METEOR", "ROUGE-L", "CIDEr"]) {
        ColumnGroup::Captions
    } else if begins(&["interaction ", "missed instruments"]) {
        ColumnGroup::Interactions
    } else if begins(&OF_CLASSES) && column.is_detail {
        // The extraction table has such columns of interactions, the others have them of classes.
        if table.name == "extraction" { ColumnGroup::Interactions } else { ColumnGroup::Classes }
    } else {
        ColumnGroup::Scores
    }
}

/// How the names of columns begin that tell of one class or one interaction.
const OF_CLASSES: [&str; 13] = [
    "AP ",
    "AP50 ",
    "IoU ",
    "recall ",
    "box precision ",
    "box recall ",
    "box F1 ",
    "COCO AP50 ",
    "AP50:95 ",
    "energy in box ",
    "pointing game ",
    "deletion ",
    "insertion ",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// Columns of numbers of which neither a high nor a low one is better. The last five are those of
/// the table of differences.
const NEITHER_BETTER: [&str; 7] =
    ["regions/frame", "seconds", "of best", "of other", "difference", "low", "high"];

/// Which values of a column are the better ones. `None` if neither high nor low values are.
fn better(column: &TableColumn) -> Option<Better> {
    if !matches!(column.cells, Cells::Number(..)) {
        return None;
    }
    let name = column.name.as_str();
    if name.ends_with(" published")
        || name.ends_with(" difference")
        || NEITHER_BETTER.contains(&name)
    {
        return None;
    }
    let is_cost = ["p50 ms", "p95 ms", "passes/frame", "missed instruments", "deletion"]
        .contains(&name)
        || name.starts_with("deletion ");
    Some(if is_cost { Better::Lower } else { Better::Higher })
}

/// The rows with the best value of a column. Rows with equal values, as they are shown, share the
/// place. Means over seeds are compared without their deviations. No row is the best if all values
/// are equal. Yardsticks and controls take no part.
pub fn best_rows(table: &ResultTable, column: &TableColumn) -> Vec<usize> {
    let Some(better) = better(column) else { return Vec::new() };
    let values: Vec<(usize, f64)> = (0..column.len())
        .filter(|row| !table.reference_rows.contains(row))
        .filter_map(|row| Some((row, column.number_at(row)?)))
        .collect();
    let best = values.iter().copied().reduce(|best, other| {
        let is_better = if better == Better::Higher { other.1 > best.1 } else { other.1 < best.1 };
        if is_better { other } else { best }
    });
    let Some((best, _)) = best else { return Vec::new() };
    let shown = column.shown_value(best);
    let rows = values.iter().map(|(row, _)| *row);
    let rows: Vec<usize> = rows.filter(|&row| column.shown_value(row) == shown).collect();
    if rows.len() == values.len() { Vec::new() } else { rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, values: &[Option<f64>]) -> TableColumn {
        TableColumn::number(name, 2, values.to_vec())
    }

    fn table_of(name: &str, columns: Vec<TableColumn>) -> ResultTable {
        ResultTable { name: name.into(), columns, ..Default::default() }
    }

    #[test]
    fn equal_values_share_the_best_place_and_a_lone_value_is_not_the_best() {
        let table = table_of("extraction", vec![]);
        let best = |name: &str, values: &[Option<f64>]| best_rows(&table, &column(name, values));
        assert_eq!(best("mAP", &[Some(0.501), None, Some(0.502), Some(0.2)]), [0, 2]);
        assert_eq!(best("p95 ms", &[Some(3.0), Some(2.0)]), [1]);
        assert!(best("mAP", &[Some(0.5), None]).is_empty());
        assert!(best("mAP difference", &[Some(0.5), Some(0.1)]).is_empty());
    }

    #[test]
    fn yardsticks_and_controls_are_never_the_best() {
        let mut table = table_of("extraction", vec![]);
        table.reference_rows.insert(0);
        let values = column("mAP", &[Some(0.9), Some(0.5), Some(0.4)]);
        assert_eq!(best_rows(&table, &values), [1]);
    }

    #[test]
    fn columns_are_grouped_by_what_they_tell() {
        let columns = vec![
            TableColumn::text("mode", vec![]),
            TableColumn::count("pool", vec![]),
            column("FPS", &[]),
            TableColumn::text("timed", vec![]),
            column("probe mAP", &[]),
            column("CIDEr", &[]),
            column("AP grasping", &[]).detail(),
        ];
        let table = table_of("extraction", columns);
        use ColumnGroup::*;
        assert_eq!(groups(&table), [Row, Row, Speed, Speed, Probe, Captions, Interactions]);
    }

    #[test]
    fn details_of_classes_stand_apart_from_the_means_over_classes() {
        let names = [
            "box precision",
            "COCO AP50",
            "energy in box",
            "box precision hook",
            "COCO AP50 hook",
            "energy in box hook",
        ];
        let columns = names.iter().map(|name| column(name, &[]).detail()).collect();
        let mut table = table_of("localization", columns);
        table.columns.insert(0, TableColumn::text("variant", vec![]));
        use ColumnGroup::*;
        assert_eq!(groups(&table), [Row, Scores, Scores, Scores, Classes, Classes, Classes]);
    }
}
