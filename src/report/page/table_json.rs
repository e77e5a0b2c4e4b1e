//! Tables in the form that the page's script reads: JSON that is also safe inside an HTML element.

use serde::Serialize;

use crate::report::column_groups::{best_rows, groups};
use crate::report::result_table::{Cells, ResultTable, TableColumn};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

#[derive(Serialize)]
struct PageTable<'a> {
    name: &'a str,
    columns: Vec<PageColumn>,
}

#[derive(Serialize)]
struct PageColumn {
    name: String,
    group: &'static str,
    /// Whether the column is hidden at first.
    detail: bool,
    number: bool,
    values: Values,
    /// As every other form of the table shows them.
    shown: Vec<String>,
    /// Rows with the best value.
    best: Vec<usize>,
}

/// All digits: what the CSV has.
#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    Text(Vec<Option<String>>),
    Count(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
}

/// The tables as JSON without a character that HTML could take for more than text.
pub fn as_json(tables: &[ResultTable]) -> Result<String> {
    let tables: Vec<PageTable> = tables.iter().map(page_table).collect();
    let text = serde_json::to_string(&tables)
        .map_err(|error| Error::failure(format!("cannot write the tables: {error}")))?;
    Ok(within_html(&text))
}

fn page_table(table: &ResultTable) -> PageTable<'_> {
    let columns = table
        .columns
        .iter()
        .zip(groups(table))
        .map(|(column, group)| page_column(table, column, group.name()));
    PageTable { name: &table.name, columns: columns.collect() }
}

fn page_column(table: &ResultTable, column: &TableColumn, group: &'static str) -> PageColumn {
    let line = |text: &str| escape::line(text).into_owned();
    PageColumn {
        name: line(&column.name),
        group,
        detail: column.is_detail,
        number: column.is_number(),
        values: match &column.cells {
            Cells::Text(values) => {
                Values::Text(values.iter().map(|value| value.as_deref().map(line)).collect())
            }
            Cells::Count(values) => Values::Count(values.clone()),
            Cells::Number(values, _) => Values::Number(values.clone()),
        },
        shown: (0..column.len()).map(|row| line(&column.shown(row))).collect(),
        best: best_rows(table, column),
    }
}

/// Escapes the characters that act in HTML. In JSON they occur only in strings, where an escape
/// means the same.
fn within_html(json: &str) -> String {
    json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_all_digits_and_no_text_ends_the_element() {
        let names = ["</script><script>alert(1)</script>", "a & b\u{1b}[2J"]
            .map(|name| Some(name.to_string()));
        let numbers = vec![Some(0.1 + 0.2), Some(1.0 / 3.0)];
        let table = ResultTable {
            name: "extraction".into(),
            columns: vec![
                TableColumn::text("variant", names.to_vec()),
                TableColumn::number("FPS", 3, numbers.clone()),
            ],
            ..Default::default()
        };
        let text = as_json(&[table]).unwrap();
        assert!(!text.contains(['<', '>', '&', '\u{1b}']), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let column = &read[0]["columns"][1];
        assert_eq!(column["values"], serde_json::json!(numbers));
        assert_eq!(column["shown"], serde_json::json!(["0.300", "0.333"]));
        assert_eq!(column["best"], serde_json::json!([1]));
        assert_eq!(column["group"], "speed");
        assert_eq!(read[0]["columns"][0]["shown"][0], "</script><script>alert(1)</script>");
    }
}
