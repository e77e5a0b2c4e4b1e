//! A table before it is rendered: typed columns, notes, and its polars form.

use std::collections::BTreeSet;

use polars::prelude::{Column, DataFrame};
use serde::{Deserialize, Serialize};

use surgcam_engine::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cells {
    Text(Vec<Option<String>>),
    Count(Vec<Option<i64>>),
    /// Shown with this many digits after the decimal point. Files have all digits.
    Number(Vec<Option<f64>>, usize),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableColumn {
    pub name: String,
    pub cells: Cells,
    /// Details are shown only if they are asked for. The files have them.
    pub is_detail: bool,
    /// The sample standard deviations over seeds, if the numbers are means over seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviations: Option<Vec<Option<f64>>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultTable {
    /// File name without extension.
    pub name: String,
    pub title: String,
    pub columns: Vec<TableColumn>,
    pub notes: Vec<String>,
    /// Rows that are in the files and not here.
    pub more_rows: usize,
    /// Rows that others are compared with, yardsticks and controls. They are never the best ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reference_rows: BTreeSet<usize>,
}

/// What stands behind the name of a column in the name of its standard deviations.
const DEVIATION: &str = " sd";
/// What an absent value looks like.
pub const ABSENT: &str = "-";

impl TableColumn {
    pub fn text(name: impl Into<String>, values: Vec<Option<String>>) -> Self {
        TableColumn::of(name.into(), Cells::Text(values))
    }

    pub fn count(name: impl Into<String>, values: Vec<Option<i64>>) -> Self {
        TableColumn::of(name.into(), Cells::Count(values))
    }

    pub fn number(name: impl Into<String>, digits: usize, values: Vec<Option<f64>>) -> Self {
        // Nobody means the -0 that the sum of nothing is.
        let values = values.into_iter().map(|value| value.map(|value| value + 0.0)).collect();
        TableColumn::of(name.into(), Cells::Number(values, digits))
    }

    fn of(name: String, cells: Cells) -> Self {
        TableColumn { name, cells, is_detail: false, deviations: None }
    }

    /// The same column of means over seeds, with their standard deviations.
    pub fn with_deviations(mut self, deviations: Vec<Option<f64>>) -> Self {
        self.deviations = Some(deviations);
        self
    }

    /// The standard deviation over seeds, for a mean over several seeds.
    pub fn deviation_at(&self, row: usize) -> Option<f64> {
        *self.deviations.as_ref()?.get(row)?
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

    /// As a person reads it. A mean over seeds has its standard deviation behind it.
    pub fn shown(&self, row: usize) -> String {
        match self.shown_deviation(row) {
            Some(deviation) => format!("{} ± {deviation}", self.shown_value(row)),
            None => self.shown_value(row),
        }
    }

    /// As [`TableColumn::shown`], without the standard deviation.
    pub fn shown_value(&self, row: usize) -> String {
        let shown = match &self.cells {
            Cells::Text(values) => values[row].clone(),
            Cells::Count(values) => values[row].map(|value| value.to_string()),
            Cells::Number(values, digits) => values[row].map(|value| format!("{value:.digits$}")),
        };
        shown.unwrap_or_else(|| ABSENT.into())
    }

    /// The standard deviation over seeds with the digits of the value.
    pub fn shown_deviation(&self, row: usize) -> Option<String> {
        let digits = if let Cells::Number(_, digits) = &self.cells { *digits } else { 0 };
        self.deviation_at(row).map(|deviation| format!("{deviation:.digits$}"))
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
        let deviations = self.deviations.as_ref().map(|values| chosen(values, rows));
        TableColumn { name: self.name.clone(), cells, is_detail: self.is_detail, deviations }
    }

    fn truncate(&mut self, rows: usize) {
        if let Some(deviations) = &mut self.deviations {
            deviations.truncate(rows);
        }
        match &mut self.cells {
            Cells::Text(values) => values.truncate(rows),
            Cells::Count(values) => values.truncate(rows),
            Cells::Number(values, _) => values.truncate(rows),
        }
    }

    /// Whether all rows show the same.
    pub fn is_constant(&self) -> bool {
        (1..self.len()).all(|row| self.shown(row) == self.shown(0))
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
        self.reference_rows.split_off(&rows);
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
            deviations: column.deviations.clone(),
        };
        ResultTable {
            name: self.name.clone(),
            title: change(&self.title),
            columns: self.columns.iter().map(changed).collect(),
            notes: self.notes.iter().map(|note| change(note)).collect(),
            more_rows: self.more_rows,
            reference_rows: self.reference_rows.clone(),
        }
    }

    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The table as programs read it: a column `NAME sd` with the standard deviations over seeds
    /// follows each column of means.
    pub fn with_deviation_columns(&self) -> Self {
        let split = |column: &TableColumn| {
            let deviations = column.deviations.clone().map(|values| {
                let digits = if let Cells::Number(_, digits) = &column.cells { *digits } else { 0 };
                let name = format!("{}{DEVIATION}", column.name);
                TableColumn {
                    is_detail: column.is_detail,
                    ..TableColumn::number(name, digits, values)
                }
            });
            [Some(TableColumn { deviations: None, ..column.clone() }), deviations]
        };
        ResultTable {
            columns: self.columns.iter().flat_map(split).flatten().collect(),
            ..self.clone()
        }
    }

    pub fn to_frame(&self) -> Result<DataFrame> {
        let table = self.with_deviation_columns();
        let columns = table.columns.iter().map(|column| {
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
