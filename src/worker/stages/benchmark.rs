//! `benchmark`: what each step of extraction and training costs on this machine, from picture files
//! to features.
//!
//! Weights are random, because the cost of a step hardly depends on what it computes. For LN-FE it
//! depends on the boxes, so these are set: one box for each of seven classes.

mod extraction;
mod training;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_frames::dataset::index::{Frame, OnBadFrame};
use surgcam_frames::dataset::pack::{self, Pack, Packing};
use surgcam_frames::metrics::StepSpeed;
use surgcam_frames::vision::picture;
use surgcam_frames::vision::resize::resize;
use surgcam_pipeline::kinds::BenchmarkStage;
use surgcam_pipeline::settings::Normalization;
use surgcam_values::{BatchNormStatistics, Precision};
use tch::{Cuda, Device};

use super::{KindRun, Make, StageRun};
use crate::feature_extractor::FeatureExtractor;
use crate::images;
use crate::model::weights::Weights;
use crate::timing::{Effort, Times};
use training::Trainer;

/// METHOD 4's, of extraction.
const NORMALIZATION: Normalization = Normalization {
    mean: [0.408_494_5, 0.255_136_82, 0.253_535_66],
    std: [0.226_629_06, 0.202_016_52, 0.196_252_6],
};
/// Pictures of a pack.
const PACKED: usize = 64;

impl Make for BenchmarkStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let bench = Bench::prepare(stage)?;
        let mut steps = bench.steps();
        if !parameters.only.is_empty() {
            if let Some(unknown) =
                parameters.only.iter().find(|name| steps.iter().all(|step| step.name != **name))
            {
                let mut known: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
                known.dedup();
                return Err(Error::failure(format!("there is no step `{unknown}`"))
                    .hint(format!("there are: {}", known.join(", "))));
            }
            steps.retain(|step| parameters.only.contains(&step.name));
        }
        for round in 0..parameters.rounds {
            // At first memory is asked for that later repetitions have.
            let warm_up = if round == 0 { 2 } else { 0 };
            for step in &mut steps {
                Times::measure(
                    Effort { warm_up, least: 0, most: 0, seconds: 0.0 },
                    &mut step.once,
                    |_| Ok(()),
                )?;
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

/// Each step is repeated for this many seconds before the next one has its turn, so that a slow
/// moment of the machine affects several steps.
const TURN: f64 = 0.1;

/// Measures each step for this many seconds in each turn.
fn measure_in_turns(
    steps: &mut [Step],
    seconds: f64,
    progress: impl Fn(usize, usize) -> Result<()>,
) -> Result<()> {
    let count = steps.len();
    let mut measured = vec![0.0; count];
    let mut waiting: Vec<usize> = (0..count).collect();
    while !waiting.is_empty() {
        for &place in &waiting {
            progress(count - waiting.len(), count)?;
            let step = &mut steps[place];
            // What others did since its last turn is out of the caches after one that does not
            // count.
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

/// Everything that the steps need. It is made once.
struct Bench<'a> {
    stage: &'a StageRun<'a>,
    parameters: &'a BenchmarkStage,
    pictures: Vec<PathBuf>,
    frame: Frame,
    pack: Pack,
    extractor: FeatureExtractor,
    /// An extractor that also makes maps normalised by each frame's own statistics.
    extractor_by_frame_statistics: FeatureExtractor,
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
        let extractor = || {
            FeatureExtractor::new(
                parameters.architecture,
                &weights,
                NORMALIZATION,
                parameters.image_size,
                device,
                parameters.precision,
            )
        };
        let (extractor, mut extractor_by_frame_statistics) = (extractor()?, extractor()?);
        extractor_by_frame_statistics.provide(BatchNormStatistics::Frame, &weights)?;
        let frame = Frame {
            sequence: "seq_1".into(),
            name: "frame000".into(),
            train: true,
            validation: false,
            labels: vec![parameters.architecture.classes - 1],
            boxes: None,
            box_space: parameters.image_size,
            detected: Vec::new(),
        };
        let trainer = Trainer::new(parameters, &weights, &folder, &frame, device)?;
        Ok(Bench {
            stage,
            parameters,
            pictures,
            frame,
            pack: Pack::open(&folder)?,
            extractor,
            extractor_by_frame_statistics,
            trainer: RefCell::new(trainer),
        })
    }

    fn device(&self) -> Device {
        self.stage.worker.device
    }

    fn synchronize(&self) {
        if let Device::Cuda(number) = self.device() {
            Cuda::synchronize(number as i64);
        }
    }

    /// The packed pixels of the pictures, again and again from the first one.
    fn rows(&self, step: usize, count: usize) -> Vec<&[u8]> {
        (0..count)
            .map(|offset| self.pack.row((step * count + offset) % self.pictures.len()))
            .collect()
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
            let of_format: Vec<PathBuf> = self
                .pictures
                .iter()
                .filter(|path| path.extension().is_some_and(|extension| extension == format))
                .cloned()
                .collect();
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
                let resized =
                    decoded.borrow().as_ref().map(|decoded| resize(decoded, height, width));
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
                packing(&many, self.parameters)
                    .write(&self.stage.partial_folder(), &folder, |_| Ok(()))
                    .map(|_| ())
            }));
        }
        let batch = self.parameters.batch;
        steps.push(step("packed frames, augmented", batch, move |number| {
            let [height, width] = self.parameters.image_size.map(|side| side as usize);
            let rows = self.rows(number, batch);
            let augmented: Vec<Vec<u8>> = rows
                .par_iter()
                .enumerate()
                .map(|(sample, row)| {
                    Augmentation::PAPER.draw(1, number, sample).apply(row, height, width)
                })
                .collect();
            let pictures: Vec<&[u8]> = augmented.iter().map(Vec::as_slice).collect();
            let _on_device = images::of_pictures(
                &pictures,
                self.parameters.image_size,
                &NORMALIZATION,
                self.device(),
            );
            self.synchronize();
            Ok(())
        }));
        steps
    }

    /// From picture files to normalised batches on the device, as a data loader hands them over.
    fn batches_of(&self, pictures: &[PathBuf]) -> Result<()> {
        let [height, width] = self.parameters.image_size;
        let decoded = pictures
            .par_iter()
            .map(|path| pack::decode(path, height, width))
            .collect::<Result<Vec<_>>>()?;
        for batch in decoded.chunks(self.parameters.batch) {
            let planes: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            let _on_device = images::of_pictures(
                &planes,
                self.parameters.image_size,
                &NORMALIZATION,
                self.device(),
            );
        }
        self.synchronize();
        Ok(())
    }
}

fn step<'a>(name: &str, batch: usize, once: impl FnMut(usize) -> Result<()> + 'a) -> Step<'a> {
    Step { name: name.into(), batch, frames: batch, once: Box::new(once), times: Times::default() }
}

fn packing<'a>(pictures: &'a [PathBuf], parameters: &BenchmarkStage) -> Packing<'a> {
    Packing {
        root: Path::new("/"),
        pictures,
        image_size: parameters.image_size,
        on_bad_frame: OnBadFrame::Fail,
    }
}

fn pictures_in(root: &Path) -> Result<Vec<PathBuf>> {
    let found = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path);
    let is_picture = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "png" || extension == "jpg")
    };
    let pictures: Vec<PathBuf> =
        found.filter(is_picture).map(|path| path.canonicalize().unwrap_or(path)).collect();
    if pictures.is_empty() {
        Err(Error::failure("there is no picture (png or jpg)").at_path(root))
    } else {
        Ok(pictures)
    }
}
