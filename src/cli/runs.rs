//! `surgcam runs`.

use clap_complete::ArgValueCompleter;

use super::candidates;
use super::context::Context;
use crate::report::printer;
use surgcam_engine::error::Result;
use surgcam_engine::store::runs::Run;

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
        printer::line(&format!(
            "{}  {:<11} {:>9.1} s  {:>5} run {:>5} cached {:>4} failed  {}",
            run.id,
            run.state.name(),
            run.seconds,
            run.executed.len(),
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
