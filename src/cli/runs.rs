//! `surgcam runs`.

use clap_complete::ArgValueCompleter;

use super::candidates;
use super::context::Context;
use crate::cluster::absence::journals;
use crate::cluster::states;
use crate::cluster::submission;
use crate::report::printer;
use surgcam_engine::error::Result;
use surgcam_engine::store::Store;
use surgcam_engine::store::runs::{Run, RunState};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only runs of this experiment
    #[arg(add = ArgValueCompleter::new(candidates::experiments))]
    experiment: Option<String>,
    /// At most this many, the newest first
    #[arg(long, short = 'n', default_value_t = 20)]
    number: usize,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let store = Context::plain()?.store()?;
    let is_meant = |run: &Result<Run>| match (run, &arguments.experiment) {
        (Ok(run), Some(name)) => run.experiment == *name,
        _ => true,
    };
    let mut shown = 0;
    for run in store.runs().filter(is_meant).take(arguments.number) {
        shown += 1;
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                printer::message(&format!("warning: {error}"));
                continue;
            }
        };
        let (made, jobs) = match run.state {
            RunState::Submitted => (made_so_far(&store, &run), jobs(&store, &run)),
            // Nobody wrote down at its end what the jobs of a cancelled run had made.
            RunState::Interrupted if run.executed.is_empty() => {
                (made_so_far(&store, &run), String::new())
            }
            _ => (run.executed.len(), String::new()),
        };
        printer::line(&format!(
            "{}  {:<11} {:>9.1} s  {made:>5} run {:>5} cached {:>4} failed  {}{jobs}",
            run.id,
            run.state.name(),
            run.seconds,
            run.cached,
            run.failures(),
            run.experiment
        ))?;
    }
    if shown == 0 {
        let of =
            arguments.experiment.as_ref().map(|name| format!(" of `{name}`")).unwrap_or_default();
        printer::message(&format!("no run{of} in {}", store.root().display()));
    }
    Ok(())
}

/// The stages that the jobs of a submitted run have made.
fn made_so_far(store: &Store, run: &Run) -> usize {
    let journals = submission::read(store, &run.id)
        .and_then(|submission| journals(store, &run.id, &submission))
        .unwrap_or_default();
    journals.iter().flatten().filter(|entry| entry.event == "finished").count()
}

/// How many jobs of a submitted run the cluster has; nothing where it does not answer.
fn jobs(store: &Store, run: &Run) -> String {
    let statuses = states::of_run_in(store, &run.id);
    statuses.map_or_else(|_| String::new(), |found| format!("  ({})", states::in_short(&found)))
}
