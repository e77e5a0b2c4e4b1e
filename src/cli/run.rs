//! `surgcam run`.

use std::fs::File;
use std::path::Path;

use super::context::{Context, Planned, measured_machine, outcome};
use super::{Machine, Overrides};
use crate::error::{AtPath, Result};
use crate::report::results::Results;
use crate::report::run_record::{RunRecord, RunStart};
use crate::report::{printer, render, tables};
use crate::runner::Summary;

#[derive(clap::Args)]
pub struct Arguments {
    /// The experiment: a file, or the name of one in experiments/
    experiment: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let start = RunStart::now();
    let context = Context::new(Some(&arguments.experiment), &arguments.overrides, &arguments.machine)?;
    let planned = context.plan(&arguments.experiment)?;
    let summary = context.run(&planned.built.plan, &planned.store)?;
    let folder = context.results_folder(&planned.experiment.name);
    write_results(&planned, &start, &summary, &folder)?;
    printer::message(&format!(
        "{} stages run, {} from the store, {} failed; tables and run.json are in {}",
        summary.executed.len(),
        summary.cached.len(),
        summary.failed.len() + summary.blocked.len(),
        folder.display()
    ));
    outcome(&summary, &planned.built.plan, &format!("surgcam run {}", arguments.experiment))
}

/// Tables as files and on the terminal, and run.json. One process at a time writes an experiment's folder.
fn write_results(planned: &Planned, start: &RunStart, summary: &Summary, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
    let lock_path = folder.join(".lock");
    let lock = File::create(&lock_path).at_path("create the lock", &lock_path)?;
    lock.lock().at_path("wait for the lock", &lock_path)?;
    let Planned { experiment, store, built, hello } = planned;
    let results = Results::of(built, store);
    let machine = hello.as_ref().map(measured_machine);
    for table in tables::all(experiment, built, &results, machine.as_ref())? {
        render::write_files(&table, &folder.join("tables"))?;
        if !summary.interrupted {
            printer::data(&render::terminal(&table, printer::data_width()));
        }
    }
    RunRecord { start, experiment, built, summary, results: &results, hello: hello.as_ref() }.write(folder)
}
