//! `measure-tasks`: frames a second from packed pixels to caption and graph, at batch 1.

use surgcam_engine::error::Result;
use surgcam_engine::store::digest::Digest;
use surgcam_pipeline::head_settings::head_file;
use surgcam_pipeline::kinds::MeasureTasksStage;

use super::measure::{self, Timing};
use super::{KindRun, Make};
use crate::feature_extractor::FeatureExtractor;
use crate::heads::describe::Heads;
use crate::model::checkpoint;
use crate::model::weights::Weights;

impl Make for MeasureTasksStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let folder = |head: Option<Digest>| head.map(|head| stage.path_of(head)).transpose();
        let (caption, interact) = (folder(stage.inputs.caption)?, folder(stage.inputs.interact)?);
        let device = stage.worker.device;
        let classes = parameters.extraction.architecture.classes;
        let heads = Heads::read(
            caption.as_deref(),
            interact.as_deref(),
            classes,
            parameters.heads,
            device,
        )?;
        if heads.captioner.is_none() && heads.graph.is_none() {
            stage.note("nobody annotated a task, so there is none to measure".into());
            return stage.write_metrics(&None);
        }
        // A captioner that learnt with its backbone gets its features from that one.
        let own =
            caption.map(|folder| folder.join(head_file::BACKBONE)).filter(|file| file.is_file());
        let weights = own.map_or_else(|| stage.path_of(stage.inputs.checkpoint), Ok)?;
        let frames =
            stage.frame_set(stage.inputs.pack, stage.inputs.index, stage.inputs.detections)?;
        let settings = &parameters.extraction;
        let extractor = FeatureExtractor::of_settings(
            settings,
            &Weights::new(checkpoint::read_safetensors(&weights)?),
            frames.image_size(),
            device,
        )?;
        let timing = Timing {
            frames: parameters.frames,
            seconds: parameters.seconds,
            warm_up: parameters.warm_up,
        };
        let mut memory = extractor.clip_memory();
        let speed = measure::speed(stage, &frames, settings.mode, timing, |row| {
            let (activations, extracted) = extractor.extract_from_pixels(
                &frames.frames[row],
                frames.pack.row(row),
                settings,
                &mut memory,
            )?;
            std::hint::black_box(heads.describe(activations.as_ref(), &extracted));
            Ok(extracted)
        })?;
        stage.write_metrics(&speed)
    }
}
