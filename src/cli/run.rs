//! `surgcam run`.

use std::mem::ManuallyDrop;
use std::path::Path;

use clap::ValueEnum;

use super::context::{Context, Planned, outcome};
use super::execution::{self, Execution, Manner};
use super::{ExperimentArguments, submit};
use crate::report::page::PageSource;
use crate::report::result_table::ResultTable;
use crate::report::results::Results;
use crate::report::table_files::{AllTables, FolderLock};
use crate::report::{printer, run_record, terminal_table};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::runs::Scope;

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Executor {
    Local,
    Slurm,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// Where stages run: `local` on this machine, or `slurm` as jobs of a cluster; with `slurm`,
    /// surgcam ends when the jobs are submitted
    #[arg(long, value_name = "NAME", default_value = "local")]
    executor: Executor,
    /// After a failure, continue with stages that do not need the failed one (the default for
    /// several cells)
    #[arg(long, conflicts_with = "fail_fast")]
    keep_going: bool,
    /// After a failure, start no other stage (the default for a single cell)
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    pub(super) asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    if arguments.executor == Executor::Slurm {
        if arguments.fail_fast {
            return Err(Error::usage(
                "jobs of a cluster cannot stop each other: --fail-fast is for `--executor local`",
            )
            .hint("jobs that need a failed one are not started anyway"));
        }
        return submit::execute(&context, &arguments.asked);
    }
    // The memory of a plan of ten thousand stages is freed at once when the program ends, not piece
    // by piece.
    let mut planned = ManuallyDrop::new(context.plan(&arguments.asked.experiment)?);
    let is_sweep = planned.built.cells.len() > 1;
    let keep_going = arguments.keep_going || (is_sweep && !arguments.fail_fast);
    run_here(&context, &mut planned, keep_going)
}

/// Runs what is missing on this machine, and writes the results.
pub fn run_here(context: &Context, planned: &mut Planned, keep_going: bool) -> Result<()> {
    let folder = context.results_folder(&planned.experiment.name);
    FolderLock::check(&folder).map_err(Error::as_usage)?;
    let manner =
        Manner { scope: Scope::Whole, keep_going, live_tables: Some(&folder), ..Manner::PART };
    let execution = ManuallyDrop::new(execution::execute(context, planned, &manner)?);
    let tables = match write_results(planned, &execution, &folder) {
        Ok(tables) => tables,
        Err(error) => return Err(unwritten(error, outcome(&execution, &planned.built.plan))),
    };
    // The summary is printed and the exit code is set even where the tables cannot be printed.
    let printed = tables
        .iter()
        .try_for_each(|table| printer::lines(&terminal_table::draw(table, printer::data_width())));
    let run = &execution.run;
    printer::message(&format!(
        "{} stages run, {} from the store, {} failed; tables, report.html and run.json are in {}",
        run.executed.len(),
        run.cached,
        run.failures(),
        folder.display()
    ));
    outcome(&execution, &planned.built.plan)?;
    printed
}

/// The error of a command whose results could not be written. Where stages failed as well, that is
/// the command's error, and the error of writing is printed before it.
fn unwritten(error: Error, outcome: Result<()>) -> Error {
    match outcome {
        Ok(()) => error,
        Err(failure) => {
            printer::messages(&format!(
                "error: the results could not be written: {}",
                printer::described(&error)
            ));
            failure
        }
    }
}

/// Writes the tables, run.json and the report. Only one process at a time writes an experiment's
/// folder. Gives the tables to print: none after an interruption.
pub fn write_results(
    planned: &Planned,
    execution: &Execution,
    folder: &Path,
) -> Result<Vec<ResultTable>> {
    let _lock = FolderLock::wait(folder)?;
    let Execution { summary, run } = execution;
    let (known, hello) = (&summary.known, planned.hello.as_ref());
    let source = planned.table_source(folder);
    let (tables, made) = source.write_final(known, run.plan)?;
    let results = Results::new(&planned.store, known);
    run_record::write(folder, run, &planned.store, &results, &planned.built, hello)?;
    if summary.interrupted {
        return Ok(Vec::new());
    }
    let page = PageSource { tables: source, known, hello, plan: run.plan };
    write_report(&page, execution, made);
    Ok(tables)
}

/// A run that found nothing to do keeps the existing page. The run succeeds without the page, which
/// can be made again at any time.
fn write_report(page: &PageSource, execution: &Execution, made: Option<AllTables>) {
    let has_news = !execution.run.executed.is_empty() || !execution.run.failed.is_empty();
    if !has_news && page.is_written() {
        return;
    }
    if let Err(error) = page.write(made) {
        printer::messages(&format!(
            "warning: the report could not be written: {}",
            printer::described(&error)
        ));
    }
}
