//! `surgcam bench`: what extraction and the orchestrator itself cost, measured on this machine.

mod empty_plan;
mod projects;
mod strategies;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Machine;
use super::context::Context;
use crate::report::layout::{ResultTable, TableColumn};
use crate::report::{printer, terminal_table};
use empty_plan::Shape;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::runner::worker_command::cores;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The three modes, each step from picture file to features, and a training step
    Strategies(strategies::Arguments),
    /// No-ops, overhead of a stage, a sweep against a single cell, indexing of many files
    Orchestrator {
        /// Only these: no-op, overhead, index, sweep (repeatable; all if left out)
        #[arg(long)]
        only: Vec<Part>,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a plan of empty stages in a store: nothing but what the runner and the store cost
    EmptyPlan {
        #[arg(long, default_value = "chain")]
        shape: Shape,
        #[arg(long, default_value_t = 1000)]
        stages: usize,
        #[command(flatten)]
        machine: Machine,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    NoOp,
    Overhead,
    Index,
    Sweep,
}

/// One measured figure.
#[derive(Debug, Serialize)]
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    /// What it is made of.
    how: String,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::EmptyPlan { shape, stages, machine } => {
            let ran = empty_plan::run(&Context::new(None, &super::Overrides::default(), machine)?, *shape, *stages)?;
            printer::line(&format!("{} stages, {} run, {:.3} s", stages, ran.executed, ran.time.as_secs_f64()))
        }
        What::Strategies(arguments) => strategies::execute(arguments),
        What::Orchestrator { only, json } => orchestrator(only, *json),
    }
}

fn orchestrator(only: &[Part], json: bool) -> Result<()> {
    let wants = |part: Part| only.is_empty() || only.contains(&part);
    let mut figures = Vec::new();
    if wants(Part::NoOp) {
        figures.extend(no_op(1_000)?);
        figures.extend(no_op(10_000)?);
    }
    if wants(Part::Overhead) {
        figures.push(overhead(10_000)?);
    }
    if wants(Part::Index) {
        figures.extend(index(100_000)?);
    }
    if wants(Part::Sweep) {
        figures.extend(sweep()?);
    }
    if json {
        let text = serde_json::to_string_pretty(&figures).map_err(|error| Error::failure(format!("cannot print the figures: {error}")))?;
        printer::lines(&text)
    } else {
        printer::lines(&terminal_table::draw(&table(&figures), printer::data_width()))
    }
}

fn table(figures: &[Figure]) -> ResultTable {
    let text = |value: fn(&Figure) -> String| figures.iter().map(|figure| Some(value(figure))).collect();
    ResultTable {
        name: "orchestrator".into(),
        title: format!("Orchestrator ({} cores)", cores()),
        columns: vec![
            TableColumn::text("what", text(|figure| figure.what.clone())),
            TableColumn::number("value", 2, figures.iter().map(|figure| Some(figure.value)).collect()),
            TableColumn::text("unit", text(|figure| figure.unit.into())),
            TableColumn::text("how", text(|figure| figure.how.clone())),
        ],
        notes: vec!["times are medians of whole processes unless said otherwise".into()],
        more_rows: 0,
    }
}

/// A folder with a store and results of its own, in which this program is run.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
        Ok(Bench { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs this program and tells how long it took.
    fn run(&self, arguments: &[&str]) -> Result<Duration> {
        let program = std::env::current_exe().map_err(|error| Error::failure(format!("cannot find this program: {error}")))?;
        let mut command = Command::new(&program);
        command.args(arguments).env("SURGCAM_STORE", self.path().join("store")).env("SURGCAM_RESULTS", self.path().join("results"));
        let begun = Instant::now();
        let output = command.stdin(Stdio::null()).output().at_path("start", &program)?;
        let time = begun.elapsed();
        if output.status.success() {
            return Ok(time);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::failure(format!("surgcam {} failed: {}", arguments.join(" "), said.lines().last().unwrap_or_default())))
    }

    /// The median of several runs, after one that is not counted.
    fn median(&self, arguments: &[&str]) -> Result<Duration> {
        const RUNS: usize = 9;
        self.run(arguments)?;
        let mut times = (0..RUNS).map(|_| self.run(arguments)).collect::<Result<Vec<_>>>()?;
        times.sort_unstable();
        Ok(times[RUNS / 2])
    }

    /// Whether and how often stages of a kind ran in the last run, and their seconds together.
    fn executed(&self, experiment: &str, kind: &str) -> Result<(usize, f64)> {
        let path = self.path().join("results").join(experiment).join("run.json");
        let record: serde_json::Value = surgcam_engine::store::read_json(&path)?;
        let stages = record["executed"].as_array().into_iter().flatten().filter(|stage| stage["kind"] == kind);
        let seconds: Vec<f64> = stages.filter_map(|stage| stage["seconds"].as_f64()).collect();
        Ok((seconds.len(), seconds.iter().sum()))
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A real experiment of about so many stages, all in the store.
fn no_op(stages: usize) -> Result<Vec<Figure>> {
    let bench = Bench::new()?;
    let file = projects::many_stages(bench.path(), stages)?;
    let first = bench.run(&["run", &file])?;
    let again = bench.median(&["run", &file])?;
    let figure = |what: &str, time: Duration, how: &str| Figure {
        what: format!("{what}, {stages} stages"),
        value: milliseconds(time),
        unit: "ms",
        how: how.into(),
    };
    Ok(vec![
        figure("first run", first, "surgcam run of a sweep on 12 drawn frames of 64x80; the work itself included"),
        figure("no-op", again, "surgcam run of the same: plan, look at the store, print tables, note the run"),
    ])
}

/// Through the real runner and one worker that stays warm, its start, records and locks included.
fn overhead(stages: usize) -> Result<Figure> {
    let bench = Bench::new()?;
    let mut context = Context::plain()?;
    context.settings.store = Some(bench.path().join("store"));
    let ran = empty_plan::run(&context, Shape::FanOut, stages)?;
    Ok(Figure {
        what: "overhead of an empty stage".into(),
        value: milliseconds(ran.time) / ran.executed.max(1) as f64,
        unit: "ms",
        how: format!("{} empty stages on one worker, its start included", ran.executed),
    })
}

/// A data folder of so many small files: the first plan hashes them, later ones ask for their times.
fn index(files: usize) -> Result<Vec<Figure>> {
    let bench = Bench::new()?;
    let file = projects::many_files(bench.path(), files)?;
    let one_thread = {
        let begun = Instant::now();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|error| Error::failure(format!("cannot start a thread: {error}")))?;
        pool.install(|| bench.hash_all("one"))?;
        begun.elapsed()
    };
    let begun = Instant::now();
    bench.hash_all("all")?;
    let all_threads = begun.elapsed();
    bench.run(&["plan", &file])?;
    let warm = bench.median(&["plan", &file])?;
    Ok(vec![
        Figure {
            what: format!("hashing {files} files, one thread"),
            value: milliseconds(one_thread),
            unit: "ms",
            how: "cold digests, files in the page cache".into(),
        },
        Figure { what: format!("hashing {files} files, all cores"), value: milliseconds(all_threads), unit: "ms", how: "the same".into() },
        Figure {
            what: format!("warm index of {files} files"),
            value: milliseconds(warm),
            unit: "ms",
            how: "surgcam plan, every file's size, time and inode asked".into(),
        },
    ])
}

impl Bench {
    /// Digests of all files of the data folder, with a memory of their own.
    fn hash_all(&self, name: &str) -> Result<()> {
        let store = surgcam_engine::store::Store::open(&self.path().join(name), None)?;
        let root = self.path().join(projects::DATA);
        let files = walkdir::WalkDir::new(&root).into_iter().flatten().filter(|entry| entry.file_type().is_file());
        let files: Vec<_> = files.filter_map(|entry| entry.path().strip_prefix(&root).ok().map(Path::to_path_buf)).collect();
        surgcam_engine::store::stat::digests(&store, &root, &files).map(|_| ())
    }
}

/// Many thresholds and pool sizes against one of each: the same pass over the frames.
fn sweep() -> Result<Vec<Figure>> {
    let bench = Bench::new()?;
    let (single, swept) = projects::sweep(bench.path())?;
    // One cell before and one after: the machine may be quicker at one time than at another.
    bench.run(&["run", &single])?;
    let (one, before) = bench.executed("single", "extract")?;
    bench.run(&["run", &swept])?;
    let (many, swept_seconds) = bench.executed("swept", "extract")?;
    bench.run(&["run", &single, "--set", "extraction.roi_threshold=0.55"])?;
    let (_, after) = bench.executed("single", "extract")?;
    let seconds = (before + after) / 2.0;
    let how = "ResNet-50, 200 frames of 256x320, extraction stages alone";
    Ok(vec![
        Figure { what: format!("extraction, {one} cell"), value: seconds, unit: "s", how: how.into() },
        Figure {
            what: format!("extraction, {many} cells"),
            value: swept_seconds,
            unit: "s",
            how: "9 T_ROI x 3 pool sizes x {L-FE, SL-FE} in one pass".into(),
        },
        Figure { what: "ratio".into(), value: swept_seconds / seconds, unit: "x", how: "many cells to one".into() },
    ])
}
