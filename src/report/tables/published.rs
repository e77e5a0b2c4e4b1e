//! Values of a publication beside the measured ones.

use std::collections::BTreeSet;

use crate::report::result_table::{Cells, ResultTable, TableColumn};
use surgcam_recipe::schema::PublishedValue;
use surgcam_values::Table;

/// Adds two columns beside each column for which a publication gives values: these values, and the
/// measured values minus these.
pub fn add_published(table: &mut ResultTable, published: &[PublishedValue], which: Table) {
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
    use std::collections::BTreeMap;

    use surgcam_values::Printed;

    use super::*;

    #[test]
    fn published_values_stand_beside_the_measured_ones_and_empty_stays_empty() {
        let mut table = ResultTable {
            name: "classification".into(),
            columns: vec![
                TableColumn::text("variant", vec![Some("gc-a".into()), Some("gc-d".into())]),
                TableColumn::number("mAP", 3, vec![Some(0.5), Some(0.75)]),
            ],
            ..Default::default()
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
            columns: vec![column("mAP"), column("accuracy")],
            ..Default::default()
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
