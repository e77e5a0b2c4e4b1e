//! The history of a training: one row an epoch, as Parquet and as CSV.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::parquet;
use surgcam_engine::error::{AtPath, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    pub epoch: u32,
    /// Means of the batch losses.
    pub train_loss: f64,
    pub validation_loss: f64,
    pub accuracy: f64,
    pub mean_average_precision: Option<f64>,
    /// In force during the epoch.
    pub learning_rate: f64,
    pub seconds: f64,
}

pub fn write(rows: &[HistoryRow], parquet_path: &Path, csv_path: &Path) -> Result<()> {
    let numbers = |name: &str, value: fn(&HistoryRow) -> f64| Column::new(name.into(), rows.iter().map(value).collect::<Vec<f64>>());
    let mut frame = parquet::frame(vec![
        Column::new("epoch".into(), rows.iter().map(|row| row.epoch).collect::<Vec<u32>>()),
        numbers("train_loss", |row| row.train_loss),
        numbers("validation_loss", |row| row.validation_loss),
        numbers("accuracy", |row| row.accuracy),
        Column::new("map".into(), rows.iter().map(|row| row.mean_average_precision).collect::<Vec<Option<f64>>>()),
        numbers("learning_rate", |row| row.learning_rate),
        numbers("seconds", |row| row.seconds),
    ])?;
    parquet::write(&mut frame, parquet_path)?;
    let file = File::create(csv_path).at_path("create", csv_path)?;
    CsvWriter::new(file).finish(&mut frame).at_path("write", csv_path)
}
