//! `heat-maps` and `extract`: stages on one checkpoint and one pack, made in one pass over the
//! frames.
//!
//! However many of these stages are asked for, each frame goes through the network once for each
//! normalisation of pictures that they use, and once more if one of them takes cells from maps that
//! are normalised by the frame's own statistics. For a temporal classifier, the pooled features of
//! the frames before are remembered. Each stage writes its results frame by frame, so memory does
//! not grow with the number of frames.

mod frame_of_batch;
mod stage_of_pass;

use rayon::prelude::*;
use surgcam_engine::error::Result;
use surgcam_engine::plan::inputs::NamedInputs;
use surgcam_engine::plan::kind::StageKind;
use surgcam_pipeline::kinds::{ExtractStage, FrameInputs, HeatMapsStage};
use surgcam_pipeline::settings::{Architecture, CamSettings, Normalization};
use surgcam_values::Precision;

use super::{KindRun, Make, StageRun};
use crate::activations::FrameActivations;
use crate::cuda::streams::Aside;
use crate::feature_extractor::{FeatureExtractor, ForwardPass, frames_in_a_pass};
use crate::frame_set::FrameSet;
use crate::model::checkpoint;
use crate::model::clips::ClipMemory;
use crate::model::half_precision::{self, kind_of};
use crate::model::weights::Weights;
use crate::modes::FrameInput;
use frame_of_batch::{Extraction, FrameOfBatch};
use stage_of_pass::StageOfPass;

/// What the stages share.
struct Pass<'a> {
    /// One for each architecture, normalisation and precision in use: nearly always a single one.
    extractors: Vec<((Architecture, Normalization, Precision), FeatureExtractor)>,
    /// The memory of each extractor for the frames before.
    memories: Vec<ClipMemory>,
    /// Distinct ways of making heat maps, each made once a frame; with the extractor that makes
    /// them.
    cams: Vec<(usize, CamSettings)>,
    stages: Vec<StageOfPass<'a>>,
}

impl Make for HeatMapsStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let stage: &StageRun = stage;
        make(std::slice::from_ref(stage))
    }
}

impl Make for ExtractStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let stage: &StageRun = stage;
        make(std::slice::from_ref(stage))
    }
}

pub fn make(stages: &[StageRun]) -> Result<()> {
    let Some(first) = stages.first() else { return Ok(()) };
    // Those of all stages are equal.
    let FrameInputs { checkpoint, pack, index, detections } =
        FrameInputs::from_named(first.job.parts.inputs.clone())?;
    let frames = first.frame_set(pack, index, detections)?;
    let weights = Weights::new(checkpoint::read_safetensors(&first.path_of(checkpoint)?)?);
    let mut pass =
        Pass { extractors: Vec::new(), memories: Vec::new(), cams: Vec::new(), stages: Vec::new() };
    for stage in stages {
        pass.add(stage, &weights, &frames)?;
    }
    for ((architecture, ..), _) in &pass.extractors {
        frames.check_order_for(*architecture)?;
    }
    let extractions = pass.extractions();
    let mut batches =
        batches(&frames, frames_in_a_pass(first.worker.device)).into_iter().peekable();
    // A GPU counts the next batch while the CPU makes features of this one; a CPU would only push
    // this one out of its cache.
    let begins_ahead = first.worker.device.is_cuda();
    let mut ahead = None;
    let mut done = 0;
    while let Some(rows) = batches.next() {
        let sequence = &frames.frames[rows[0]].sequence;
        let begun = ahead.take().map_or_else(|| pass.begin_batch(&frames, rows), Ok)?;
        ahead = batches
            .peek()
            .filter(|_| begins_ahead)
            .map(|rows| pass.begin_batch(&frames, rows))
            .transpose()?;
        let _aside = ahead.as_ref().and_then(|_| begun.aside());
        let batch = pass.fetch(&frames, rows, &begun, &extractions)?;
        pass.extract(batch, &extractions)?;
        done += rows.len();
        first.progress(done, frames.usable.len(), "frames")?;
        if batches.peek().is_none_or(|next| frames.frames[next[0]].sequence != *sequence) {
            pass.stages.iter_mut().try_for_each(|stage| stage.finish_sequence(sequence))?;
        }
    }
    pass.stages.into_iter().try_for_each(StageOfPass::finish)
}

/// Rows that go through the network together, of one sequence each.
fn batches(frames: &FrameSet, size: usize) -> Vec<&[usize]> {
    frames.sequences().flat_map(|sequence| sequence.chunks(size)).collect()
}

/// A batch's pixels, and each extractor's forward pass over them, begun.
struct BegunBatch {
    planes: Vec<Vec<u8>>,
    passes: Vec<ForwardPass>,
}

impl BegunBatch {
    /// The passes of the extractors were begun one after the other, so waiting for the last one
    /// means waiting for all.
    fn aside(&self) -> Option<Aside> {
        self.passes.last().and_then(ForwardPass::aside)
    }
}

impl<'a> Pass<'a> {
    fn add(&mut self, stage: &'a StageRun<'a>, weights: &Weights, frames: &FrameSet) -> Result<()> {
        let added = if stage.job.parts.kind == HeatMapsStage::NAME {
            let heat_maps = KindRun::<HeatMapsStage>::new(stage)?;
            let folder = heat_maps.output_folder(HeatMapsStage::HEAT_MAPS)?;
            let HeatMapsStage { architecture, normalization, cam } = heat_maps.parameters;
            let wanted = (architecture, normalization, Precision::F32);
            let extractor = self.extractor(wanted, stage, weights, frames)?;
            StageOfPass::of_heat_maps(stage, extractor, self.cam(extractor, cam), folder)
        } else {
            let extract = Box::new(KindRun::<ExtractStage>::new(stage)?);
            let settings = &extract.parameters.extraction;
            let wanted = (settings.architecture, settings.normalization, settings.precision);
            let extractor = self.extractor(wanted, stage, weights, frames)?;
            self.extractors[extractor].1.provide(settings.batch_norm, weights)?;
            let cam =
                settings.regions.as_ref().map(|regions| self.cam(extractor, regions.cam.clone()));
            StageOfPass::of_features(stage, extractor, cam, extract)?
        };
        self.stages.push(added);
        Ok(())
    }

    /// The place of this extractor, which is made where no stage before wanted it.
    fn extractor(
        &mut self,
        wanted: (Architecture, Normalization, Precision),
        stage: &StageRun,
        weights: &Weights,
        frames: &FrameSet,
    ) -> Result<usize> {
        if let Some(place) = self.extractors.iter().position(|(known, _)| *known == wanted) {
            return Ok(place);
        }
        let (architecture, normalization, precision) = wanted;
        let (size, device) = (frames.image_size(), stage.worker.device);
        half_precision::warning(kind_of(precision), device)
            .into_iter()
            .for_each(|warning| stage.note(warning));
        let extractor =
            FeatureExtractor::new(architecture, weights, normalization, size, device, precision)?;
        self.memories.push(extractor.clip_memory());
        self.extractors.push((wanted, extractor));
        Ok(self.extractors.len() - 1)
    }

    /// The place of this way of making heat maps.
    fn cam(&mut self, extractor: usize, settings: CamSettings) -> usize {
        let wanted = (extractor, settings);
        self.cams.iter().position(|cam| *cam == wanted).unwrap_or_else(|| {
            self.cams.push(wanted);
            self.cams.len() - 1
        })
    }

    fn begin_batch(&mut self, frames: &FrameSet, rows: &[usize]) -> Result<BegunBatch> {
        let planes =
            rows.par_iter().map(|&row| frames.pack.read_row(row)).collect::<Result<Vec<_>>>()?;
        let pictures: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let sequence = &frames.frames[rows[0]].sequence;
        let passes = self
            .extractors
            .iter()
            .zip(&mut self.memories)
            .map(|((_, extractor), memory)| {
                memory.enter(sequence);
                extractor.begin_next_frames(&pictures, memory)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(BegunBatch { planes, passes })
    }

    /// Waits for the device, and brings from it what the stages need to find and read regions.
    fn fetch<'b>(
        &self,
        frames: &'b FrameSet,
        rows: &[usize],
        begun: &'b BegunBatch,
        extractions: &[Extraction],
    ) -> Result<Vec<FrameOfBatch<'b>>> {
        let of_row = |(&row, planes): (&usize, &'b Vec<u8>)| {
            FrameOfBatch::new(row, &frames.frames[row], planes)
        };
        let mut batch: Vec<FrameOfBatch> = rows.iter().zip(&begun.planes).map(of_row).collect();
        for ((_, extractor), pass) in self.extractors.iter().zip(&begun.passes) {
            let activations = extractor.activations_of(pass);
            batch
                .iter_mut()
                .zip(activations)
                .for_each(|(frame, activations)| frame.activations.push(activations));
        }
        for (extractor, cam) in &self.cams {
            let activations: Vec<&FrameActivations> =
                batch.iter().map(|frame| &frame.activations[*extractor]).collect();
            let heat_maps = self.extractors[*extractor].1.heat_maps_of_batch(&activations, cam);
            batch
                .iter_mut()
                .zip(heat_maps)
                .for_each(|(frame, heat_maps)| frame.heat_maps.push(heat_maps));
        }
        for extraction in extractions {
            let inputs: Vec<FrameInput> =
                batch.iter().map(|frame| frame.input(extraction)).collect();
            self.extractors[extraction.extractor].1.fetch(&inputs, &extraction.settings)?;
        }
        Ok(batch)
    }

    fn extract(&mut self, mut batch: Vec<FrameOfBatch>, extractions: &[Extraction]) -> Result<()> {
        batch.par_iter_mut().try_for_each(|frame| frame.read_regions(extractions))?;
        for (place, stage) in self.stages.iter_mut().enumerate() {
            stage.take(place, &mut batch, &self.extractors[stage.extractor].1)?;
        }
        Ok(())
    }

    fn extractions(&self) -> Vec<Extraction> {
        self.stages
            .iter()
            .enumerate()
            .filter_map(|(place, stage)| {
                stage.extraction(place, self.extractors[stage.extractor].1.space())
            })
            .collect()
    }
}
