//! Writes and reads Parquet files with polars. Every error names the file.

use std::fs::File;
use std::path::Path;

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::*;

use surgcam_engine::error::{AtPath, Error, Result};

pub fn write(frame: &mut DataFrame, path: &Path) -> Result<()> {
    let file = File::create(path).at_path("create", path)?;
    ParquetWriter::new(file).finish(frame).at_path("write", path)?;
    Ok(())
}

/// A file that is written part by part.
pub struct RowWriter(BatchedWriter<File>);

impl RowWriter {
    /// Creates the file. `like` is a frame with the columns of the parts to come.
    pub fn create(path: &Path, like: &DataFrame) -> Result<Self> {
        let file = File::create(path).at_path("create", path)?;
        ParquetWriter::new(file).batched(like.schema()).map(RowWriter).at_path("write", path)
    }

    pub fn write(&mut self, rows: &DataFrame, path: &Path) -> Result<()> {
        self.0.write_batch(rows).at_path("write", path)
    }

    pub fn finish(self, path: &Path) -> Result<()> {
        self.0.finish().at_path("write", path).map(|_| ())
    }
}

pub fn read(path: &Path) -> Result<DataFrame> {
    let file = File::open(path).at_path("open", path)?;
    ParquetReader::new(file).finish().at_path("read", path)
}

/// A frame of these columns, which must have equal lengths.
pub fn frame(columns: Vec<Column>) -> Result<DataFrame> {
    DataFrame::new_infer_height(columns)
        .map_err(|error| Error::failure(format!("cannot make a table: {error}")))
}

/// A column for each class, named by its index. `scores` [rows, classes], row by row.
pub fn score_columns(scores: &[f64], classes: usize) -> impl Iterator<Item = Column> {
    (0..classes).map(move |class| {
        let of_class: Vec<f64> = scores.iter().skip(class).step_by(classes).copied().collect();
        Column::new(class.to_string().into(), of_class)
    })
}

/// The columns of [`score_columns`], row by row. `path` is the file that the frame was read from.
pub fn scores(frame: &DataFrame, classes: usize, path: &Path) -> Result<Vec<f64>> {
    let mut scores = vec![0.0; frame.height() * classes];
    for class in 0..classes {
        let column = frame.column(&class.to_string()).at_path("read", path)?;
        let of_class = column.f64().at_path("read", path)?;
        for (row, score) in of_class.iter().enumerate() {
            scores[row * classes + class] = score.unwrap_or_default();
        }
    }
    Ok(scores)
}

/// A column of rows or of other indexes, none of which is negative.
pub fn indexes(frame: &DataFrame, name: &str, path: &Path) -> Result<Vec<usize>> {
    let index = |value: i64| {
        usize::try_from(value)
            .map_err(|_| Error::failure(format!("`{name}` has the value {value}")).at_path(path))
    };
    integers(frame, name, path)?.into_iter().map(index).collect()
}

/// A column of whole numbers. `path` is the file that the frame was read from.
pub fn integers(frame: &DataFrame, name: &str, path: &Path) -> Result<Vec<i64>> {
    let column = frame
        .column(name)
        .and_then(|column| column.cast(&DataType::Int64))
        .at_path("read", path)?;
    let values = column.i64().at_path("read", path)?;
    Ok(values.iter().map(|value| value.unwrap_or_default()).collect())
}

/// A column of numbers. `path` is the file that the frame was read from.
pub fn numbers(frame: &DataFrame, name: &str, path: &Path) -> Result<Vec<f32>> {
    let column = frame
        .column(name)
        .and_then(|column| column.cast(&DataType::Float32))
        .at_path("read", path)?;
    let values = column.f32().at_path("read", path)?;
    Ok(values.iter().map(|value| value.unwrap_or_default()).collect())
}
