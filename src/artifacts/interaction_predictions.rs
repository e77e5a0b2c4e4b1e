//! What an interaction graph predicts for each annotated instrument of the validation frames: a
//! Parquet file with a row for each instrument, in the order of frames, classes and interactions.

use std::path::Path;

use polars::prelude::*;

use super::parquet;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::annotations::INTERACTIONS;

/// An annotated instrument of a frame: what it does, and what a graph says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct InteractionPrediction {
    /// The frame's row in the index.
    pub row: usize,
    /// The instrument's class.
    pub class: usize,
    /// What it does, as an index of [`INTERACTIONS`].
    pub right: usize,
    /// Whether a region shows it.
    pub is_seen: bool,
    /// The probabilities of all 13 interactions, as the mean over the instrument's nodes.
    pub scores: Vec<f64>,
}

impl InteractionPrediction {
    /// The interaction with the highest probability.
    pub fn answer(&self) -> usize {
        highest(&self.scores)
    }
}

/// The place of the highest score. If several are equal, it is the first one.
pub fn highest(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, place| if scores[place] > scores[best] { place } else { best })
}

pub fn write(predictions: &[InteractionPrediction], path: &Path) -> Result<()> {
    let integers = |name: &str, value: fn(&InteractionPrediction) -> usize| {
        let values: Vec<i64> = predictions.iter().map(|found| value(found) as i64).collect();
        Column::new(name.into(), values)
    };
    let is_seen: Vec<bool> = predictions.iter().map(|found| found.is_seen).collect();
    let scores: Vec<f64> = predictions.iter().flat_map(|found| &found.scores).copied().collect();
    let mut columns = vec![
        integers("row", |found| found.row),
        integers("class", |found| found.class),
        integers("interaction", |found| found.right),
        Column::new("seen".into(), is_seen),
    ];
    columns.extend(parquet::score_columns(&scores, INTERACTIONS.len()));
    parquet::write(&mut parquet::frame(columns)?, path)
}

pub fn read(path: &Path) -> Result<Vec<InteractionPrediction>> {
    let frame = parquet::read(path)?;
    let indexes = |name: &str| parquet::indexes(&frame, name, path);
    let (rows, classes, right) = (indexes("row")?, indexes("class")?, indexes("interaction")?);
    let is_seen = parquet::integers(&frame, "seen", path)?;
    let scores = parquet::scores(&frame, INTERACTIONS.len(), path)?;
    if let Some(unknown) = right.iter().find(|right| **right >= INTERACTIONS.len()) {
        return Err(Error::failure(format!("there is no interaction {unknown}")).at_path(path));
    }
    let of_place = |(place, scores): (usize, &[f64])| InteractionPrediction {
        row: rows[place],
        class: classes[place],
        right: right[place],
        is_seen: is_seen[place] != 0,
        scores: scores.to_vec(),
    };
    Ok(scores.chunks(INTERACTIONS.len()).enumerate().map(of_place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.parquet");
        let prediction = |row, right: usize, is_seen| InteractionPrediction {
            row,
            class: 2,
            right,
            is_seen,
            scores: (0..13).map(|place| if place == right { 0.7 } else { 0.025 }).collect(),
        };
        let some = vec![prediction(4, 3, true), prediction(4, 12, false), prediction(9, 0, true)];
        for predictions in [some, vec![]] {
            write(&predictions, &path).unwrap();
            let read = read(&path).unwrap();
            assert_eq!(read, predictions);
            assert!(read.iter().all(|found| found.answer() == found.right));
        }
    }

    #[test]
    fn of_equal_scores_the_first_one_is_the_answer() {
        assert_eq!(highest(&[0.1, 0.45, 0.45]), 1);
    }
}
