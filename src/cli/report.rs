//! `surgcam report`.

use super::ExperimentArguments;
use super::context::{Planned, measured_machine};
use crate::report::page::{self, PageSource};
use crate::report::table_files::{FolderLock, TableSource};
use crate::report::{printer, run_record};
use surgcam_engine::error::{Error, Result};

#[derive(clap::Args)]
pub struct Arguments {
    /// Open the report in the browser
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    let Planned { experiment, store, built, known, hello } =
        &context.plan_of_results(&arguments.asked.experiment)?;
    let folder = &context.results_folder(&experiment.name);
    FolderLock::check(folder).map_err(Error::as_usage)?;
    let _lock = FolderLock::wait(folder)?;
    let machine = hello.as_ref().map(measured_machine);
    let tables = TableSource { experiment, built, store, machine, folder };
    let plan = run_record::plan_digest(experiment, built, known)?;
    let path = PageSource { tables, known, hello: hello.as_ref(), plan }.write(None)?;
    printer::line(&path.display().to_string())?;
    if arguments.open { page::open(&path) } else { Ok(()) }
}
