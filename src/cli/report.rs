//! `surgcam report`.

use super::ExperimentArguments;
use crate::report::table_files::FolderLock;
use crate::report::{page, printer};
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
    let planned = context.plan_of_results(&arguments.asked.experiment)?;
    let folder = context.results_folder(&planned.experiment.name);
    FolderLock::check(&folder).map_err(Error::as_usage)?;
    let _lock = FolderLock::wait(&folder)?;
    let path = planned.page_source(&folder)?.write(None)?;
    printer::line(&path.display().to_string())?;
    if arguments.open { page::open(&path) } else { Ok(()) }
}
