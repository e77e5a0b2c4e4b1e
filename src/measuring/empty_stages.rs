//! Plans of empty stages, run by the real runner and workers.

use std::time::{Duration, Instant};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Handle, NewStage, Plan, Resource};
use surgcam_engine::runner::events::Silent;
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::worker_command::WorkerCommand;
use surgcam_engine::runner::worker_process::LogFolder;
use surgcam_engine::runner::{self, Options};
use surgcam_engine::store::Store;
use surgcam_pipeline::kinds::{EmptyInputs, EmptyStage};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Each stage needs the one before it
    Chain,
    /// All stages need the first one
    FanOut,
}

pub struct Ran {
    pub executed: usize,
    pub time: Duration,
}

fn plan(shape: Shape, stages: usize) -> Plan {
    let mut plan = Plan::default();
    let mut needed: Option<Handle<EmptyStage>> = None;
    for number in 0..stages {
        let inputs =
            EmptyInputs { before: needed.map(|needed| needed.output(EmptyStage::NOTHING)) };
        let stage = plan.add(NewStage::new(
            format!("empty {number}"),
            &EmptyStage { number },
            inputs,
            Resource::Processor,
        ));
        if shape == Shape::Chain || needed.is_none() {
            needed = Some(stage);
        }
    }
    plan
}

/// Plans, looks at the store, and runs what is not there, on `jobs` slots. The time contains the
/// start of the workers, about half a second each, which all stages share.
pub fn run(
    store: &Store,
    devices: Vec<WorkerCommand>,
    jobs: usize,
    shape: Shape,
    stages: usize,
) -> Result<Ran> {
    let plan = plan(shape, stages);
    let logs = tempfile::tempdir()
        .map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
    let options = Options { jobs, ..Options::local(devices, LogFolder::Temporary(logs.path())) };
    let begun = Instant::now();
    let known = Known::of(&plan, store)?;
    let summary = runner::run(&plan, known, store, &options, &Interrupt::default(), &mut Silent)?;
    match summary.failed.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(Ran { executed: summary.executed.len(), time: begun.elapsed() }),
    }
}
