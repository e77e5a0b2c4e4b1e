//! `measure`: frames per second of one way of extraction, at batch 1, from packed pixels to
//! features.

use surgcam_engine::error::Result;
use surgcam_frames::metrics::Speed;
use surgcam_pipeline::kinds::MeasureStage;
use surgcam_values::Mode;

use super::{KindRun, Make, StageRun};
use crate::feature_extractor::FeatureExtractor;
use crate::frame_set::FrameSet;
use crate::model::checkpoint;
use crate::model::weights::Weights;
use crate::modes;
use crate::regions::Extracted;
use crate::timing::{Effort, Times};

/// At least this many frames are timed, however slow they are, because a median of fewer means
/// nothing.
const LEAST_FRAMES: usize = 5;

impl Make for MeasureStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let settings = &parameters.extraction;
        let frames =
            stage.frame_set(stage.inputs.pack, stage.inputs.index, stage.inputs.detections)?;
        let weights =
            Weights::new(checkpoint::read_safetensors(&stage.path_of(stage.inputs.checkpoint)?)?);
        let extractor = FeatureExtractor::of_settings(
            settings,
            &weights,
            frames.image_size(),
            stage.worker.device,
        )?;
        let timing = Timing {
            frames: parameters.frames,
            seconds: parameters.seconds,
            warm_up: parameters.warm_up,
        };
        let mut memory = extractor.clip_memory();
        let speed = speed(stage, &frames, settings.mode, timing, |row| {
            let (frame, planes) = (&frames.frames[row], frames.pack.row(row));
            Ok(extractor.extract_from_pixels(frame, planes, settings, &mut memory)?.1)
        })?;
        stage.write_metrics(&speed)
    }
}

/// How long frames are timed.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub frames: usize,
    pub seconds: f64,
    pub warm_up: usize,
}

/// The speed of `once`, which takes the row of a frame. It is `None` if no frame has what the mode
/// needs. Rows come in their order, as the frames of a video do.
pub fn speed(
    stage: &StageRun,
    frames: &FrameSet,
    mode: Mode,
    timing: Timing,
    mut once: impl FnMut(usize) -> Result<Extracted>,
) -> Result<Option<Speed>> {
    let rows = frames.validation_rows();
    let mut rows = if rows.is_empty() { frames.usable.clone() } else { rows };
    rows.retain(|&row| modes::named(mode).can_have_regions(&frames.frames[row]));
    if rows.is_empty() {
        stage.note("no frame to time: none has boxes".into());
        return Ok(None);
    }
    let effort = Effort {
        warm_up: timing.warm_up,
        least: LEAST_FRAMES.min(timing.frames),
        most: timing.frames,
        seconds: timing.seconds,
    };
    let (mut counted, mut forward_passes, mut regions) = (0, 0, 0);
    let times = Times::measure(
        effort,
        |step| once(rows[step % rows.len()]),
        |extracted| {
            counted += 1;
            forward_passes += extracted.forward_passes;
            regions += extracted.regions.len();
            stage.progress(counted, timing.frames, "frames")
        },
    )?;
    let timed = times.0.len() as f64;
    Ok(Some(Speed {
        frames: times.0.len(),
        frames_per_second: timed / times.total(),
        p50_milliseconds: times.median() * 1e3,
        p95_milliseconds: times.percentile(0.95) * 1e3,
        forward_passes_per_frame: forward_passes as f64 / timed,
        regions_per_frame: regions as f64 / timed,
        not_alone: !stage.machine.is_alone(),
    }))
}
