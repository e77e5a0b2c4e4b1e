//! `surgcam run`.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;

use super::ExperimentArguments;
use super::context::{Planned, measured_machine, outcome};
use super::execution::{self, Execution};
use crate::error::{AtPath, Error, Result};
use crate::report::results::Results;
use crate::report::table_files::TableSource;
use crate::report::{printer, run_record, terminal_table};

#[derive(clap::Args)]
pub struct Arguments {
    /// After a stage failed, go on with those that do not need it (the default where there are several cells)
    #[arg(long, conflicts_with = "fail_fast")]
    keep_going: bool,
    /// After a stage failed, start no other (the default where there is one cell)
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    // A plan of ten thousand stages is given back to the system whole, at the program's end, not piece by piece.
    let mut planned = ManuallyDrop::new(context.plan(&arguments.asked.experiment)?);
    let folder = context.results_folder(&planned.experiment.name);
    let lock = results_lock(&folder).map_err(Error::as_usage)?;
    let is_sweep = planned.built.cells.len() > 1;
    let keep_going = arguments.keep_going || (is_sweep && !arguments.fail_fast);
    let execution = ManuallyDrop::new(execution::execute(&context, &mut planned, keep_going, Some(&folder))?);
    write_results(&planned, &execution, &folder, &lock)?;
    let run = &execution.run;
    printer::message(&format!(
        "{} stages run, {} from the store, {} failed; tables and run.json are in {}",
        run.executed.len(),
        run.cached,
        run.failures(),
        folder.display()
    ));
    outcome(&execution, &planned.built.plan)
}

/// The file whose lock is held while results are written: opened before anything runs, so that a folder that cannot be written to is
/// told before hours of work.
fn results_lock(folder: &Path) -> Result<File> {
    let hint = |error: Error| error.hint("results go to the folder that is `results` in surgcam.toml or SURGCAM_RESULTS");
    std::fs::create_dir_all(folder).at_path("create the folder", folder).map_err(hint)?;
    let path = folder.join(".lock");
    File::create(&path).at_path("create the lock", &path).map_err(hint)
}

/// Tables as files and on the terminal, and run.json. One process at a time writes an experiment's folder.
fn write_results(planned: &Planned, execution: &Execution, folder: &Path, lock: &File) -> Result<()> {
    lock.lock().at_path("wait for the lock", folder)?;
    let Planned { experiment, store, built, hello, .. } = planned;
    let known = &execution.summary.known;
    let machine = hello.as_ref().map(measured_machine);
    let source = TableSource { experiment, built, store, machine, folder };
    let tables = source.write_final(known, execution.run.plan)?;
    if !execution.summary.interrupted {
        for table in &tables {
            printer::data(&terminal_table::draw(table, printer::data_width()));
        }
    }
    run_record::write(folder, &execution.run, store, &Results::new(store, known), built, hello.as_ref())
}
