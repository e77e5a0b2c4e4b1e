//! `measure-tasks`: frames a second from packed pixels to caption and graph, at batch 1.

use surgcam_engine::error::Result;
use surgcam_engine::store::write_json;
use surgcam_frames::metrics::Speed;
use surgcam_pipeline::head_stages::{MeasureTasksStage, head_file};
use surgcam_pipeline::stages::*;

use super::StageRun;
use super::measure::{self, Timing};
use crate::frames::FrameSet;
use crate::heads::describe::Heads;
use crate::model::checkpoint;
use crate::model::parameters::Parameters;
use crate::perception::Perception;

pub fn make(stage: &StageRun) -> Result<()> {
    let parameters: MeasureTasksStage = stage.parameters()?;
    let folder = |name| stage.has_input(name).then(|| stage.input(name)).transpose();
    let (caption, interact) = (folder(input::CAPTION)?, folder(input::INTERACT)?);
    let device = stage.worker.device;
    let classes = parameters.extraction.architecture.classes;
    let heads = Heads::read(caption.as_deref(), interact.as_deref(), classes, parameters.heads, device)?;
    if heads.captioner.is_none() && heads.graph.is_none() {
        stage.note("nobody annotated a task, so there is none to measure".into());
        return write_json(&stage.output(output::METRICS), &None::<Speed>);
    }
    // A captioner that learnt with its backbone looks through that one.
    let own = caption.map(|folder| folder.join(head_file::BACKBONE)).filter(|file| file.is_file());
    let weights = own.map_or_else(|| stage.input(input::CHECKPOINT), Ok)?;
    let frames = FrameSet::open(&stage.input(input::PACK)?, &stage.input(input::INDEX)?)?;
    let settings = &parameters.extraction;
    let perception = Perception::new(
        settings.architecture,
        &Parameters::new(checkpoint::read_safetensors(&weights)?),
        settings.normalization,
        frames.image_size(),
        device,
        settings.precision,
    )?;
    let timing = Timing { frames: parameters.frames, seconds: parameters.seconds, warm_up: parameters.warm_up };
    let speed = measure::speed(stage, &frames, settings.mode, timing, |row| {
        let (seen, extracted) = measure::extract(&perception, &frames, row, settings)?;
        std::hint::black_box(heads.describe(seen.as_ref(), &extracted));
        Ok(extracted)
    })?;
    write_json(&stage.output(output::METRICS), &speed)
}
