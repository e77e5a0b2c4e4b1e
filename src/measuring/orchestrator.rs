//! What the orchestrator costs: runs that find nothing to do, empty stages, many files, sweeps.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::empty_stages::{self, Shape};
use super::program::MeasuredProgram;
use super::projects;
use crate::report::result_table::{ResultTable, TableColumn};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::runner::worker_command::{WorkerCommand, cores};
use surgcam_engine::store::Store;

/// One measured figure.
#[derive(Debug, Serialize)]
pub struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    /// How it was measured.
    how: String,
}

pub fn table(figures: &[Figure]) -> ResultTable {
    let text =
        |value: fn(&Figure) -> String| figures.iter().map(|figure| Some(value(figure))).collect();
    ResultTable {
        name: "orchestrator".into(),
        title: format!("Orchestrator ({} cores)", cores()),
        columns: vec![
            TableColumn::text("what", text(|figure| figure.what.clone())),
            TableColumn::number(
                "value",
                2,
                figures.iter().map(|figure| Some(figure.value)).collect(),
            ),
            TableColumn::text("unit", text(|figure| figure.unit.into())),
            TableColumn::text("how", text(|figure| figure.how.clone())),
        ],
        notes: vec!["times are medians of whole processes unless said otherwise".into()],
        ..Default::default()
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Runs of a real experiment with about this many stages: the first one, and later ones that find
/// everything in the store.
pub fn no_op(stages: usize) -> Result<Vec<Figure>> {
    let program = MeasuredProgram::new()?;
    let file = projects::many_stages(program.path(), stages)?;
    let first = program.run(&["run", &file])?;
    let again = program.median(&["run", &file])?;
    let figure = |what: &str, time: Duration, how: &str| Figure {
        what: format!("{what}, {stages} stages"),
        value: milliseconds(time),
        unit: "ms",
        how: how.into(),
    };
    Ok(vec![
        figure(
            "first run",
            first,
            "surgcam run of a sweep on 12 drawn frames of 64x80; the work itself included",
        ),
        figure(
            "no-op",
            again,
            "the same again: plan, look at the store, print tables, record the run",
        ),
    ])
}

/// The cost of one empty stage: the real runner with one warm worker, its start, records and locks
/// included.
pub fn overhead(devices: Vec<WorkerCommand>, jobs: usize, stages: usize) -> Result<Figure> {
    let folder = tempfile::tempdir()
        .map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
    let store = Store::open(folder.path(), None)?;
    let ran = empty_stages::run(&store, devices, jobs, Shape::FanOut, stages)?;
    Ok(Figure {
        what: "overhead of an empty stage".into(),
        value: milliseconds(ran.time) / ran.executed.max(1) as f64,
        unit: "ms",
        how: format!("{} empty stages on one worker, its start included", ran.executed),
    })
}

/// A data folder of this many small files. The first plan hashes them; later ones only compare
/// their sizes and times.
pub fn index(files: usize) -> Result<Vec<Figure>> {
    let program = MeasuredProgram::new()?;
    let file = projects::many_files(program.path(), files)?;
    let one_thread = {
        let begun = Instant::now();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|error| Error::failure(format!("cannot start a thread: {error}")))?;
        pool.install(|| program.hash_all("one"))?;
        begun.elapsed()
    };
    let begun = Instant::now();
    program.hash_all("all")?;
    let all_threads = begun.elapsed();
    program.run(&["plan", &file])?;
    let warm = program.median(&["plan", &file])?;
    Ok(vec![
        Figure {
            what: format!("hashing {files} files, one thread"),
            value: milliseconds(one_thread),
            unit: "ms",
            how: "cold digests, files in the page cache".into(),
        },
        Figure {
            what: format!("hashing {files} files, all cores"),
            value: milliseconds(all_threads),
            unit: "ms",
            how: "the same".into(),
        },
        Figure {
            what: format!("warm index of {files} files"),
            value: milliseconds(warm),
            unit: "ms",
            how: "surgcam plan, which compares every file's size, time and inode".into(),
        },
    ])
}

/// Many thresholds and pool sizes against a single one of each, in the same pass over the frames.
pub fn sweep() -> Result<Vec<Figure>> {
    let program = MeasuredProgram::new()?;
    let (single, swept) = projects::sweep(program.path())?;
    // The single cell is measured before and after the sweep, because the machine's speed may
    // drift.
    program.run(&["run", &single])?;
    let (one, before) = program.executed("single", "extract")?;
    program.run(&["run", &swept])?;
    let (many, swept_seconds) = program.executed("swept", "extract")?;
    program.run(&["run", &single, "--set", "extraction.roi_threshold=0.55"])?;
    let (_, after) = program.executed("single", "extract")?;
    let seconds = (before + after) / 2.0;
    let how = "ResNet-50, 200 frames of 256x320, extraction stages alone";
    Ok(vec![
        Figure {
            what: format!("extraction, {one} cell"),
            value: seconds,
            unit: "s",
            how: how.into(),
        },
        Figure {
            what: format!("extraction, {many} cells"),
            value: swept_seconds,
            unit: "s",
            how: "9 T_ROI x 3 pool sizes x {L-FE, SL-FE} in one pass".into(),
        },
        Figure {
            what: "ratio".into(),
            value: swept_seconds / seconds,
            unit: "x",
            how: "many cells to one".into(),
        },
    ])
}
