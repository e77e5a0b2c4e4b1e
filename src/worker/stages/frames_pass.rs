//! `heat-maps` and `extract`: stages on one checkpoint and one pack, made in one pass over the
//! frames.
//!
//! Whatever subset of these stages is asked for, each frame is forwarded once for each
//! normalisation that they use, and once more if one of them takes cells from maps by the frame's
//! own statistics. Each stage takes from the pass what it needs and writes it, so memory does not
//! grow with the frames.

use std::collections::HashMap;
use std::path::PathBuf;

use rayon::prelude::*;
use surgcam_artifacts::features::{FeatureWriter, RegionRow};
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::Result;
use surgcam_engine::plan::inputs::NamedInputs;
use surgcam_engine::plan::kind::StageKind;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::metrics::ExtractionSummary;
use surgcam_pipeline::kinds::{ExtractStage, FrameInputs, HeatMapsStage};
use surgcam_pipeline::settings::{Architecture, CamSettings, ExtractionSettings, Normalization};
use surgcam_values::Precision;

use super::{KindRun, Make, StageRun};
use crate::activations::FrameActivations;
use crate::cuda::streams::Aside;
use crate::feature_extractor::{FeatureExtractor, ForwardPass, frames_in_a_pass};
use crate::frames::FrameSet;
use crate::heat_maps::FrameHeatMaps;
use crate::model::checkpoint;
use crate::model::half_precision::{self, kind_of};
use crate::model::weights::Weights;
use crate::modes::{FrameInput, ReadRegions};
use crate::regions::{Extracted, FrameSpace, Region};

/// One stage of the pass: what it wants of each frame, and what it has gathered.
struct StageOfPass<'a> {
    stage: &'a StageRun<'a>,
    /// Into `Pass::extractors`.
    extractor: usize,
    wants: Wants<'a>,
}

enum Wants<'a> {
    /// Those of the current sequence are gathered: they are small.
    HeatMaps {
        /// Into `Pass::cams`.
        cam: usize,
        folder: PathBuf,
        gathered: Vec<FrameHeat>,
    },
    Features {
        /// Into `Pass::cams`; none where the mode does not localise.
        cam: Option<usize>,
        extract: Box<KindRun<'a, ExtractStage>>,
        writer: Box<FeatureWriter>,
        summary: ExtractionSummary,
    },
}

/// What the stages share.
struct Pass<'a> {
    /// One for each architecture, normalisation and precision in use: nearly always a single one.
    extractors: Vec<((Architecture, Normalization, Precision), FeatureExtractor)>,
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
    let mut pass = Pass { extractors: Vec::new(), cams: Vec::new(), stages: Vec::new() };
    for stage in stages {
        pass.add(stage, &weights, &frames)?;
    }
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
        let batch = pass.fetch(&frames, rows, &begun)?;
        pass.extract(batch)?;
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
    let sequences =
        frames.usable.chunk_by(|&a, &b| frames.frames[a].sequence == frames.frames[b].sequence);
    sequences.flat_map(|sequence| sequence.chunks(size)).collect()
}

/// A batch's pixels, and each extractor's forward pass over them, begun.
struct BegunBatch {
    planes: Vec<Vec<u8>>,
    passes: Vec<ForwardPass>,
}

impl BegunBatch {
    /// The extractors' passes were begun one after the other: who waits for the last waits for all.
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
            let extractor = self.extractor(
                (architecture, normalization, Precision::F32),
                stage,
                weights,
                frames,
            )?;
            StageOfPass {
                stage,
                extractor,
                wants: Wants::HeatMaps {
                    cam: self.cam(extractor, cam),
                    folder,
                    gathered: Vec::new(),
                },
            }
        } else {
            let extract = Box::new(KindRun::<ExtractStage>::new(stage)?);
            let settings = &extract.parameters.extraction;
            let wanted = (settings.architecture, settings.normalization, settings.precision);
            let extractor = self.extractor(wanted, stage, weights, frames)?;
            self.extractors[extractor].1.provide(settings.batch_norm, weights)?;
            let cam =
                settings.regions.as_ref().map(|regions| self.cam(extractor, regions.cam.clone()));
            let writer =
                Box::new(FeatureWriter::create(&extract.output_folder(ExtractStage::FEATURES)?)?);
            let summary = ExtractionSummary {
                frames: 0,
                regions: 0,
                forward_passes: 0,
                classes_without_region: 0,
            };
            StageOfPass {
                stage,
                extractor,
                wants: Wants::Features { cam, extract, writer, summary },
            }
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

    fn begin_batch(&self, frames: &FrameSet, rows: &[usize]) -> Result<BegunBatch> {
        let planes =
            rows.par_iter().map(|&row| frames.pack.read_row(row)).collect::<Result<Vec<_>>>()?;
        let pictures: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let passes = self
            .extractors
            .iter()
            .map(|(_, extractor)| extractor.begin_forward_pass(&pictures))
            .collect::<Result<Vec<_>>>()?;
        Ok(BegunBatch { planes, passes })
    }

    /// Waits for the device, and brings from it what the stages need to find and read regions.
    fn fetch<'b>(
        &self,
        frames: &'b FrameSet,
        rows: &[usize],
        begun: &'b BegunBatch,
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
        for extraction in self.extractions() {
            let inputs: Vec<FrameInput> =
                batch.iter().map(|frame| frame.input(&extraction)).collect();
            self.extractors[extraction.extractor].1.fetch(&inputs, &extraction.settings)?;
        }
        Ok(batch)
    }

    fn extract(&mut self, mut batch: Vec<FrameOfBatch>) -> Result<()> {
        let extractions = self.extractions();
        batch.par_iter_mut().try_for_each(|frame| frame.read_regions(&extractions))?;
        for (place, stage) in self.stages.iter_mut().enumerate() {
            stage.take(place, &mut batch, &self.extractors[stage.extractor].1)?;
        }
        Ok(())
    }

    fn extractions(&self) -> Vec<Extraction> {
        self.stages
            .iter()
            .enumerate()
            .filter_map(|(place, stage)| stage.extraction(place, self))
            .collect()
    }
}

/// A frame of a batch, while the stages take what they need. It moves between threads as a whole.
struct FrameOfBatch<'a> {
    row: usize,
    frame: &'a Frame,
    planes: &'a [u8],
    /// By extractor.
    activations: Vec<FrameActivations>,
    /// By the place of the CAM.
    heat_maps: Vec<FrameHeatMaps>,
    /// By the stage's place.
    read: HashMap<usize, ReadRegions>,
}

impl<'a> FrameOfBatch<'a> {
    fn new(row: usize, frame: &'a Frame, planes: &'a [u8]) -> Self {
        FrameOfBatch {
            row,
            frame,
            planes,
            activations: Vec::new(),
            heat_maps: Vec::new(),
            read: HashMap::new(),
        }
    }

    fn input(&self, extraction: &Extraction) -> FrameInput<'_> {
        FrameInput {
            frame: self.frame,
            planes: self.planes,
            activations: Some(&self.activations[extraction.extractor]),
            heat_maps: extraction.cam.map(|cam| &self.heat_maps[cam]),
        }
    }

    /// For one extraction after the other, so that what they share is still in the cache.
    fn read_regions(&mut self, extractions: &[Extraction]) -> Result<()> {
        for extraction in extractions {
            let read =
                ReadRegions::of(&self.input(extraction), extraction.space, &extraction.settings)?;
            self.read.insert(extraction.place, read);
        }
        Ok(())
    }

    fn heat(&self, extractor: usize, cam: usize) -> FrameHeat {
        let heat_maps = &self.heat_maps[cam];
        FrameHeat {
            row: self.row,
            logits: self.activations[extractor].logits.clone(),
            present: heat_maps.present.clone(),
            map_size: heat_maps.map_size,
            maps: heat_maps.maps.clone(),
        }
    }

    fn region_row(&self, extractor: usize, region: &Region) -> RegionRow {
        let Region { class, index, bounds, confidence } = *region;
        RegionRow {
            row: self.row,
            class,
            index,
            bounds,
            probability: self.activations[extractor].probability(class),
            confidence,
        }
    }
}

/// What a stage wants of each frame, apart from all that belongs to one thread.
struct Extraction {
    place: usize,
    extractor: usize,
    cam: Option<usize>,
    space: FrameSpace,
    settings: ExtractionSettings,
}

impl StageOfPass<'_> {
    fn extraction(&self, place: usize, pass: &Pass) -> Option<Extraction> {
        match &self.wants {
            Wants::HeatMaps { .. } => None,
            Wants::Features { cam, extract, .. } => Some(Extraction {
                place,
                extractor: self.extractor,
                cam: *cam,
                space: pass.extractors[self.extractor].1.space(),
                settings: extract.parameters.extraction.clone(),
            }),
        }
    }

    /// Takes what it wants of a batch whose regions are read.
    fn take(
        &mut self,
        place: usize,
        batch: &mut [FrameOfBatch],
        extractor: &FeatureExtractor,
    ) -> Result<()> {
        match &mut self.wants {
            Wants::HeatMaps { cam, gathered, .. } => {
                gathered.extend(batch.iter().map(|frame| frame.heat(self.extractor, *cam)));
                Ok(())
            }
            Wants::Features { extract, writer, summary, .. } => {
                let planes: Vec<&[u8]> = batch.iter().map(|frame| frame.planes).collect();
                let read: Vec<ReadRegions> =
                    batch.iter_mut().filter_map(|frame| frame.read.remove(&place)).collect();
                let extracted =
                    extractor.complete(&planes, read, &extract.parameters.extraction)?;
                for (frame, extracted) in batch.iter().zip(&extracted) {
                    count(summary, extracted);
                    let rows = extracted
                        .regions
                        .iter()
                        .map(|region| frame.region_row(self.extractor, region));
                    writer.add(&frame.frame.sequence, rows, &extracted.features)?;
                }
                Ok(())
            }
        }
    }

    fn finish_sequence(&mut self, name: &str) -> Result<()> {
        match &mut self.wants {
            Wants::HeatMaps { folder, gathered, .. } => {
                heat_maps::write_sequence(folder, name, &std::mem::take(gathered))
            }
            Wants::Features { .. } => Ok(()),
        }
    }

    fn finish(self) -> Result<()> {
        match self.wants {
            Wants::HeatMaps { .. } => Ok(()),
            Wants::Features { extract, writer, summary, .. } => {
                if summary.classes_without_region > 0 {
                    self.stage.note(format!(
                        "{} present classes had no region",
                        summary.classes_without_region
                    ));
                }
                writer.finish()?;
                extract.write_metrics(&summary)
            }
        }
    }
}

fn count(summary: &mut ExtractionSummary, extracted: &Extracted) {
    summary.frames += 1;
    summary.regions += extracted.regions.len();
    summary.forward_passes += extracted.forward_passes;
    summary.classes_without_region += extracted.empty_classes;
}
