//! `heat-maps` and `extract`: siblings on one checkpoint and one pack, made in one pass over the frames.
//!
//! Whatever subset of the siblings is asked for, each frame is forwarded once for each normalisation that they use, and each
//! sibling takes from the pass what it needs. One sequence is held at a time, so memory does not grow with the frames.

use std::collections::HashMap;

use rayon::prelude::*;
use surgcam::artifacts::features::{self, RegionRow, SequenceFeatures};
use surgcam::artifacts::heat_maps::{self, FrameHeat};
use surgcam::artifacts::metrics::ExtractionSummary;
use surgcam::dataset::index::Frame;
use surgcam::error::{Error, Result};
use surgcam::pipeline::stages::*;
use surgcam::recipe::values::Mode;
use surgcam::store::write_json;

use super::StageRun;
use super::evaluate::inference_batch;
use crate::frames::FrameSet;
use crate::model::checkpoint;
use crate::model::parameters::Parameters;
use crate::perception::Perception;
use crate::seen::{Extracted, FrameSpace, Heat, SeenFrame};

/// One sibling: what it wants of each frame, and what it has gathered.
struct Sibling<'a> {
    stage: &'a StageRun<'a>,
    wants: Wants,
    folder: std::path::PathBuf,
    /// Into `Pass::cameras`; none for a yardstick.
    camera: Option<usize>,
    looker: usize,
    heat: Vec<FrameHeat>,
    features: SequenceFeatures,
    written: Vec<(String, Vec<RegionRow>)>,
    summary: ExtractionSummary,
}

enum Wants {
    HeatMaps,
    Features(ExtractionSettings),
}

/// What the siblings share.
struct Pass<'a> {
    /// One for each normalisation and architecture in use: nearly always a single one.
    lookers: Vec<(Architecture, Normalization, Perception)>,
    /// Distinct ways of making heat maps, each made once a frame.
    cameras: Vec<(usize, CamSettings)>,
    siblings: Vec<Sibling<'a>>,
}

pub fn make(stages: &[StageRun]) -> Result<()> {
    let Some(first) = stages.first() else { return Ok(()) };
    let frames = FrameSet::open(&first.input(input::PACK)?, &first.input(input::INDEX)?)?;
    let weights = Parameters::new(checkpoint::read_safetensors(&first.input(input::CHECKPOINT)?)?);
    let mut pass = Pass { lookers: Vec::new(), cameras: Vec::new(), siblings: Vec::new() };
    for stage in stages {
        pass.add(stage, &weights, &frames)?;
    }
    let mut done = 0;
    for sequence in frames.usable.chunk_by(|&a, &b| frames.frames[a].sequence == frames.frames[b].sequence) {
        for rows in sequence.chunks(inference_batch(first.worker.device)) {
            pass.look(&frames, rows)?;
            done += rows.len();
            for sibling in &pass.siblings {
                sibling.stage.progress(done, frames.usable.len(), "frames")?;
            }
        }
        let name = &frames.frames[sequence[0]].sequence;
        pass.siblings.iter_mut().try_for_each(|sibling| sibling.finish_sequence(name))?;
    }
    pass.siblings.iter().try_for_each(Sibling::finish)
}

impl<'a> Pass<'a> {
    fn add(&mut self, stage: &'a StageRun<'a>, weights: &Parameters, frames: &FrameSet) -> Result<()> {
        let (architecture, normalization, cam, wants, folder) = if stage.job.parts.kind == HeatMapsStage::KIND {
            let parameters: HeatMapsStage = stage.parameters()?;
            let folder = stage.output_folder(output::HEAT_MAPS)?;
            (parameters.architecture, parameters.normalization, Some(parameters.cam), Wants::HeatMaps, folder)
        } else {
            let settings = stage.parameters::<ExtractStage>()?.extraction;
            let cam = settings.regions.as_ref().map(|regions| regions.cam.clone());
            (settings.architecture, settings.normalization, cam, Wants::Features(settings), stage.output_folder(output::FEATURES)?)
        };
        let looker = match self.lookers.iter().position(|(a, n, _)| *a == architecture && *n == normalization) {
            Some(looker) => looker,
            None => {
                let perception = Perception::new(architecture, weights, normalization, frames.image_size(), stage.worker.device)?;
                self.lookers.push((architecture, normalization, perception));
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
            folder,
            camera,
            looker,
            heat: Vec::new(),
            features: SequenceFeatures::default(),
            written: Vec::new(),
            summary: ExtractionSummary { frames: 0, regions: 0, forward_passes: 0, classes_without_region: 0 },
        });
        Ok(())
    }

    fn look(&mut self, frames: &FrameSet, rows: &[usize]) -> Result<()> {
        let batch: Vec<(&Frame, &[u8])> = rows.iter().map(|&row| (&frames.frames[row], frames.pack.row(row))).collect();
        let seen: Vec<Vec<SeenFrame>> = self.lookers.iter().map(|(_, _, perception)| perception.look(&batch)).collect();
        let mut work: Vec<FrameWork> = (0..rows.len()).map(|_| FrameWork::default()).collect();
        for (work, position) in work.iter_mut().zip(0..) {
            let heat = |(looker, cam): &(usize, CamSettings)| self.lookers[*looker].2.heat(&seen[*looker][position], cam);
            work.heats = self.cameras.iter().map(heat).collect();
        }
        for looks in seen {
            work.iter_mut().zip(looks).for_each(|(work, seen)| work.seen.push(seen));
        }
        let on_the_cpu: Vec<OnTheCpu> =
            self.siblings.iter().enumerate().filter_map(|(place, sibling)| sibling.on_the_cpu(place, self)).collect();
        for task in &on_the_cpu {
            work.iter().for_each(|work| work.seen[task.looker].fetch_cells(&task.settings));
        }
        work.par_iter_mut().for_each(|work| work.extract(&on_the_cpu));
        for (&row, mut work) in rows.iter().zip(work) {
            for (place, sibling) in self.siblings.iter_mut().enumerate() {
                let (seen, heat) = (&work.seen[sibling.looker], sibling.camera.map(|camera| &work.heats[camera]));
                match work.extracted.remove(&place) {
                    Some(extracted) => sibling.keep(row, &extracted),
                    None => sibling.take(row, seen, heat, &self.lookers[sibling.looker].2)?,
                }
            }
        }
        Ok(())
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

impl Sibling<'_> {
    fn on_the_cpu(&self, place: usize, pass: &Pass) -> Option<OnTheCpu> {
        match (&self.wants, self.camera) {
            (Wants::Features(settings), Some(camera)) if matches!(settings.mode, Mode::LFe | Mode::SlFe) => {
                let space = pass.lookers[self.looker].2.space();
                Some(OnTheCpu { place, looker: self.looker, camera, space, settings: settings.clone() })
            }
            _ => None,
        }
    }

    fn take(&mut self, row: usize, seen: &SeenFrame, heat: Option<&Heat>, perception: &Perception) -> Result<()> {
        match &self.wants {
            Wants::HeatMaps => {
                let heat = heat.ok_or_else(|| Error::failure("heat maps without a camera"))?;
                self.heat.push(FrameHeat { row, logits: seen.logits.clone(), present: heat.present.clone(), maps: heat.maps.clone() });
            }
            Wants::Features(settings) => {
                let extracted = perception.extract(seen, heat, settings)?;
                self.keep(row, &extracted);
            }
        }
        Ok(())
    }

    fn keep(&mut self, row: usize, extracted: &Extracted) {
        self.summary.frames += 1;
        self.summary.regions += extracted.regions.len();
        self.summary.forward_passes += extracted.forward_passes;
        self.summary.classes_without_region += extracted.empty_classes;
        self.features.values.extend_from_slice(&extracted.features);
        self.features.regions.extend(extracted.regions.iter().map(|region| RegionRow {
            row,
            class: region.class,
            index: region.index,
            bounds: region.bounds,
        }));
    }

    fn finish_sequence(&mut self, name: &str) -> Result<()> {
        match &self.wants {
            Wants::HeatMaps => heat_maps::write_sequence(&self.folder, name, &std::mem::take(&mut self.heat)),
            Wants::Features(_) => {
                let features = std::mem::take(&mut self.features);
                features::write_sequence(&self.folder, name, &features)?;
                self.written.push((name.to_string(), features.regions));
                Ok(())
            }
        }
    }

    fn finish(&self) -> Result<()> {
        match &self.wants {
            Wants::HeatMaps => Ok(()),
            Wants::Features(_) => {
                if self.summary.classes_without_region > 0 {
                    self.stage.note(format!("{} present classes had no region", self.summary.classes_without_region));
                }
                features::write_index(&self.folder, &self.written)?;
                write_json(&self.stage.output(output::METRICS), &self.summary)
            }
        }
    }
}
