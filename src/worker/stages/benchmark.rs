//! `benchmark`: what each step of extraction and training costs on this machine, from picture files to features.
//!
//! Random weights and the given pictures: what a step costs hardly depends on what it sees. Where it does (the boxes of LN-FE)
//! what it sees is set: one box for each of seven classes.

mod training;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rayon::prelude::*;
use surgcam_artifacts::features::{FeatureWriter, RegionRow};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_frames::dataset::index::{Frame, OnBadFrame};
use surgcam_frames::dataset::pack::{self, Pack, Packing};
use surgcam_frames::metrics::StepSpeed;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::picture;
use surgcam_frames::vision::resize::resize;
use surgcam_pipeline::kinds::BenchmarkStage;
use surgcam_pipeline::settings::*;
use surgcam_values::{CamMethod, FeatureLayer, ImageSize, Mode, Pool, Precision, Present};
use tch::{Cuda, Device};

use super::{KindRun, Make, StageRun};
use crate::activations::FrameActivations;
use crate::crops;
use crate::feature_extractor::{FeatureExtractor, ForwardPass};
use crate::frames;
use crate::heat_maps::FrameHeatMaps;
use crate::model::weights::Weights;
use crate::modes::{FrameInput, ReadRegions};
use crate::regions::{Extracted, FoundRegions};
use crate::timing::{Effort, Times};
use training::Trainer;

/// METHOD 4's, of extraction.
const NORMALIZATION: Normalization =
    Normalization { mean: [0.408_494_5, 0.255_136_82, 0.253_535_66], std: [0.226_629_06, 0.202_016_52, 0.196_252_6] };
/// Boxes that LN-FE is measured with, each of a class of its own.
const BOXES: usize = 7;
const ROI_THRESHOLD: f64 = 0.3;
const MINIMUM_AREA: u32 = 25;
const CROP_SIZE: [u32; 2] = ImageSize::OF_CROPS.height_width();
/// Pictures of a pack.
const PACKED: usize = 64;

impl Make for BenchmarkStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let bench = Bench::prepare(stage)?;
        let mut steps = bench.steps();
        if !parameters.only.is_empty() {
            if let Some(unknown) = parameters.only.iter().find(|name| steps.iter().all(|step| step.name != **name)) {
                let mut known: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
                known.dedup();
                return Err(Error::failure(format!("there is no step `{unknown}`")).hint(format!("there are: {}", known.join(", "))));
            }
            steps.retain(|step| parameters.only.contains(&step.name));
        }
        for round in 0..parameters.rounds {
            // At first memory is asked for that later repetitions have.
            let warm_up = if round == 0 { 2 } else { 0 };
            for step in &mut steps {
                Times::measure(Effort { warm_up, least: 0, most: 0, seconds: 0.0 }, &mut step.once, |_| Ok(()))?;
            }
            measure_in_turns(&mut steps, parameters.seconds, |done, of| {
                stage.progress(round * of + done, parameters.rounds * of, "steps")
            })?;
        }
        let not_alone = !stage.machine.is_alone();
        let speeds: Vec<StepSpeed> = steps.iter().map(|step| step.speed(not_alone)).collect();
        stage.write_metrics(&speeds)
    }
}

/// A step goes on for so many seconds before it is another's turn: a slow moment of the machine falls on several.
const TURN: f64 = 0.1;

/// Measures each step for so many seconds, one turn after the other.
fn measure_in_turns(steps: &mut [Step], seconds: f64, progress: impl Fn(usize, usize) -> Result<()>) -> Result<()> {
    let count = steps.len();
    let mut measured = vec![0.0; count];
    let mut waiting: Vec<usize> = (0..count).collect();
    while !waiting.is_empty() {
        for &place in &waiting {
            progress(count - waiting.len(), count)?;
            let step = &mut steps[place];
            // What others did since its last turn is out of the caches after one that does not count.
            let effort = Effort { warm_up: 1, least: 1, most: 10_000, seconds: TURN.min(seconds) };
            let times = Times::measure(effort, &mut step.once, |_| Ok(()))?;
            measured[place] += times.total();
            step.times.0.extend(times.0);
        }
        waiting.retain(|&place| measured[place] < seconds);
    }
    Ok(())
}

/// Something to measure.
struct Step<'a> {
    name: String,
    /// Frames that are worked on together.
    batch: usize,
    /// Frames that `once` works on: one batch or several.
    frames: usize,
    once: Box<dyn FnMut(usize) -> Result<()> + 'a>,
    times: Times,
}

impl Step<'_> {
    /// Where `once` works on several batches.
    fn working_on(self, frames: usize) -> Self {
        Step { frames, ..self }
    }

    fn speed(&self, not_alone: bool) -> StepSpeed {
        let per_frame = |seconds: f64| seconds * 1e3 / self.frames as f64;
        StepSpeed {
            step: self.name.clone(),
            batch: self.batch,
            p50_milliseconds_per_frame: per_frame(self.times.median()),
            p95_milliseconds_per_frame: per_frame(self.times.percentile(0.95)),
            repetitions: self.times.0.len(),
            not_alone,
        }
    }
}

/// What is measured of a frame whose forward pass is made already.
type OfActivations<'a> = Box<dyn FnMut(&FrameActivations) -> Result<()> + 'a>;

/// What the steps need, made once.
struct Bench<'a> {
    stage: &'a StageRun<'a>,
    parameters: &'a BenchmarkStage,
    pictures: Vec<PathBuf>,
    frame: Frame,
    pack: Pack,
    extractor: FeatureExtractor,
    trainer: RefCell<Trainer>,
}

impl<'a> Bench<'a> {
    fn prepare(stage: &'a KindRun<'_, BenchmarkStage>) -> Result<Self> {
        let parameters = &stage.parameters;
        let root = stage.place(BenchmarkStage::ROOT)?;
        let pictures = pictures_in(&root)?;
        let folder = stage.workspace.join("pack");
        std::fs::create_dir(&folder).at_path("create", &folder)?;
        packing(&pictures, parameters).write(&stage.partial_folder(), &folder, |_| Ok(()))?;
        let weights = Weights::random(parameters.architecture, 1);
        let device = stage.worker.device;
        let extractor =
            FeatureExtractor::new(parameters.architecture, &weights, NORMALIZATION, parameters.image_size, device, parameters.precision)?;
        let frame = Frame {
            sequence: "seq_1".into(),
            name: "frame000".into(),
            train: true,
            validation: false,
            labels: vec![parameters.architecture.classes - 1],
            boxes: None,
            box_space: parameters.image_size,
        };
        let trainer = Trainer::new(parameters, &weights, &folder, &frame, device)?;
        Ok(Bench { stage, parameters, pictures, frame, pack: Pack::open(&folder)?, extractor, trainer: RefCell::new(trainer) })
    }

    fn device(&self) -> Device {
        self.stage.worker.device
    }

    fn synchronize(&self) {
        if let Device::Cuda(number) = self.device() {
            Cuda::synchronize(number as i64);
        }
    }

    /// Packed pixels of the pictures, round and round.
    fn rows(&self, step: usize, count: usize) -> Vec<&[u8]> {
        (0..count).map(|offset| self.pack.row((step * count + offset) % self.pictures.len())).collect()
    }

    fn steps<'b>(&'b self) -> Vec<Step<'b>> {
        let mut steps = self.input_steps();
        for batch in [1, self.parameters.batch] {
            steps.extend(self.forward_steps(batch));
        }
        steps.extend(self.parts_of_extraction());
        // In f16 a loss would have to be scaled, so nothing is trained in it.
        if self.parameters.precision != Precision::F16 {
            steps.extend(training::steps(&self.trainer));
        }
        steps
    }

    /// From files to pixels, and from packed pixels to a batch for training.
    fn input_steps<'b>(&'b self) -> Vec<Step<'b>> {
        let mut steps = Vec::new();
        for format in ["png", "jpg"] {
            let of_format: Vec<PathBuf> =
                self.pictures.iter().filter(|path| path.extension().is_some_and(|extension| extension == format)).cloned().collect();
            let Some(first) = of_format.first().cloned() else { continue };
            let [height, width] = self.parameters.image_size;
            steps.push(step(&format!("decode {format}, one thread"), 1, {
                let of_format = of_format.clone();
                move |number| picture::read(&of_format[number % of_format.len()]).map(|_| ())
            }));
            let decoded = RefCell::new(None);
            steps.push(step(&format!("resize {format}, one thread"), 1, move |_| {
                if decoded.borrow().is_none() {
                    *decoded.borrow_mut() = Some(picture::read(&first)?);
                }
                let resized = decoded.borrow().as_ref().map(|decoded| resize(decoded, height, width));
                std::hint::black_box(resized);
                Ok(())
            }));
            let many: Vec<PathBuf> = of_format.iter().cycle().take(PACKED).cloned().collect();
            steps.push(step(&format!("decode and resize {format} to batches"), PACKED, {
                let many = many.clone();
                move |_| self.batches_of(&many)
            }));
            steps.push(step(&format!("pack {format}"), PACKED, move |_| {
                let folder = self.stage.workspace.join("pack-again");
                // A run's pack replaces no other: to replace one would be to wait for the disk.
                if folder.is_dir() {
                    std::fs::remove_dir_all(&folder).at_path("remove", &folder)?;
                }
                std::fs::create_dir(&folder).at_path("create", &folder)?;
                packing(&many, self.parameters).write(&self.stage.partial_folder(), &folder, |_| Ok(())).map(|_| ())
            }));
        }
        let batch = self.parameters.batch;
        steps.push(step("packed frames, augmented", batch, move |number| {
            let [height, width] = self.parameters.image_size.map(|side| side as usize);
            let rows = self.rows(number, batch);
            let augmented: Vec<Vec<u8>> = rows
                .par_iter()
                .enumerate()
                .map(|(sample, row)| Augmentation::PAPER.draw(1, number, sample).apply(row, height, width))
                .collect();
            let pictures: Vec<&[u8]> = augmented.iter().map(Vec::as_slice).collect();
            let _on_device = frames::images(&pictures, self.parameters.image_size, &NORMALIZATION, self.device());
            self.synchronize();
            Ok(())
        }));
        steps
    }

    /// From picture files to normalised batches on the device, as a data loader hands them over.
    fn batches_of(&self, pictures: &[PathBuf]) -> Result<()> {
        let [height, width] = self.parameters.image_size;
        let decoded = pictures.par_iter().map(|path| pack::decode(path, height, width)).collect::<Result<Vec<_>>>()?;
        for batch in decoded.chunks(self.parameters.batch) {
            let planes: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            let _on_device = frames::images(&planes, self.parameters.image_size, &NORMALIZATION, self.device());
        }
        self.synchronize();
        Ok(())
    }

    /// Whole passes, from packed pixels to maps or features on the CPU.
    fn forward_steps<'b>(&'b self, batch: usize) -> Vec<Step<'b>> {
        let forward = step("forward", batch, move |number| {
            self.extractor.feature_maps(&self.rows(number, batch))?;
            self.synchronize();
            Ok(())
        });
        let of_mode = |name: &str, settings: ExtractionSettings| {
            let mut ahead = None;
            step(name, batch, move |number| self.extract(number, batch, &settings, &mut ahead).map(drop))
        };
        let boxes = self.settings(Mode::LnFe, Present::Classes((0..BOXES).collect()));
        vec![
            forward,
            of_mode("sl-fe", self.settings(Mode::SlFe, self.all_classes())),
            of_mode("l-fe", self.settings(Mode::LFe, self.all_classes())),
            step(&format!("ln-fe, {BOXES} boxes"), batch, move |number| {
                let rows = self.rows(number, batch);
                let activations = self.extractor.activations(&rows)?;
                // Made as in an extraction, for their time; the boxes are set.
                let of_batch: Vec<&FrameActivations> = activations.iter().collect();
                std::hint::black_box(self.extractor.heat_maps_of_batch(&of_batch, &self.cam(self.all_classes())));
                let heat_maps: Vec<FrameHeatMaps> = activations.iter().map(|_| self.heat_maps_with_boxes()).collect();
                let frames = rows.iter().zip(&activations).zip(&heat_maps);
                let inputs: Vec<FrameInput> =
                    frames.map(|((planes, activations), heat_maps)| self.input(planes, activations, heat_maps)).collect();
                let extracted = self.extractor.extract(&inputs, &boxes)?;
                if extracted.iter().any(|extracted| extracted.regions.len() != BOXES) {
                    return Err(Error::failure(format!("the heat maps drawn have not {BOXES} boxes")));
                }
                Ok(())
            }),
        ]
    }

    /// What an extraction does beside its forward pass, one frame at a time.
    fn parts_of_extraction<'b>(&'b self) -> Vec<Step<'b>> {
        let (sl_fe, l_fe) = (self.settings(Mode::SlFe, self.all_classes()), self.settings(Mode::LFe, self.all_classes()));
        let activations: Rc<RefCell<Option<FrameActivations>>> = Rc::default();
        let on_activations = |name: &str, mut once: OfActivations<'b>| {
            let activations = activations.clone();
            step(name, 1, move |_| {
                if activations.borrow().is_none() {
                    *activations.borrow_mut() = Some(self.extractor.activations(&[self.pack.row(0)])?.remove(0));
                }
                activations.borrow().as_ref().map_or(Ok(()), &mut once)
            })
        };
        let cam = self.cam(self.all_classes());
        let heat_maps = move |activations: &FrameActivations| self.extractor.heat_maps(activations, &cam);
        let without_forward_pass = |settings: ExtractionSettings| {
            let cam = self.cam(self.all_classes());
            Box::new(move |activations: &FrameActivations| -> Result<()> {
                let heat_maps = self.extractor.heat_maps(activations, &cam);
                let input = self.input(self.pack.row(0), activations, &heat_maps);
                std::hint::black_box(self.extractor.extract(&[input], &settings)?);
                Ok(())
            })
        };
        let image_size = self.parameters.image_size;
        vec![
            step("normalise and upload", 1, move |number| {
                let _on_device = frames::images(&self.rows(number, 1), image_size, &NORMALIZATION, self.device());
                self.synchronize();
                Ok(())
            }),
            on_activations(
                "heat maps",
                Box::new(move |activations| {
                    std::hint::black_box(heat_maps(activations));
                    Ok(())
                }),
            ),
            on_activations("heat maps, hot cells and pooling (sl-fe)", without_forward_pass(sl_fe)),
            on_activations("heat maps, boxes and pooling (l-fe)", without_forward_pass(l_fe)),
            step(&format!("boxes ({BOXES})"), 1, move |_| {
                std::hint::black_box(self.boxes());
                Ok(())
            }),
            step(&format!("crops ({BOXES})"), 1, move |number| {
                let wanted: Vec<(usize, Box2)> = self.boxes().regions.iter().map(|region| (0, region.bounds)).collect();
                std::hint::black_box(crops::cut_out(&self.rows(number, 1), image_size, &wanted, CROP_SIZE));
                Ok(())
            }),
            on_activations(&format!("pooling ({BOXES} boxes, l-fe)"), {
                // Found once: what is measured is the pooling.
                let heat_maps = self.heat_maps_with_boxes();
                let settings = self.settings(Mode::LFe, self.all_classes());
                Box::new(move |activations: &FrameActivations| -> Result<()> {
                    let input = self.input(self.pack.row(0), activations, &heat_maps);
                    std::hint::black_box(self.extractor.extract(&[input], &settings)?);
                    Ok(())
                })
            }),
            step("writing features", self.parameters.batch, move |_| {
                let folder = self.stage.workspace.join("features");
                std::fs::create_dir_all(&folder).at_path("create", &folder)?;
                let mut writer = FeatureWriter::create(&folder)?;
                let classes = self.parameters.architecture.classes;
                let bounds = self.extractor.space().whole_frame();
                let region = |row, class| RegionRow { row, class, index: 0, bounds, probability: 1.0, confidence: 1.0 };
                for row in 0..self.parameters.batch {
                    writer.add("seq_1", (0..classes).map(|class| region(row, class)), &vec![0.5; 512 * classes])?;
                }
                writer.finish()
            }),
        ]
    }

    fn all_classes(&self) -> Present {
        Present::Classes((0..self.parameters.architecture.classes).collect())
    }

    fn cam(&self, present: Present) -> CamSettings {
        CamSettings { method: CamMethod::GradCam, layer: FeatureLayer::Layer4, present }
    }

    fn settings(&self, mode: Mode, present: Present) -> ExtractionSettings {
        ExtractionSettings {
            mode,
            regions: Some(self.region_settings(present)),
            architecture: self.parameters.architecture,
            normalization: NORMALIZATION,
            pool: Pool::P512,
            precision: self.parameters.precision,
            crop_size: mode.cuts_out().then_some(CROP_SIZE),
        }
    }

    fn region_settings(&self, present: Present) -> RegionSettings {
        RegionSettings {
            cam: self.cam(present),
            roi_threshold: ROI_THRESHOLD,
            minimum_area: Some(MINIMUM_AREA),
            feature_layer: Some(FeatureLayer::Layer4),
        }
    }

    fn input<'b>(&'b self, planes: &'b [u8], activations: &'b FrameActivations, heat_maps: &'b FrameHeatMaps) -> FrameInput<'b> {
        FrameInput { frame: &self.frame, planes, activations: Some(activations), heat_maps: Some(heat_maps) }
    }

    /// As an extraction does it: with several frames together, a GPU begins with the next ones, which are left in `ahead`, while the CPU
    /// makes features of these. A single frame is waited for to its end.
    fn extract(
        &self,
        number: usize,
        batch: usize,
        settings: &ExtractionSettings,
        ahead: &mut Option<(usize, ForwardPass)>,
    ) -> Result<Vec<Extracted>> {
        let pass = match ahead.take() {
            Some((begun, pass)) if begun == number => pass,
            _ => self.extractor.begin_forward_pass(&self.rows(number, batch))?,
        };
        if self.device().is_cuda() && batch > 1 {
            *ahead = Some((number + 1, self.extractor.begin_forward_pass(&self.rows(number + 1, batch))?));
        }
        let _aside = ahead.as_ref().and_then(|_| pass.aside());
        let planes = self.rows(number, batch);
        let activations = self.extractor.activations_of(&pass);
        let cam = settings.regions.as_ref().map_or_else(|| self.cam(self.all_classes()), |regions| regions.cam.clone());
        let heat_maps = self.extractor.heat_maps_of_batch(&activations.iter().collect::<Vec<_>>(), &cam);
        let frames = planes.iter().zip(&activations).zip(&heat_maps);
        let inputs: Vec<FrameInput> = frames.map(|((planes, activations), heat_maps)| self.input(planes, activations, heat_maps)).collect();
        if batch == 1 {
            return self.extractor.extract(&inputs, settings);
        }
        self.extractor.fetch(&inputs, settings)?;
        let (frame, space) = (&self.frame, self.extractor.space());
        let mut work: Vec<(FrameActivations, FrameHeatMaps)> = activations.into_iter().zip(heat_maps).collect();
        let read = work.par_iter_mut().zip(&planes).map(|((activations, heat_maps), planes)| {
            let input = FrameInput { frame, planes, activations: Some(&*activations), heat_maps: Some(&*heat_maps) };
            ReadRegions::of(&input, space, settings)
        });
        let read = read.collect::<Result<Vec<_>>>()?;
        self.extractor.complete(&planes, read, settings)
    }

    /// The boxes that are set.
    fn boxes(&self) -> Arc<FoundRegions> {
        self.heat_maps_with_boxes().boxes(self.extractor.space(), &self.region_settings(self.all_classes()))
    }

    /// A hot cell for each of some classes, at the size of layer 4: each becomes one box.
    fn heat_maps_with_boxes(&self) -> FrameHeatMaps {
        let [height, width] = self.parameters.image_size.map(|side| side as usize / 32);
        let of_class = |class: usize| {
            let mut values = vec![0.0; height * width];
            values[(class * width + class) % (height * width)] = 1.0;
            HeatMap { height, width, values }
        };
        FrameHeatMaps::new((0..BOXES).collect(), [height, width], (0..BOXES).map(of_class).collect())
    }
}

fn step<'a>(name: &str, batch: usize, once: impl FnMut(usize) -> Result<()> + 'a) -> Step<'a> {
    Step { name: name.into(), batch, frames: batch, once: Box::new(once), times: Times::default() }
}

fn packing<'a>(pictures: &'a [PathBuf], parameters: &BenchmarkStage) -> Packing<'a> {
    Packing { root: Path::new("/"), pictures, image_size: parameters.image_size, on_bad_frame: OnBadFrame::Fail }
}

fn pictures_in(root: &Path) -> Result<Vec<PathBuf>> {
    let found = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().flatten().map(walkdir::DirEntry::into_path);
    let is_picture = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "png" || extension == "jpg");
    let pictures: Vec<PathBuf> = found.filter(is_picture).map(|path| path.canonicalize().unwrap_or(path)).collect();
    if pictures.is_empty() { Err(Error::failure("there is no picture (png or jpg)").at_path(root)) } else { Ok(pictures) }
}
