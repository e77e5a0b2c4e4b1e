//! A table before it is rendered: typed columns, notes, and its polars form.

use polars::prelude::{Column, DataFrame};
use serde::{Deserialize, Serialize};

use surgcam_engine::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cells {
    Text(Vec<Option<String>>),
    Count(Vec<Option<i64>>),
    /// Shown with so many digits behind the point; files keep all.
    Number(Vec<Option<f64>>, usize),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableColumn {
    pub name: String,
    pub cells: Cells,
    /// Left out on a terminal that is too narrow.
    pub is_detail: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultTable {
    /// File name without extension.
    pub name: String,
    pub title: String,
    pub columns: Vec<TableColumn>,
    pub notes: Vec<String>,
    /// Rows that are in the files and not here.
    pub more_rows: usize,
}

/// What an absent value looks like.
pub const ABSENT: &str = "-";

impl TableColumn {
    pub fn text(name: impl Into<String>, values: Vec<Option<String>>) -> Self {
        TableColumn { name: name.into(), cells: Cells::Text(values), is_detail: false }
    }

    pub fn count(name: impl Into<String>, values: Vec<Option<i64>>) -> Self {
        TableColumn { name: name.into(), cells: Cells::Count(values), is_detail: false }
    }

    pub fn number(name: impl Into<String>, digits: usize, values: Vec<Option<f64>>) -> Self {
        // Nobody means the -0 that the sum of nothing is.
        let values = values.into_iter().map(|value| value.map(|value| value + 0.0)).collect();
        TableColumn { name: name.into(), cells: Cells::Number(values, digits), is_detail: false }
    }

    pub fn detail(mut self) -> Self {
        self.is_detail = true;
        self
    }

    pub fn len(&self) -> usize {
        match &self.cells {
            Cells::Text(values) => values.len(),
            Cells::Count(values) => values.len(),
            Cells::Number(values, _) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As a person reads it.
    pub fn shown(&self, row: usize) -> String {
        let shown = match &self.cells {
            Cells::Text(values) => values[row].clone(),
            Cells::Count(values) => values[row].map(|value| value.to_string()),
            Cells::Number(values, digits) => values[row].map(|value| format!("{value:.digits$}")),
        };
        shown.unwrap_or_else(|| ABSENT.into())
    }

    /// The number in a cell; `None` where there is none, and in a text.
    pub fn number_at(&self, row: usize) -> Option<f64> {
        match &self.cells {
            Cells::Text(_) => None,
            Cells::Count(values) => values.get(row).copied().flatten().map(|value| value as f64),
            Cells::Number(values, _) => values.get(row).copied().flatten(),
        }
    }

    pub fn has_value(&self, row: usize) -> bool {
        match &self.cells {
            Cells::Text(values) => values[row].is_some(),
            Cells::Count(values) => values[row].is_some(),
            Cells::Number(values, _) => values[row].is_some(),
        }
    }

    /// The same column with only these rows, in their order.
    pub fn with_rows(&self, rows: &[usize]) -> Self {
        fn chosen<T: Clone>(values: &[Option<T>], rows: &[usize]) -> Vec<Option<T>> {
            rows.iter().map(|&row| values[row].clone()).collect()
        }
        let cells = match &self.cells {
            Cells::Text(values) => Cells::Text(chosen(values, rows)),
            Cells::Count(values) => Cells::Count(chosen(values, rows)),
            Cells::Number(values, digits) => Cells::Number(chosen(values, rows), *digits),
        };
        TableColumn { name: self.name.clone(), cells, is_detail: self.is_detail }
    }

    fn truncate(&mut self, rows: usize) {
        match &mut self.cells {
            Cells::Text(values) => values.truncate(rows),
            Cells::Count(values) => values.truncate(rows),
            Cells::Number(values, _) => values.truncate(rows),
        }
    }

    pub fn is_number(&self) -> bool {
        !matches!(self.cells, Cells::Text(_))
    }
}

impl ResultTable {
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, TableColumn::len)
    }

    /// Its first rows, as many as a person looks at.
    pub fn head(mut self, rows: usize) -> Self {
        self.more_rows += self.rows().saturating_sub(rows);
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
        self
    }

    /// The same table with other texts: title, column names, text cells and notes are changed one
    /// by one.
    pub fn with_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let changed = |column: &TableColumn| TableColumn {
            name: change(&column.name),
            cells: match &column.cells {
                Cells::Text(values) => {
                    Cells::Text(values.iter().map(|value| value.as_deref().map(&change)).collect())
                }
                numbers => numbers.clone(),
            },
            is_detail: column.is_detail,
        };
        ResultTable {
            name: self.name.clone(),
            title: change(&self.title),
            columns: self.columns.iter().map(changed).collect(),
            notes: self.notes.iter().map(|note| change(note)).collect(),
            more_rows: self.more_rows,
        }
    }

    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn to_frame(&self) -> Result<DataFrame> {
        let columns = self.columns.iter().map(|column| {
            let name = column.name.as_str().into();
            match &column.cells {
                Cells::Text(values) => Column::new(name, values),
                Cells::Count(values) => Column::new(name, values),
                Cells::Number(values, _) => Column::new(name, values),
            }
        });
        DataFrame::new_infer_height(columns.collect()).map_err(|error| {
            Error::failure(format!("cannot make the table {}: {error}", self.name))
        })
    }
}
