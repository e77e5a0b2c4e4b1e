//! `heat-maps` and `extract`: siblings on one checkpoint and one pack, made in one pass over the frames.
//!
//! Whatever subset of the siblings is asked for, each frame is forwarded once for each normalisation that they use, and each
//! sibling takes from the pass what it needs and writes it, so memory does not grow with the frames.

use std::collections::HashMap;
use std::path::PathBuf;

use rayon::prelude::*;
use surgcam_artifacts::features::{FeatureWriter, RegionRow};
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::inputs::NamedInputs;
use surgcam_engine::plan::kind::StageKind;
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::metrics::ExtractionSummary;
use surgcam_pipeline::kinds::{ExtractStage, FrameInputs, HeatMapsStage};
use surgcam_pipeline::settings::{Architecture, CamSettings, ExtractionSettings, Normalization};
use surgcam_values::{Mode, Precision};

use super::{KindRun, Make, StageRun};
use crate::cuda::streams::Aside;
use crate::fetching::Look;
use crate::frames::FrameSet;
use crate::model::checkpoint;
use crate::model::half_precision::{self, kind_of};
use crate::model::weights::Weights;
use crate::perception::{Glance, Perception, frames_in_a_pass};
use crate::seen::{Extracted, FrameSpace, Heat, Region, SeenFrame};

/// One sibling: what it wants of each frame, and what it has gathered.
struct Sibling<'a> {
    stage: &'a StageRun<'a>,
    wants: Wants<'a>,
    /// Into `Pass::cameras`; none for a yardstick.
    camera: Option<usize>,
    looker: usize,
    summary: ExtractionSummary,
}

enum Wants<'a> {
    /// Those of the current sequence are gathered: they are small.
    HeatMaps {
        folder: PathBuf,
        gathered: Vec<FrameHeat>,
    },
    Features {
        extract: Box<KindRun<'a, ExtractStage>>,
        writer: Box<FeatureWriter>,
    },
}

/// What the siblings share.
struct Pass<'a> {
    /// One for each architecture, normalisation and precision in use: nearly always a single one.
    lookers: Vec<((Architecture, Normalization, Precision), Perception)>,
    /// Distinct ways of making heat maps, each made once a frame.
    cameras: Vec<(usize, CamSettings)>,
    siblings: Vec<Sibling<'a>>,
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
    // Those of all siblings are equal.
    let FrameInputs { checkpoint, pack, index } = FrameInputs::from_named(first.job.parts.inputs.clone())?;
    let frames = FrameSet::open(&first.path_of(pack)?, &first.path_of(index)?)?;
    let weights = Weights::new(checkpoint::read_safetensors(&first.path_of(checkpoint)?)?);
    let mut pass = Pass { lookers: Vec::new(), cameras: Vec::new(), siblings: Vec::new() };
    for stage in stages {
        pass.add(stage, &weights, &frames)?;
    }
    let mut batches = batches(&frames, frames_in_a_pass(first.worker.device)).into_iter().peekable();
    // A GPU counts the next batch while the CPU makes features of this one; a CPU would only push this one out of its cache.
    let looks_ahead = first.worker.device.is_cuda();
    let mut ahead = None;
    let mut done = 0;
    while let Some(rows) = batches.next() {
        let sequence = &frames.frames[rows[0]].sequence;
        let glanced = ahead.take().map_or_else(|| pass.glance(&frames, rows), Ok)?;
        ahead = batches.peek().filter(|_| looks_ahead).map(|rows| pass.glance(&frames, rows)).transpose()?;
        let _aside = ahead.as_ref().and_then(|_| glanced.aside());
        let work = pass.look(&frames, rows, &glanced);
        pass.extract(rows, work)?;
        done += rows.len();
        first.progress(done, frames.usable.len(), "frames")?;
        if batches.peek().is_none_or(|next| frames.frames[next[0]].sequence != *sequence) {
            pass.siblings.iter_mut().try_for_each(|sibling| sibling.finish_sequence(sequence))?;
        }
    }
    pass.siblings.into_iter().try_for_each(Sibling::finish)
}

/// Rows that go through the network together, of one sequence each.
fn batches(frames: &FrameSet, size: usize) -> Vec<&[usize]> {
    let sequences = frames.usable.chunk_by(|&a, &b| frames.frames[a].sequence == frames.frames[b].sequence);
    sequences.flat_map(|sequence| sequence.chunks(size)).collect()
}

/// A batch's pixels, and each looker's forward pass over them, begun.
struct Glanced {
    planes: Vec<Vec<u8>>,
    glances: Vec<Glance>,
}

impl Glanced {
    /// The lookers' passes were begun one after the other: who waits for the last waits for all.
    fn aside(&self) -> Option<Aside> {
        self.glances.last().and_then(Glance::aside)
    }
}

impl<'a> Pass<'a> {
    fn add(&mut self, stage: &'a StageRun<'a>, weights: &Weights, frames: &FrameSet) -> Result<()> {
        let (architecture, normalization, precision, cam, wants) = if stage.job.parts.kind == HeatMapsStage::NAME {
            let heat_maps = KindRun::<HeatMapsStage>::new(stage)?;
            let wants = Wants::HeatMaps { folder: heat_maps.output_folder(HeatMapsStage::HEAT_MAPS)?, gathered: Vec::new() };
            let HeatMapsStage { architecture, normalization, cam } = heat_maps.parameters;
            (architecture, normalization, Precision::F32, Some(cam), wants)
        } else {
            let extract = Box::new(KindRun::<ExtractStage>::new(stage)?);
            let settings = &extract.parameters.extraction;
            let cam = settings.regions.as_ref().map(|regions| regions.cam.clone());
            let (architecture, normalization, precision) = (settings.architecture, settings.normalization, settings.precision);
            let writer = Box::new(FeatureWriter::create(&extract.output_folder(ExtractStage::FEATURES)?)?);
            (architecture, normalization, precision, cam, Wants::Features { extract, writer })
        };
        let wanted = (architecture, normalization, precision);
        let looker = match self.lookers.iter().position(|looker| looker.0 == wanted) {
            Some(looker) => looker,
            None => {
                let (size, device) = (frames.image_size(), stage.worker.device);
                half_precision::warning(kind_of(precision), device).into_iter().for_each(|warning| stage.note(warning));
                let perception = Perception::new(architecture, weights, normalization, size, device, precision)?;
                self.lookers.push((wanted, perception));
                self.lookers.len() - 1
            }
        };
        let camera = cam.map(|cam| {
            let wanted = (looker, cam);
            self.cameras.iter().position(|camera| *camera == wanted).unwrap_or_else(|| {
                self.cameras.push(wanted);
                self.cameras.len() - 1
            })
        });
        self.siblings.push(Sibling {
            stage,
            wants,
            camera,
            looker,
            summary: ExtractionSummary { frames: 0, regions: 0, forward_passes: 0, classes_without_region: 0 },
        });
        Ok(())
    }

    fn glance(&self, frames: &FrameSet, rows: &[usize]) -> Result<Glanced> {
        let planes = rows.par_iter().map(|&row| frames.pack.read_row(row)).collect::<Result<Vec<_>>>()?;
        let pictures: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let glances = self.lookers.iter().map(|(_, perception)| perception.glance(&pictures)).collect::<Result<Vec<_>>>()?;
        Ok(Glanced { planes, glances })
    }

    /// Waits for the device, and brings from it what the modes without further passes need.
    fn look<'b>(&self, frames: &'b FrameSet, rows: &[usize], glanced: &'b Glanced) -> Vec<FrameWork<'b>> {
        let pixels = glanced.planes.iter().map(Vec::as_slice);
        let batch: Vec<(&Frame, &[u8])> = rows.iter().map(|&row| &frames.frames[row]).zip(pixels).collect();
        let mut work: Vec<FrameWork> = (0..rows.len()).map(|_| FrameWork::default()).collect();
        for ((_, perception), glance) in self.lookers.iter().zip(&glanced.glances) {
            work.iter_mut().zip(perception.seen(&batch, glance)).for_each(|(work, seen)| work.seen.push(seen));
        }
        for (looker, cam) in &self.cameras {
            let seen: Vec<&SeenFrame> = work.iter().map(|work| &work.seen[*looker]).collect();
            let heats = self.lookers[*looker].1.heats(&seen, cam);
            work.iter_mut().zip(heats).for_each(|(work, heat)| work.heats.push(heat));
        }
        for task in self.on_the_cpu() {
            let looks: Vec<Look> = work.iter().map(|work| (&work.seen[task.looker], &work.heats[task.camera])).collect();
            self.lookers[task.looker].1.fetch(&looks, &task.settings);
        }
        work
    }

    fn extract(&mut self, rows: &[usize], mut work: Vec<FrameWork>) -> Result<()> {
        let on_the_cpu = self.on_the_cpu();
        work.par_iter_mut().for_each(|work| work.extract(&on_the_cpu));
        for (place, sibling) in self.siblings.iter_mut().enumerate() {
            let extracted = match work.iter_mut().map(|work| work.extracted.remove(&place)).collect::<Option<Vec<_>>>() {
                Some(extracted) => extracted,
                None => sibling.extract(&work, &self.lookers[sibling.looker].1)?,
            };
            for ((&row, work), extracted) in rows.iter().zip(&work).zip(extracted) {
                sibling.keep(row, work, &extracted)?;
            }
        }
        Ok(())
    }

    fn on_the_cpu(&self) -> Vec<OnTheCpu> {
        self.siblings.iter().enumerate().filter_map(|(place, sibling)| sibling.on_the_cpu(place, self)).collect()
    }
}

/// A frame of a batch, while its siblings take what they need. It moves between threads as a whole.
#[derive(Default)]
struct FrameWork<'a> {
    /// By looker.
    seen: Vec<SeenFrame<'a>>,
    /// By camera.
    heats: Vec<Heat>,
    /// By the sibling's place, of those that need no network.
    extracted: HashMap<usize, Extracted>,
}

impl FrameWork<'_> {
    fn extract(&mut self, tasks: &[OnTheCpu]) {
        for task in tasks {
            let extracted = task.space.without_network(&self.seen[task.looker], &self.heats[task.camera], &task.settings);
            self.extracted.insert(task.place, extracted);
        }
    }
}

/// What a sibling without further passes wants of each frame, apart from all that belongs to one thread.
struct OnTheCpu {
    place: usize,
    looker: usize,
    camera: usize,
    space: FrameSpace,
    settings: ExtractionSettings,
}

fn region_row(row: usize, seen: &SeenFrame, region: &Region) -> RegionRow {
    let Region { class, index, bounds, confidence } = *region;
    RegionRow { row, class, index, bounds, probability: seen.probability(class), confidence }
}

impl Sibling<'_> {
    fn on_the_cpu(&self, place: usize, pass: &Pass) -> Option<OnTheCpu> {
        match (&self.wants, self.camera) {
            (Wants::Features { extract, .. }, Some(camera)) => {
                let settings = &extract.parameters.extraction;
                let space = pass.lookers[self.looker].1.space();
                matches!(settings.mode, Mode::LFe | Mode::SlFe).then(|| OnTheCpu {
                    place,
                    looker: self.looker,
                    camera,
                    space,
                    settings: settings.clone(),
                })
            }
            _ => None,
        }
    }

    /// Of a batch of frames, for the modes that ask the network again.
    fn extract(&self, work: &[FrameWork], perception: &Perception) -> Result<Vec<Extracted>> {
        let Wants::Features { extract, .. } = &self.wants else {
            return Ok(work.iter().map(|_| Extracted::default()).collect());
        };
        let settings = &extract.parameters.extraction;
        let looks: Vec<_> = work.iter().map(|work| (&work.seen[self.looker], self.camera.map(|camera| &work.heats[camera]))).collect();
        perception.extract_together(&looks, settings)
    }

    fn keep(&mut self, row: usize, work: &FrameWork, extracted: &Extracted) -> Result<()> {
        let seen = &work.seen[self.looker];
        match &mut self.wants {
            Wants::HeatMaps { gathered, .. } => {
                let heat = self.camera.map(|camera| &work.heats[camera]).ok_or_else(|| Error::failure("heat maps without a camera"))?;
                gathered.push(FrameHeat {
                    row,
                    logits: seen.logits.clone(),
                    present: heat.present.clone(),
                    map_size: heat.map_size,
                    maps: heat.maps.clone(),
                });
                Ok(())
            }
            Wants::Features { writer, .. } => {
                self.summary.frames += 1;
                self.summary.regions += extracted.regions.len();
                self.summary.forward_passes += extracted.forward_passes;
                self.summary.classes_without_region += extracted.empty_classes;
                let of_row = |region: &Region| region_row(row, seen, region);
                writer.add(&seen.frame.sequence, extracted.regions.iter().map(of_row), &extracted.features)
            }
        }
    }

    fn finish_sequence(&mut self, name: &str) -> Result<()> {
        match &mut self.wants {
            Wants::HeatMaps { folder, gathered } => heat_maps::write_sequence(folder, name, &std::mem::take(gathered)),
            Wants::Features { .. } => Ok(()),
        }
    }

    fn finish(self) -> Result<()> {
        match self.wants {
            Wants::HeatMaps { .. } => Ok(()),
            Wants::Features { extract, writer } => {
                if self.summary.classes_without_region > 0 {
                    self.stage.note(format!("{} present classes had no region", self.summary.classes_without_region));
                }
                writer.finish()?;
                extract.write_metrics(&self.summary)
            }
        }
    }
}
