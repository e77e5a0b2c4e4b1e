//! `measure`: frames per second of one way of extraction, at batch 1, from packed pixels to features.

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
use crate::timing::{Effort, Times};

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
    let effort = Effort {
        warm_up: parameters.warm_up,
        least: LEAST_FRAMES.min(parameters.frames),
        most: parameters.frames,
        seconds: parameters.seconds,
    };
    let (mut counted, mut forward_passes, mut regions) = (0, 0, 0);
    let times = Times::measure(
        effort,
        |step| extract(&perception, &frames, rows[step % rows.len()], settings),
        |extracted| {
            counted += 1;
            forward_passes += extracted.forward_passes;
            regions += extracted.regions.len();
            stage.progress(counted, parameters.frames, "frames")
        },
    )?;
    let timed = times.0.len() as f64;
    let speed = Speed {
        frames: times.0.len(),
        frames_per_second: timed / times.total(),
        p50_milliseconds: times.percentile(0.5) * 1e3,
        p95_milliseconds: times.percentile(0.95) * 1e3,
        forward_passes_per_frame: forward_passes as f64 / timed,
        regions_per_frame: regions as f64 / timed,
    };
    write_json(&stage.output(output::METRICS), &speed)
}

/// The features come to the CPU, so the device has done its work when this returns.
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
