//! Chooses the columns of tables and the order of their rows, as a person asks for them.

use std::cmp::Ordering;

use super::result_table::{Cells, ResultTable, TableColumn};
use surgcam_engine::error::{Error, Result};
use surgcam_recipe::file::did_you_mean;

/// Only these columns, in this order, of the tables that have any of them.
pub fn with_columns(tables: Vec<ResultTable>, names: &[String]) -> Result<Vec<ResultTable>> {
    names.iter().try_for_each(|name| is_known(&tables, name))?;
    let chosen = |table: ResultTable| {
        let columns = names.iter().filter_map(|name| table.column(name).cloned());
        // Whoever names a detail wants to see it.
        let columns: Vec<TableColumn> =
            columns.map(|column| TableColumn { is_detail: false, ..column }).collect();
        ResultTable { columns, ..table }
    };
    Ok(tables.into_iter().map(chosen).filter(|table| !table.columns.is_empty()).collect())
}

/// The tables with their rows sorted by a column, lowest value first. If `-` stands before the
/// column's name, the highest value comes first. Absent values come last. A table without this
/// column stays as it is.
pub fn sorted(tables: Vec<ResultTable>, by: &str) -> Result<Vec<ResultTable>> {
    let is_a_name = tables.iter().any(|table| table.column(by).is_some());
    let (name, is_falling) = match by.strip_prefix('-') {
        Some(name) if !is_a_name => (name, true),
        _ => (by, false),
    };
    is_known(&tables, name)?;
    Ok(tables.into_iter().map(|table| sorted_table(table, name, is_falling)).collect())
}

fn is_known(tables: &[ResultTable], name: &str) -> Result<()> {
    if tables.iter().any(|table| table.column(name).is_some()) {
        return Ok(());
    }
    let known: Vec<&str> =
        tables.iter().flat_map(|table| &table.columns).map(|column| column.name.as_str()).collect();
    let suggestion = did_you_mean(name, known.iter().copied());
    let main = tables.iter().flat_map(|table| &table.columns).filter(|column| !column.is_detail);
    let mut listed: Vec<&str> = main.map(|column| column.name.as_str()).collect();
    listed.sort_unstable();
    listed.dedup();
    Err(Error::usage(format!("no table has a column `{name}`{suggestion}"))
        .hint(format!("the main columns are {}", listed.join(", "))))
}

fn sorted_table(table: ResultTable, name: &str, is_falling: bool) -> ResultTable {
    let Some(column) = table.column(name) else { return table };
    let mut rows: Vec<usize> = (0..table.rows()).collect();
    rows.sort_by(|&a, &b| {
        let order = by_value(column, a, b);
        match (column.has_value(a), column.has_value(b)) {
            (true, true) if is_falling => order.reverse(),
            (true, true) => order,
            (a_has, b_has) => b_has.cmp(&a_has),
        }
    });
    let columns = table.columns.iter().map(|column| column.with_rows(&rows)).collect();
    let is_reference = |place: &usize| table.reference_rows.contains(&rows[*place]);
    let reference_rows = (0..rows.len()).filter(is_reference).collect();
    ResultTable { columns, reference_rows, ..table }
}

/// The order of two rows. Texts that are numbers, such as thresholds, are compared as numbers.
fn by_value(column: &TableColumn, a: usize, b: usize) -> Ordering {
    let number = |row: usize| match &column.cells {
        Cells::Text(values) => values[row].as_deref().and_then(|text| text.parse::<f64>().ok()),
        _ => column.number_at(row),
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        // Numbers first: an order that compared them with texts would go round in circles.
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => column.shown(a).cmp(&column.shown(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<ResultTable> {
        vec![ResultTable {
            name: "extraction".into(),
            columns: vec![
                TableColumn::text(
                    "T_ROI",
                    ["0.5", "0.30", "10"].map(|text| Some(text.into())).to_vec(),
                ),
                TableColumn::number("FPS", 1, vec![Some(3.0), None, Some(7.0)]),
                TableColumn::number("AP grasping", 3, vec![Some(0.1), Some(0.2), Some(0.3)])
                    .detail(),
            ],
            ..Default::default()
        }]
    }

    fn shown(tables: &[ResultTable], name: &str) -> Vec<String> {
        let column = tables[0].column(name).unwrap();
        (0..column.len()).map(|row| column.shown(row)).collect()
    }

    #[test]
    fn rows_are_sorted_by_numbers_and_what_is_absent_comes_last() {
        assert_eq!(shown(&sorted(tables(), "FPS").unwrap(), "FPS"), ["3.0", "7.0", "-"]);
        assert_eq!(shown(&sorted(tables(), "-FPS").unwrap(), "FPS"), ["7.0", "3.0", "-"]);
        assert_eq!(shown(&sorted(tables(), "T_ROI").unwrap(), "T_ROI"), ["0.30", "0.5", "10"]);
    }

    #[test]
    fn named_columns_are_shown_and_an_unknown_one_is_refused_with_the_nearest() {
        let chosen = with_columns(tables(), &["AP grasping".into(), "FPS".into()]).unwrap();
        assert_eq!(
            chosen[0]
                .columns
                .iter()
                .map(|column| (column.name.as_str(), column.is_detail))
                .collect::<Vec<_>>(),
            [("AP grasping", false), ("FPS", false)]
        );
        let error = sorted(tables(), "FPZ").unwrap_err().to_string();
        assert!(error.contains("no table has a column `FPZ`") && error.contains("FPS"), "{error}");
    }
}
