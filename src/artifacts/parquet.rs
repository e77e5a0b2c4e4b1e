//! Parquet files through polars.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;

use crate::error::{AtPath, Error, Result};

pub fn write(frame: &mut DataFrame, path: &Path) -> Result<()> {
    let file = File::create(path).at_path("create", path)?;
    ParquetWriter::new(file).finish(frame).at_path("write", path)?;
    Ok(())
}

pub fn read(path: &Path) -> Result<DataFrame> {
    let file = File::open(path).at_path("open", path)?;
    ParquetReader::new(file).finish().at_path("read", path)
}

/// A frame of columns of equal length.
pub fn frame(columns: Vec<Column>) -> Result<DataFrame> {
    DataFrame::new_infer_height(columns).map_err(|error| Error::failure(format!("cannot make a table: {error}")))
}

/// One column of whole numbers.
pub fn integers(frame: &DataFrame, name: &str, path: &Path) -> Result<Vec<i64>> {
    let column = frame.column(name).and_then(|column| column.cast(&DataType::Int64)).at_path("read", path)?;
    let values = column.i64().at_path("read", path)?;
    Ok(values.iter().map(|value| value.unwrap_or_default()).collect())
}
