//! `probe`: how well a ridge regression in closed form predicts a frame's labels from the features
//! of its regions.
//!
//! A frame is described by the mean and the maximum of its regions' features [1024]. A frame
//! without regions has zeros. These numbers are standardised on the train frames. The regression is
//! fitted on train frames and scored by mAP on validation frames. The features are read twice,
//! frame by frame: once to fit and once to score.

use std::collections::HashMap;
use std::path::PathBuf;

use surgcam_artifacts::features::{self, FrameFeatures, WIDTH};
use surgcam_artifacts::frame_predictions::{self, FramePredictions};
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::metrics::Probe;
use surgcam_frames::vision::average_precision::mean;
use surgcam_pipeline::kinds::ProbeStage;
use tch::{Device, Kind, Tensor};

use super::evaluate::label_precisions;
use super::{KindRun, Make};
use crate::frame_set::label_tensor;
use crate::heads::regions::exchanged;
use crate::ridge::RidgeSums;

/// The seed by which the control exchanges the features of frames.
const SHUFFLING_SEED: u64 = 42;
/// Frames that are handed on at a time.
const BLOCK: usize = 256;

impl Make for ProbeStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let frames = stage.frames(stage.inputs.index, stage.inputs.pack)?;
        let folder = stage.path_of(stage.inputs.features)?;
        let described = |split: fn(&Frame) -> bool| {
            Described::new(folder.clone(), &frames, split, parameters.shuffled)
        };
        let (train, validation) =
            (described(|frame| frame.train), described(|frame| frame.validation));
        if train.rows.is_empty() || validation.rows.is_empty() {
            return Err(Error::failure("the probe needs train and validation frames")
                .hint("give the data recipe both `train` and `validation` sequences"));
        }
        let mut sums = RidgeSums::new(2 * WIDTH, parameters.classes);
        let with_regions = train.for_each_block(|rows, x| {
            let labels = rows.iter().map(|&row| frames[row].labels.as_slice());
            sums.add(
                x,
                &label_tensor(labels, parameters.classes, Device::Cpu)?.to_kind(Kind::Double),
            );
            Ok(())
        })?;
        let rule = sums.solve(parameters.ridge)?;
        let (mut scores, mut labels, mut scored) = (Vec::new(), Vec::new(), Vec::new());
        let validated_with_regions = validation.for_each_block(|rows, x| {
            let of_rows: Vec<f64> =
                Vec::try_from(rule.scores(x).contiguous().view([-1])).map_err(|error| {
                    Error::failure(format!("the probe's scores cannot be read: {error}"))
                })?;
            scores.extend(of_rows);
            labels.extend(rows.iter().map(|&row| frames[row].labels.as_slice()));
            scored.extend_from_slice(rows);
            Ok(())
        })?;
        // Without a region anywhere the scores say nothing of the features.
        let average_precision = if with_regions > 0 && validated_with_regions > 0 {
            let average_precision = label_precisions(&scores, &labels, parameters.classes);
            let predictions =
                FramePredictions { rows: scored, classes: parameters.classes, scores };
            frame_predictions::write(&predictions, &stage.output(Self::PREDICTIONS))?;
            average_precision
        } else {
            vec![None; parameters.classes]
        };
        let metrics = Probe {
            train_frames: train.rows.len(),
            validation_frames: validation.rows.len(),
            mean_average_precision: mean(average_precision.iter().copied().flatten()),
            average_precision,
        };
        stage.write_metrics(&metrics)
    }
}

/// The frames of a split, as the features of their regions describe them.
struct Described {
    folder: PathBuf,
    rows: Vec<usize>,
    /// From the row that has the regions to the one that they count for: another one in the
    /// control.
    counts_for: HashMap<usize, usize>,
}

impl Described {
    fn new(folder: PathBuf, frames: &[Frame], split: fn(&Frame) -> bool, shuffled: bool) -> Self {
        let rows: Vec<usize> = (0..frames.len()).filter(|&row| split(&frames[row])).collect();
        let counts_for = if shuffled {
            exchanged(&rows, SHUFFLING_SEED).into_iter().map(|(row, giver)| (giver, row)).collect()
        } else {
            rows.iter().map(|&row| (row, row)).collect()
        };
        Described { folder, rows, counts_for }
    }

    /// Hands on each frame once, with [rows, 1024] f64: first those with regions, then the others.
    /// Returns how many have regions.
    fn for_each_block(
        &self,
        mut block: impl FnMut(&[usize], &Tensor) -> Result<()>,
    ) -> Result<usize> {
        let mut without_regions = self.counts_for.clone();
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        let mut hand_on = |rows: &mut Vec<usize>, values: &mut Vec<f32>| {
            let size = [rows.len() as i64, 2 * WIDTH as i64];
            block(rows, &Tensor::from_slice(values).view(size).to_kind(Kind::Double))?;
            rows.clear();
            values.clear();
            Ok(())
        };
        features::for_each_frame(&self.folder, |frame| {
            if let Some(row) = without_regions.remove(&frame.row) {
                rows.push(row);
                values.extend(describe(frame));
            }
            if rows.len() < BLOCK { Ok(()) } else { hand_on(&mut rows, &mut values) }
        })?;
        hand_on(&mut rows, &mut values)?;
        let mut rest: Vec<usize> = without_regions.into_values().collect();
        rest.sort_unstable();
        for rows in rest.chunks(BLOCK) {
            block(
                rows,
                &Tensor::zeros([rows.len() as i64, 2 * WIDTH as i64], (Kind::Double, Device::Cpu)),
            )?;
        }
        Ok(self.rows.len() - rest.len())
    }
}

/// Mean and maximum over a frame's regions: [1024].
fn describe(frame: &FrameFeatures) -> Vec<f32> {
    let count = frame.regions.len() as f32;
    let mut means = vec![0f32; WIDTH];
    let mut highest = vec![f32::NEG_INFINITY; WIDTH];
    for region in frame.values.chunks_exact(WIDTH) {
        for (i, &value) in region.iter().enumerate() {
            means[i] += value / count;
            highest[i] = highest[i].max(value);
        }
    }
    means.extend(highest);
    means
}
