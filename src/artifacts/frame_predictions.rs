//! What a classifier or a probe predicts for each validation frame: a Parquet file with the column
//! `row` and one column for each class, named by its index.

use std::path::Path;

use polars::prelude::*;

use super::parquet;
use surgcam_engine::error::Result;

/// The scores of all classes for some frames.
#[derive(Debug, Clone, PartialEq)]
pub struct FramePredictions {
    /// The frames' rows in the index.
    pub rows: Vec<usize>,
    pub classes: usize,
    /// [rows, classes], row by row.
    pub scores: Vec<f64>,
}

pub fn write(predictions: &FramePredictions, path: &Path) -> Result<()> {
    let FramePredictions { rows, classes, scores } = predictions;
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let mut columns = vec![Column::new("row".into(), rows)];
    columns.extend(parquet::score_columns(scores, *classes));
    parquet::write(&mut parquet::frame(columns)?, path)
}

pub fn read(path: &Path) -> Result<FramePredictions> {
    let frame = parquet::read(path)?;
    let classes = frame.width().saturating_sub(1);
    Ok(FramePredictions {
        rows: parquet::indexes(&frame, "row", path)?,
        classes,
        scores: parquet::scores(&frame, classes, path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_read_back_as_written_with_all_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.parquet");
        let some = FramePredictions {
            rows: vec![7, 3],
            classes: 3,
            scores: vec![0.1 + 0.2, 1.0 / 3.0, -4.5, 0.0, 1.0, 1e-9],
        };
        let none = FramePredictions { rows: vec![], classes: 2, scores: vec![] };
        for predictions in [some, none] {
            write(&predictions, &path).unwrap();
            assert_eq!(read(&path).unwrap(), predictions);
        }
    }
}
