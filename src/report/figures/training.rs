//! Training curves, from the histories that train stages leave.

use std::fs::File;
use std::path::Path;

use polars::prelude::{CsvReader, DataFrame, DataType, SerReader};

use super::chart::{Chart, Look, MOST_SERIES, Series};
use super::{Figure, FigureKind, drawn};
use crate::report::results::Results;
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::plan::{Handle, Plan};
use surgcam_pipeline::kinds::TrainStage;

/// Validation mAP and the losses over epochs; nothing where nothing was trained.
pub fn curves(plan: &Plan, results: &Results) -> Result<Vec<Figure>> {
    let (mut scores, mut losses) = (Vec::new(), Vec::new());
    let trainings: Vec<Handle<TrainStage>> = plan.of_kind().collect();
    // What has no room in a figure is not read.
    for &training in trainings.iter().take(MOST_SERIES) {
        let Some(path) = results.output(training, TrainStage::HISTORY_CSV)? else { continue };
        let history = read(&path)?;
        let name = plan.stage(training.id()).subject().to_string();
        losses.extend(both_losses(&name, &history, &path)?);
        scores.push(Series { name, look: Look::Line, points: points(&history, "map", &path)? });
    }
    if scores.is_empty() {
        return Ok(Vec::new());
    }
    let caption = match trainings.len() {
        few if few <= MOST_SERIES => String::new(),
        many => format!("Only the first {MOST_SERIES} of {many} trainings are shown."),
    };
    let chart = |title: &str, y_name: &str, series| Chart {
        title: title.into(),
        x_name: "epoch".into(),
        y_name: y_name.into(),
        series,
    };
    Ok(vec![
        drawn(
            FigureKind::TrainingMap,
            &chart("Validation mAP over epochs", "mAP", scores),
            &caption,
        )?,
        drawn(
            FigureKind::TrainingLoss,
            &chart("Losses over epochs", "mean loss of a batch", losses),
            &caption,
        )?,
    ])
}

/// The losses of one training, in one colour: a full line for training, a dashed one for
/// validation.
fn both_losses(training: &str, history: &DataFrame, path: &Path) -> Result<[Series; 2]> {
    let line = |frames: &str, look: Look, column: &str| -> Result<Series> {
        let points = points(history, column, path)?;
        Ok(Series { name: format!("{training}, {frames}"), look, points })
    };
    Ok([
        line("train", Look::Line, "train_loss")?,
        line("validation", Look::SecondLine, "validation_loss")?,
    ])
}

fn read(path: &Path) -> Result<DataFrame> {
    let file = File::open(path).at_path("open", path)?;
    CsvReader::new(file).finish().at_path("read", path)
}

/// A column over the epochs; epochs without a value are left out.
fn points(history: &DataFrame, name: &str, path: &Path) -> Result<Vec<(f64, f64)>> {
    let numbers = |name: &str| -> Result<Vec<Option<f64>>> {
        let column = history
            .column(name)
            .and_then(|column| column.cast(&DataType::Float64))
            .at_path("read", path)?;
        Ok(column.f64().at_path("read", path)?.iter().collect())
    };
    let (epochs, values) = (numbers("epoch")?, numbers(name)?);
    Ok(epochs.into_iter().zip(values).filter_map(|(epoch, value)| Some((epoch?, value?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_it_was_written_and_an_absent_score_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        std::fs::write(&path, "epoch,train_loss,map\n1,0.5,\n2,0.25,0.125\n").unwrap();
        let history = read(&path).unwrap();
        assert_eq!(points(&history, "train_loss", &path).unwrap(), [(1.0, 0.5), (2.0, 0.25)]);
        assert_eq!(points(&history, "map", &path).unwrap(), [(2.0, 0.125)]);
    }

    #[test]
    fn the_two_losses_of_a_training_are_drawn_as_a_pair() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.csv");
        std::fs::write(&path, "epoch,train_loss,validation_loss\n1,0.5,0.75\n").unwrap();
        let pair = both_losses("gc-a", &read(&path).unwrap(), &path).unwrap();
        assert_eq!(
            pair.map(|series| (series.name, series.look, series.points)),
            [
                ("gc-a, train".to_string(), Look::Line, vec![(1.0, 0.5)]),
                ("gc-a, validation".to_string(), Look::SecondLine, vec![(1.0, 0.75)])
            ]
        );
    }
}
