//! `surgcam table`.

use super::ExperimentArguments;
use super::context::{Planned, measured_machine};
use crate::report::table_files::TableSource;
use crate::report::{printer, terminal_table};
use surgcam_engine::error::Result;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    let Planned { experiment, store, built, known, hello } = &context.plan(&arguments.asked.experiment)?;
    let folder = &context.results_folder(&experiment.name);
    let machine = hello.as_ref().map(measured_machine);
    for table in (TableSource { experiment, built, store, machine, folder }).tables(known)? {
        printer::lines(&terminal_table::draw(&table, printer::data_width()))?;
    }
    if known.to_run() > 0 {
        printer::message(&format!(
            "{} of {} stages are not in the store yet; what they would give is shown as `-` (surgcam run {})",
            known.to_run(),
            built.plan.stages.len(),
            arguments.asked.experiment
        ));
    }
    Ok(())
}
