//! `surgcam bench strategies`: how fast this machine extracts and trains, step by step.

use std::path::{Path, PathBuf};

use image::RgbImage;
use rand::Rng;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::{Machine, Overrides, transient};
use crate::report::layout::{ResultTable, TableColumn};
use crate::report::progress::OnlyWaiting;
use crate::report::{printer, terminal_table};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::HasMetrics;
use surgcam_engine::plan::{NewStage, Resource};
use surgcam_engine::protocol::Hello;
use surgcam_engine::store::read_json;
use surgcam_frames::dataset::index::Layout;
use surgcam_frames::dataset::sample::{self, SampleData};
use surgcam_frames::metrics::StepSpeed;
use surgcam_frames::random::stream;
use surgcam_frames::vision::picture;
use surgcam_frames::vision::resize::resize;
use surgcam_pipeline::kinds::BenchmarkStage;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::{Backbone, Precision};

#[derive(clap::Args)]
pub struct Arguments {
    /// resnet10, resnet18, resnet34, resnet50 or resnet101
    #[arg(long, default_value = "resnet50", value_parser = named::<Backbone>)]
    backbone: Backbone,
    #[arg(long, default_value_t = 11)]
    classes: usize,
    /// Height and width
    #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"], default_values_t = [256, 320])]
    image_size: Vec<u32>,
    /// f32, bf16 or f16
    #[arg(long, default_value = "f32", value_parser = named::<Precision>)]
    precision: Precision,
    /// Frames that are worked on together, beside one
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    batch: u16,
    /// Frames of a training step
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    training_batch: u16,
    /// Each step is measured once in a round; medians are over all rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Of each step in each round
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Only this step (repeatable)
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// A folder of PNG and JPEG files to decode; drawn there where it is missing, elsewhere if left out
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

/// A value by the name that recipes give it.
fn named<T: serde::de::DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// The other way.
fn name_of(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_string)).unwrap_or_default()
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Measured<'a> {
    device: &'a str,
    threads: usize,
    libtorch: &'a str,
    backbone: Backbone,
    image_size: [u32; 2],
    precision: Precision,
    steps: &'a [StepSpeed],
}

/// Of each size: full EndoVis18 frames as PNG, Cholec80's as JPEG.
const PICTURES: u32 = 8;
const PNG_SIZE: [u32; 2] = [1024, 1280];
const JPEG_SIZE: [u32; 2] = [480, 854];
/// A camera's noise: without it drawn pictures decode faster than any real one.
const NOISE: i16 = 2;

pub fn execute(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
    let pictures = arguments.pictures.clone().unwrap_or_else(|| folder.path().join("pictures"));
    if !pictures.exists() {
        draw(&pictures, folder.path())?;
    }
    let mut context = Context::new(None, &Overrides::default(), &arguments.machine)?;
    context.settings.store = Some(folder.path().join("store"));
    context.settings.shared_store = None;
    let image_size = [arguments.image_size[0], arguments.image_size[1]];
    let stage = BenchmarkStage {
        architecture: Architecture { backbone: arguments.backbone, classes: arguments.classes },
        image_size,
        precision: arguments.precision,
        batch: arguments.batch.into(),
        training_batch: arguments.training_batch.into(),
        rounds: arguments.rounds.into(),
        seconds: arguments.seconds,
        only: arguments.only.clone(),
    };
    let (hello, steps) = measure(&context, &stage, &pictures)?;
    if arguments.json {
        let measured = Measured {
            device: &hello.device_name,
            threads: hello.threads,
            libtorch: &hello.libtorch,
            backbone: arguments.backbone,
            image_size,
            precision: arguments.precision,
            steps: &steps,
        };
        let text = serde_json::to_string_pretty(&measured).map_err(|error| Error::failure(format!("cannot print the figures: {error}")))?;
        printer::lines(&text)
    } else {
        printer::lines(&terminal_table::draw(&table(&stage, &hello, &steps), printer::data_width()))
    }
}

/// As a stage of its own.
fn measure(context: &Context, stage: &BenchmarkStage, pictures: &Path) -> Result<(Hello, Vec<StepSpeed>)> {
    let pictures = pictures.canonicalize().at_path("find the pictures in", pictures)?;
    let planned = NewStage::new("benchmark".into(), stage, NoInputs, Resource::Device).at_place(BenchmarkStage::ROOT, pictures);
    let (hello, figures) = transient::make(context, planned, BenchmarkStage::METRICS, &mut OnlyWaiting)?;
    Ok((hello, read_json(&figures)?))
}

fn draw(pictures: &Path, working: &Path) -> Result<()> {
    for (name, format, picture_size) in [("png", "png", PNG_SIZE), ("jpeg", "jpg", JPEG_SIZE)] {
        let root = working.join(name);
        let drawn = SampleData { layout: Layout::EndoVis18, sequences: vec![1], frames_per_sequence: PICTURES, picture_size, seed: 1 };
        sample::write(&drawn, &root, || {})?;
        let target = pictures.join(name);
        std::fs::create_dir_all(&target).at_path("create the folder", &target)?;
        let found = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().flatten().map(walkdir::DirEntry::into_path);
        for (number, path) in found.filter(|path| path.extension().is_some_and(|extension| extension == "png")).enumerate() {
            let mut drawn = picture::read(&path)?;
            if [drawn.height(), drawn.width()] != picture_size {
                drawn = resize(&drawn, picture_size[0], picture_size[1]);
            }
            add_noise(&mut drawn, number);
            let path = target.join(format!("{number:03}.{format}"));
            drawn.save(&path).at_path("write", &path)?;
        }
    }
    Ok(())
}

fn add_noise(picture: &mut RgbImage, number: usize) {
    let mut random = stream(&format!("benchmark-noise/{number}"));
    let mut bytes = vec![0; picture.len()];
    random.fill_bytes(&mut bytes);
    for (value, byte) in picture.iter_mut().zip(bytes) {
        *value = (i16::from(*value) + i16::from(byte) % (2 * NOISE + 1) - NOISE).clamp(0, 255) as u8;
    }
}

fn table(stage: &BenchmarkStage, hello: &Hello, steps: &[StepSpeed]) -> ResultTable {
    let forward = |batch: usize| {
        let step = steps.iter().find(|step| step.step == "forward" && step.batch == batch)?;
        Some(step.p50_milliseconds_per_frame)
    };
    let is_mode = |step: &StepSpeed| ["forward", "sl-fe", "l-fe", "ln-fe"].iter().any(|mode| step.step.starts_with(mode));
    let relative =
        |step: &StepSpeed| is_mode(step).then(|| forward(step.batch)).flatten().map(|forward| step.p50_milliseconds_per_frame / forward);
    let number = |value: fn(&StepSpeed) -> f64| steps.iter().map(|step| Some(value(step))).collect();
    let [height, width] = stage.image_size;
    let mut notes = vec![
        "modes: from packed pixels to features on the CPU, decoding not included; the other steps by themselves".to_string(),
        "random weights; all classes present".to_string(),
    ];
    if steps.iter().any(|step| step.not_alone) {
        notes.push("not alone: others used the machine meanwhile, so all times may be too long".to_string());
    }
    ResultTable {
        name: "strategies".into(),
        title: format!(
            "Strategies: {}, {} threads, {}, {} at {height}x{width}",
            hello.device_name,
            hello.threads,
            stage.precision.name(),
            name_of(stage.architecture.backbone)
        ),
        columns: vec![
            TableColumn::text("step", steps.iter().map(|step| Some(step.step.clone())).collect()),
            TableColumn::count("batch", steps.iter().map(|step| Some(step.batch as i64)).collect()),
            TableColumn::number("p50 ms/frame", 2, number(|step| step.p50_milliseconds_per_frame)),
            TableColumn::number("p95 ms/frame", 2, number(|step| step.p95_milliseconds_per_frame)),
            TableColumn::number("frames/s", 1, number(|step| 1e3 / step.p50_milliseconds_per_frame)),
            TableColumn::number("to forward", 3, steps.iter().map(relative).collect()),
        ],
        notes,
        more_rows: 0,
    }
}
