//! `probe`: how well a closed-form ridge regression tells a frame's labels from its regions' features.
//!
//! A frame is the mean and the maximum of its regions' features [1024], standardised on the train frames; a frame without
//! regions is all zeros before that. Trained on train frames, scored on validation frames by mAP.

use std::collections::HashMap;

use surgcam::artifacts::features::{self, SequenceFeatures, WIDTH};
use surgcam::artifacts::metrics::Probe;
use surgcam::dataset::index::{Frame, read_frames};
use surgcam::error::{Error, Result};
use surgcam::pipeline::stages::*;
use surgcam::store::write_json;
use surgcam::vision::average_precision::mean;
use tch::{Device, Kind, Tensor};

use super::StageRun;
use super::evaluate::label_precisions;
use crate::frames::label_tensor;
use crate::heads::regions::shuffle;

/// Of the control.
const SHUFFLING_SEED: u64 = 42;
/// Below this a feature does not vary.
const SMALLEST_DEVIATION: f64 = 1e-6;

pub fn make(stage: &StageRun) -> Result<()> {
    let parameters: ProbeStage = stage.parameters()?;
    let frames = read_frames(&stage.input(input::INDEX)?)?;
    let mut described = describe_frames(&stage.input(input::FEATURES)?)?;
    let rows = |wanted: fn(&Frame) -> bool| -> Vec<usize> { (0..frames.len()).filter(|&row| wanted(&frames[row])).collect() };
    let (train, validation) = (rows(|frame| frame.train), rows(|frame| frame.validation));
    if train.is_empty() || validation.is_empty() {
        return Err(Error::failure("the probe needs train and validation frames")
            .hint("give the data recipe both `train` and `validation` sequences"));
    }
    if parameters.shuffled {
        shuffle(&mut described, &train, SHUFFLING_SEED);
        shuffle(&mut described, &validation, SHUFFLING_SEED);
    }
    let scores = tch::no_grad(|| {
        let targets = label_tensor(train.iter().map(|&row| frames[row].labels.as_slice()), parameters.classes, Device::Cpu);
        ridge_scores(&matrix(&described, &train), &targets, &matrix(&described, &validation), parameters.ridge)
    })?;
    let labels: Vec<&[usize]> = validation.iter().map(|&row| frames[row].labels.as_slice()).collect();
    // Without a region anywhere the scores say nothing of the features.
    let has_regions = |rows: &[usize]| rows.iter().any(|row| described.contains_key(row));
    let average_precision = if has_regions(&train) && has_regions(&validation) {
        label_precisions(&scores, &labels, parameters.classes)
    } else {
        vec![None; parameters.classes]
    };
    let metrics = Probe {
        train_frames: train.len(),
        validation_frames: validation.len(),
        mean_average_precision: mean(average_precision.iter().copied().flatten()),
        average_precision,
    };
    write_json(&stage.output(output::METRICS), &metrics)
}

/// By index row: mean and maximum over the frame's regions.
fn describe_frames(folder: &std::path::Path) -> Result<HashMap<usize, Vec<f32>>> {
    let mut described = HashMap::new();
    features::for_each_sequence(folder, |_, sequence| {
        let mut start = 0;
        for regions in sequence.regions.chunk_by(|a, b| a.row == b.row) {
            described.insert(regions[0].row, describe(sequence, start..start + regions.len()));
            start += regions.len();
        }
        Ok(())
    })?;
    Ok(described)
}

fn describe(sequence: &SequenceFeatures, regions: std::ops::Range<usize>) -> Vec<f32> {
    let count = regions.len() as f32;
    let mut means = vec![0f32; WIDTH];
    let mut highest = vec![f32::NEG_INFINITY; WIDTH];
    for region in regions {
        for (i, &value) in sequence.of_region(region).iter().enumerate() {
            means[i] += value / count;
            highest[i] = highest[i].max(value);
        }
    }
    means.extend(highest);
    means
}

/// [rows, 1024] f64.
fn matrix(described: &HashMap<usize, Vec<f32>>, rows: &[usize]) -> Tensor {
    let nothing = vec![0f32; 2 * WIDTH];
    let values: Vec<f32> = rows.iter().flat_map(|row| described.get(row).unwrap_or(&nothing)).copied().collect();
    Tensor::from_slice(&values).view([rows.len() as i64, 2 * WIDTH as i64]).to_kind(Kind::Double)
}

/// Trains on `x` [n, d] and `y` [n, classes], returns the scores of `unseen` [m, d], row by row.
///
/// In the dual form, so that the system to solve has the smaller of n and d unknowns. The penalty counts relative to d,
/// the trace of a standardised covariance.
fn ridge_scores(x: &Tensor, y: &Tensor, unseen: &Tensor, ridge: f64) -> Result<Vec<f64>> {
    let dim: &[i64] = &[0];
    let center = x.mean_dim(dim, true, Kind::Double);
    let deviation = (x - &center).square().mean_dim(dim, true, Kind::Double).sqrt();
    let scale = deviation.where_scalarother(&deviation.gt(SMALLEST_DEVIATION), f64::INFINITY);
    let (x, unseen) = ((x - &center) / &scale, (unseen - &center) / &scale);
    let y = y.to_kind(Kind::Double);
    let y_mean = y.mean_dim(dim, true, Kind::Double);
    let y = &y - &y_mean;
    let (n, d) = (x.size()[0], x.size()[1]);
    let penalty = ridge * d as f64;
    let identity = |size: i64| Tensor::eye(size, (Kind::Double, Device::Cpu)) * penalty;
    let solve = |a: &Tensor, b: &Tensor| {
        a.f_linalg_cholesky(false)
            .and_then(|factor| b.f_cholesky_solve(&factor, false))
            .map_err(|error| Error::failure(format!("the probe's equations have no solution: {error}")).hint("raise head.ridge"))
    };
    let scores = if n <= d {
        let dual = solve(&(x.matmul(&x.tr()) + identity(n)), &y)?;
        unseen.matmul(&x.tr()).matmul(&dual)
    } else {
        let weights = solve(&(x.tr().matmul(&x) + identity(d)), &x.tr().matmul(&y))?;
        unseen.matmul(&weights)
    };
    let scores = (scores + y_mean).contiguous().view([-1]);
    Vec::try_from(scores).map_err(|error| Error::failure(format!("the probe's scores cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_ridge_agree_and_recover_a_linear_rule() {
        tch::manual_seed(1);
        let options = (Kind::Double, Device::Cpu);
        let rule = Tensor::randn([5, 2], options);
        let (few, many) = (Tensor::randn([4, 5], options), Tensor::randn([200, 5], options));
        let unseen = Tensor::randn([50, 5], options);
        let wide = ridge_scores(&many, &many.matmul(&rule), &unseen, 1e-9).unwrap();
        let expected: Vec<f64> = Vec::try_from(unseen.matmul(&rule).contiguous().view([-1])).unwrap();
        assert!(wide.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3));
        // The dual form (4 rows, 5 columns) against the primal one, which the same rows twice over lead to.
        let doubled = Tensor::cat(&[&few, &few], 0);
        let target = few.matmul(&rule);
        let dual = ridge_scores(&few, &target, &unseen, 0.5).unwrap();
        let primal = ridge_scores(&doubled, &Tensor::cat(&[&target, &target], 0), &unseen, 1.0).unwrap();
        assert!(dual.iter().zip(&primal).all(|(a, b)| (a - b).abs() < 1e-9));
    }

    #[test]
    fn a_constant_feature_does_no_harm() {
        let x = Tensor::from_slice(&[1.0, 0.0, 1.0, 1.0]).view([2, 2]);
        let y = Tensor::from_slice(&[0.0, 1.0]).view([2, 1]);
        assert!(ridge_scores(&x, &y, &x, 0.1).unwrap().iter().all(|score| score.is_finite()));
    }
}
