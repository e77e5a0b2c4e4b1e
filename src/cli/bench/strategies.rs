//! `surgcam bench strategies`: how fast this machine extracts and trains, step by step.

use std::path::{Path, PathBuf};

use crate::cli::context::Context;
use crate::cli::{WorkerOptions, transient};
use crate::measuring::strategies::{self, Measured};
use crate::report::progress::OnlyWaiting;
use crate::report::{printer, terminal_table};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::kind::HasMetrics;
use surgcam_engine::plan::{NewStage, Resource};
use surgcam_engine::protocol::Hello;
use surgcam_engine::store::read_json;
use surgcam_frames::metrics::StepSpeed;
use surgcam_pipeline::kinds::BenchmarkStage;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::{Backbone, Precision};

#[derive(clap::Args)]
pub struct Arguments {
    /// resnet10, resnet18, resnet34, resnet50 or resnet101
    #[arg(long, default_value = "resnet50", value_parser = named::<Backbone>)]
    backbone: Backbone,
    /// Classes of the network
    #[arg(long, default_value_t = 11)]
    classes: usize,
    /// Height and width of the frames
    #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"], default_values_t = [256, 320])]
    image_size: Vec<u32>,
    /// f32, bf16 or f16
    #[arg(long, default_value = "f32", value_parser = named::<Precision>)]
    precision: Precision,
    /// Frames that are processed together; single frames are always measured too
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    batch: u16,
    /// Frames in a training step
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    training_batch: u16,
    /// Rounds, in each of which every step is measured once; medians are taken over all rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Seconds for which a step is measured in a round
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Only this step (repeatable)
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// A folder of PNG and JPEG files to decode; if it does not exist, pictures are drawn into it
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Print the times as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workers: WorkerOptions,
}

/// A value by the name that recipes give it.
fn named<T: serde::de::DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
    let pictures = arguments.pictures.clone().unwrap_or_else(|| folder.path().join("pictures"));
    if !pictures.exists() {
        strategies::draw_pictures(&pictures, folder.path())?;
    }
    let context = Context::with_temporary_store(folder.path(), &arguments.workers)?;
    let image_size = [arguments.image_size[0], arguments.image_size[1]];
    let stage = BenchmarkStage {
        architecture: Architecture::of_frames(arguments.backbone, arguments.classes),
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
        let text = serde_json::to_string_pretty(&measured)
            .map_err(|error| Error::failure(format!("cannot print the figures: {error}")))?;
        printer::lines(&text)
    } else {
        printer::lines(&terminal_table::draw(
            &strategies::table(&stage, &hello, &steps),
            printer::data_width(),
        ))
    }
}

/// Makes a benchmark stage and reads what it measured.
fn measure(
    context: &Context,
    stage: &BenchmarkStage,
    pictures: &Path,
) -> Result<(Hello, Vec<StepSpeed>)> {
    let pictures = pictures.canonicalize().at_path("find the pictures in", pictures)?;
    let planned = NewStage::new("benchmark".into(), stage, NoInputs, Resource::Device)
        .with_path(BenchmarkStage::ROOT, pictures);
    let (hello, figures) =
        transient::make(context, planned, BenchmarkStage::METRICS, &mut OnlyWaiting)?;
    Ok((hello, read_json(&figures)?))
}
