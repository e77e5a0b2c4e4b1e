//! The history of a training: a row for each epoch, as Parquet for programs and as CSV for people.
//!
//! A classifier and a head have different columns ([`HistoryRow`]). All histories are written by
//! [`write`].

use std::fs::File;
use std::path::PathBuf;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::parquet;
use surgcam_engine::error::{AtPath, Result};

/// The row of an epoch.
pub trait HistoryRow: Sized {
    /// The columns of some epochs, in the order of the file.
    fn columns(rows: &[Self]) -> Vec<Column>;
}

/// An epoch of training a classifier (docs/method.md, section 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassifierEpoch {
    pub epoch: u32,
    /// The mean of the losses of the batches, as is the validation loss.
    pub train_loss: f64,
    pub validation_loss: f64,
    pub accuracy: f64,
    pub mean_average_precision: Option<f64>,
    /// The learning rate during the epoch.
    pub learning_rate: f64,
    pub seconds: f64,
}

impl HistoryRow for ClassifierEpoch {
    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            epochs(rows, |row| row.epoch),
            numbers("train_loss", rows, |row| row.train_loss),
            numbers("validation_loss", rows, |row| row.validation_loss),
            numbers("accuracy", rows, |row| row.accuracy),
            Column::new(
                "map".into(),
                rows.iter().map(|row| row.mean_average_precision).collect::<Vec<Option<f64>>>(),
            ),
            numbers("learning_rate", rows, |row| row.learning_rate),
            numbers("seconds", rows, |row| row.seconds),
        ]
    }
}

/// An epoch of training a head (docs/method.md, section 8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadEpoch {
    pub epoch: u32,
    /// The kind of training: with cross-entropy, self-critical, or jointly with the backbone.
    pub phase: String,
    /// The mean of the losses of the batches.
    pub train_loss: f64,
    /// The score on the validation frames: CIDEr of captions, or mAP of interactions.
    pub score: f64,
    pub seconds: f64,
}

impl HistoryRow for HeadEpoch {
    fn columns(rows: &[Self]) -> Vec<Column> {
        vec![
            epochs(rows, |row| row.epoch),
            Column::new(
                "phase".into(),
                rows.iter().map(|row| row.phase.as_str()).collect::<Vec<&str>>(),
            ),
            numbers("train_loss", rows, |row| row.train_loss),
            numbers("score", rows, |row| row.score),
            numbers("seconds", rows, |row| row.seconds),
        ]
    }
}

fn epochs<R>(rows: &[R], epoch: fn(&R) -> u32) -> Column {
    Column::new("epoch".into(), rows.iter().map(epoch).collect::<Vec<u32>>())
}

fn numbers<R>(name: &str, rows: &[R], value: fn(&R) -> f64) -> Column {
    Column::new(name.into(), rows.iter().map(value).collect::<Vec<f64>>())
}

/// The two files that a history is written to.
#[derive(Debug, Clone)]
pub struct HistoryFiles {
    pub parquet: PathBuf,
    pub csv: PathBuf,
}

/// Writes the rows of a history to both of its files.
pub fn write<R: HistoryRow>(rows: &[R], files: &HistoryFiles) -> Result<()> {
    let mut frame = parquet::frame(R::columns(rows))?;
    parquet::write(&mut frame, &files.parquet)?;
    let file = File::create(&files.csv).at_path("create", &files.csv)?;
    CsvWriter::new(file).finish(&mut frame).at_path("write", &files.csv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<R: HistoryRow>(row: R) -> String {
        let folder = tempfile::tempdir().unwrap();
        let files = HistoryFiles {
            parquet: folder.path().join("history.parquet"),
            csv: folder.path().join("history.csv"),
        };
        write(&[row], &files).unwrap();
        assert_eq!(parquet::read(&files.parquet).unwrap().height(), 1);
        std::fs::read_to_string(&files.csv).unwrap()
    }

    #[test]
    fn each_training_has_its_columns_in_their_order() {
        let classifier = ClassifierEpoch {
            epoch: 1,
            train_loss: 0.5,
            validation_loss: 0.25,
            accuracy: 0.75,
            mean_average_precision: None,
            learning_rate: 0.125,
            seconds: 2.5,
        };
        assert_eq!(
            written(classifier),
            "epoch,train_loss,validation_loss,accuracy,map,learning_rate,seconds\n\
             1,0.5,0.25,0.75,,0.125,2.5\n"
        );
        let head = HeadEpoch {
            epoch: 1,
            phase: "joint".into(),
            train_loss: 0.5,
            score: 0.25,
            seconds: 2.5,
        };
        assert_eq!(written(head), "epoch,phase,train_loss,score,seconds\n1,joint,0.5,0.25,2.5\n");
    }
}
