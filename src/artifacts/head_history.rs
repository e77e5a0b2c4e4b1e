//! The history of a head's training: one row an epoch, as Parquet and as CSV.

use std::fs::File;
use std::path::Path;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::parquet;
use surgcam_engine::error::{AtPath, Result};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadEpoch {
    pub epoch: u32,
    /// What was trained with: cross-entropy, self-critical, jointly with the backbone.
    pub phase: String,
    /// The mean of the batch losses.
    pub train_loss: f64,
    /// On the validation frames: CIDEr of captions, mAP of interactions.
    pub score: f64,
    pub seconds: f64,
}

pub fn write(rows: &[HeadEpoch], parquet_path: &Path, csv_path: &Path) -> Result<()> {
    let numbers = |name: &str, value: fn(&HeadEpoch) -> f64| Column::new(name.into(), rows.iter().map(value).collect::<Vec<f64>>());
    let mut frame = parquet::frame(vec![
        Column::new("epoch".into(), rows.iter().map(|row| row.epoch).collect::<Vec<u32>>()),
        Column::new("phase".into(), rows.iter().map(|row| row.phase.as_str()).collect::<Vec<&str>>()),
        numbers("train_loss", |row| row.train_loss),
        numbers("score", |row| row.score),
        numbers("seconds", |row| row.seconds),
    ])?;
    parquet::write(&mut frame, parquet_path)?;
    let file = File::create(csv_path).at_path("create", csv_path)?;
    CsvWriter::new(file).finish(&mut frame).at_path("write", csv_path)
}
