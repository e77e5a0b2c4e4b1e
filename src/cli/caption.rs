//! `surgcam caption`: describes pictures that nobody annotated.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::context::Context;
use super::{WorkerOptions, transient};
use crate::report::printer;
use crate::report::progress::OnlyWaiting;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::escape;
use surgcam_engine::plan::inputs::NoInputs;
use surgcam_engine::plan::{NewStage, Resource};
use surgcam_engine::regular_file;
use surgcam_engine::store::read_json;
use surgcam_frames::dataset::index::read_lines;
use surgcam_frames::description::DescribedPicture;
use surgcam_pipeline::checked::Checked;
use surgcam_pipeline::head_settings::{CaptionerSettings, captioner_file, head_file};
use surgcam_pipeline::kinds::DescribeStage;

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a captioner, written by `surgcam export captioners`
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// A PNG or JPEG file, or a folder of them
    #[arg(value_name = "IMAGE|FOLDER")]
    pictures: PathBuf,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workers: WorkerOptions,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let captioner = settings(&arguments.checkpoint)?;
    let found = arguments.pictures.canonicalize();
    let pictures = found.map_err(|_| {
        Error::usage("there is no such picture or folder").at_path(&arguments.pictures)
    })?;
    if !pictures.is_dir() {
        regular_file::open(&pictures).map_err(Error::as_usage)?;
    }
    let folder = tempfile::tempdir()
        .map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
    let context = Context::with_temporary_store(folder.path(), &arguments.workers)?;
    let folder = arguments.checkpoint.canonicalize().at_path("find", &arguments.checkpoint)?;
    let stage = NewStage::new(
        "caption".into(),
        &DescribeStage { captioner: captioner.clone() },
        NoInputs,
        Resource::Device,
    )
    .with_path(DescribeStage::ROOT, pictures)
    .with_path(DescribeStage::CAPTIONER, folder);
    let (hello, described) =
        transient::make(&context, stage, DescribeStage::DESCRIPTIONS, &mut OnlyWaiting)?;
    let described: Vec<DescribedPicture> = read_lines(&described)?;
    let heads = TrainedHeads::of(&arguments.checkpoint);
    for picture in &described {
        if arguments.json {
            printer::line(&line(picture, &captioner)?)?;
        } else {
            printer::lines(&text(picture, &captioner, &heads))?;
        }
    }
    let broken = described.iter().filter(|picture| picture.problem.is_some()).count();
    let mut times: Vec<f64> = described
        .iter()
        .filter(|picture| picture.problem.is_none())
        .map(|picture| picture.milliseconds)
        .collect();
    times.sort_by(f64::total_cmp);
    if let Some(median) = times.get(times.len() / 2) {
        printer::message(&format!(
            "{} pictures, median {median:.1} ms each from decoded picture to {}; {}, {} threads",
            times.len(),
            heads.made(),
            hello.device_name,
            hello.threads
        ));
    }
    match broken {
        0 => Ok(()),
        several => Err(Error::failure(format!(
            "{several} of {} pictures could not be read",
            described.len()
        ))),
    }
}

/// Which heads the captioner has: data without captions or interactions train none.
struct TrainedHeads {
    captioner: bool,
    graph: bool,
}

impl TrainedHeads {
    fn of(folder: &Path) -> Self {
        let is_there = |part: &str| folder.join(part).join(head_file::SETTINGS).is_file();
        TrainedHeads {
            captioner: is_there(captioner_file::CAPTION),
            graph: is_there(captioner_file::INTERACT),
        }
    }

    fn made(&self) -> &'static str {
        match (self.captioner, self.graph) {
            (true, false) => "caption",
            (false, true) => "graph",
            _ => "caption and graph",
        }
    }
}

fn settings(folder: &Path) -> Result<Checked<CaptionerSettings>> {
    let file = folder.join(captioner_file::SETTINGS);
    if file.is_file() {
        return read_json(&file)
            .map_err(|error| error.as_usage().hint("export it again: surgcam export captioners"));
    }
    let below =
        walkdir::WalkDir::new(folder).max_depth(3).sort_by_file_name().into_iter().flatten();
    let candidates: Vec<String> = below
        .filter(|entry| entry.file_name() == captioner_file::SETTINGS)
        .filter_map(|entry| Some(entry.path().parent()?.display().to_string()))
        .collect();
    let hint = match candidates.as_slice() {
        [] => "write one with: surgcam export captioners EXPERIMENT --out DIR".to_string(),
        several => format!("there are captioners in {}", several.join(", ")),
    };
    Err(Error::usage("this is not the folder of a captioner").at_path(folder).hint(hint))
}

/// The picture as JSON, each edge with the name of its instrument.
fn line(described: &DescribedPicture, captioner: &CaptionerSettings) -> Result<String> {
    let failed =
        |error: serde_json::Error| Error::failure(format!("cannot print a caption: {error}"));
    let mut line = serde_json::to_value(described).map_err(failed)?;
    for (index, edge) in described.description.interactions.iter().enumerate() {
        line["interactions"][index]["tool"] = class_name(captioner, edge.class).into();
    }
    serde_json::to_string(&line).map_err(failed)
}

fn class_name(captioner: &CaptionerSettings, class: usize) -> &str {
    captioner.classes.get(class).map_or("?", String::as_str)
}

/// The name and time of a picture, its caption, and its graph with one line for each edge.
fn text(
    described: &DescribedPicture,
    captioner: &CaptionerSettings,
    heads: &TrainedHeads,
) -> String {
    let mut text = escape::line(&described.picture).into_owned();
    if let Some(problem) = &described.problem {
        let _ = write!(text, "\n  {problem}");
        return text;
    }
    let _ = write!(text, "  ({:.1} ms)", described.milliseconds);
    if let Some(caption) = &described.description.caption {
        let _ = write!(
            text,
            "\n  {}",
            escape::line(if caption.is_empty() { "(an empty caption)" } else { caption })
        );
    }
    if heads.graph && described.description.interactions.is_empty() {
        text.push_str("\n  (no instrument was found, so there is no graph)");
    }
    for edge in &described.description.interactions {
        let (class, interaction) =
            (escape::line(class_name(captioner, edge.class)), escape::line(&edge.interaction));
        let _ = write!(text, "\n  {class} -> tissue: {interaction} ({:.2})", edge.probability);
    }
    text
}
