//! `measure`: frames per second of one way of extraction, at batch 1, from packed pixels to features.

use std::time::Instant;

use surgcam::artifacts::metrics::Speed;
use surgcam::error::Result;
use surgcam::pipeline::stages::*;
use surgcam::recipe::values::Mode;
use surgcam::store::write_json;

use super::StageRun;
use crate::frames::FrameSet;
use crate::model::checkpoint;
use crate::model::parameters::Parameters;
use crate::perception::Perception;
use crate::seen::Extracted;

/// A median of fewer means nothing, however slow they are.
const LEAST_FRAMES: usize = 5;

pub fn make(stage: &StageRun) -> Result<()> {
    let parameters: MeasureStage = stage.parameters()?;
    let settings = &parameters.extraction;
    let frames = FrameSet::open(&stage.input(input::PACK)?, &stage.input(input::INDEX)?)?;
    let weights = Parameters::new(checkpoint::read_safetensors(&stage.input(input::CHECKPOINT)?)?);
    let perception = Perception::new(
        settings.architecture,
        &weights,
        settings.normalization,
        frames.image_size(),
        stage.worker.device,
        settings.precision,
    )?;
    let rows = frames.validation_rows();
    let mut rows = if rows.is_empty() { frames.usable.clone() } else { rows };
    if settings.mode == Mode::GroundTruthBoxes {
        rows.retain(|&row| frames.frames[row].boxes.as_ref().is_some_and(|boxes| !boxes.is_empty()));
    }
    if rows.is_empty() {
        stage.note("no frame to time: none has annotated boxes".into());
        return write_json(&stage.output(output::METRICS), &None::<Speed>);
    }
    let total = parameters.warm_up + parameters.frames;
    let mut seconds = Vec::with_capacity(parameters.frames);
    let (mut forward_passes, mut regions) = (0, 0);
    for (step, &row) in rows.iter().cycle().take(total).enumerate() {
        stage.progress(step + 1, total, "frames")?;
        let begun = Instant::now();
        let extracted = extract(&perception, &frames, row, settings)?;
        // The features are on the CPU now, so the device has done its work.
        let elapsed = begun.elapsed().as_secs_f64();
        if step >= parameters.warm_up {
            seconds.push(elapsed);
            forward_passes += extracted.forward_passes;
            regions += extracted.regions.len();
            if seconds.len() >= LEAST_FRAMES && seconds.iter().sum::<f64>() > parameters.seconds {
                break;
            }
        }
    }
    let timed = seconds.len() as f64;
    let total_seconds: f64 = seconds.iter().sum();
    seconds.sort_by(f64::total_cmp);
    let speed = Speed {
        frames: seconds.len(),
        frames_per_second: timed / total_seconds,
        p50_milliseconds: percentile(&seconds, 0.5) * 1e3,
        p95_milliseconds: percentile(&seconds, 0.95) * 1e3,
        forward_passes_per_frame: forward_passes as f64 / timed,
        regions_per_frame: regions as f64 / timed,
    };
    write_json(&stage.output(output::METRICS), &speed)
}

fn extract(perception: &Perception, frames: &FrameSet, row: usize, settings: &ExtractionSettings) -> Result<Extracted> {
    let (frame, planes) = (&frames.frames[row], frames.pack.row(row));
    if settings.mode == Mode::GroundTruthBoxes {
        Ok(perception.extract_true_boxes(&[(frame, planes)], settings)?.remove(0))
    } else {
        let seen = perception.look(&[(frame, planes)])?.remove(0);
        let heat = settings.regions.as_ref().map(|regions| perception.heat(&seen, &regions.cam));
        perception.extract(&seen, heat.as_ref(), settings)
    }
}

/// The nearest rank; `sorted` has at least one value.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.95)), (10.0, 19.0));
        assert_eq!(percentile(&[3.0], 0.95), 3.0);
    }
}
