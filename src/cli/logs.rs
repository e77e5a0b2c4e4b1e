//! `surgcam logs`: what happened to a stage, and what its worker wrote.

use std::collections::BTreeSet;
use std::path::Path;

use clap_complete::ArgValueCompleter;
use walkdir::WalkDir;

use super::candidates;
use super::context::Context;
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;
use surgcam_engine::runner::journal;
use surgcam_engine::store::runs::is_of_job;
use surgcam_engine::suggestion::did_you_mean;

#[derive(clap::Args)]
pub struct Arguments {
    /// A stage's name or the beginning of it, as in "train gc-b"; all stages if left out
    #[arg(add = ArgValueCompleter::new(candidates::past_stages))]
    stage: Option<String>,
    /// A run's id, a part of it, or `latest`; if left out, the last run that made the stage
    #[arg(long, add = ArgValueCompleter::new(candidates::runs))]
    run: Option<String>,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let store = Context::plain()?.store()?;
    let ids = store.run_ids();
    let runs: Vec<String> = match &arguments.run {
        Some(id) => vec![store.run(id)?.id],
        None => ids.iter().filter(|id| !is_of_job(id)).cloned().collect(),
    };
    let is_meant = |entry: &journal::Entry| {
        entry.event != journal::CACHED
            && arguments.stage.as_ref().is_none_or(|name| entry.stage.starts_with(name.as_str()))
    };
    let mut known = BTreeSet::new();
    for run in &runs {
        let mut is_found = false;
        for id in with_its_jobs(&ids, run) {
            let folder = store.run_folder(id);
            let entries = journal::read(&folder)?;
            known.extend(entries.iter().map(|entry| entry.stage.clone()));
            let meant: Vec<&journal::Entry> =
                entries.iter().filter(|entry| is_meant(entry)).collect();
            if !meant.is_empty() {
                show(id, &meant)?;
                worker_logs(&folder)?;
                is_found = true;
            }
        }
        if is_found {
            return Ok(());
        }
    }
    let Some(name) = arguments.stage.as_deref() else {
        return Err(Error::usage("no run has a journal: no run has made a stage yet")
            .at_path(store.root())
            .hint("`surgcam runs` lists the runs"));
    };
    let suggestion = did_you_mean(name, known.iter().map(String::as_str));
    Err(Error::usage(format!("no run has a stage whose name begins with `{name}`{suggestion}"))
        .hint("`surgcam runs` lists the runs"))
}

/// A run, and its jobs if it was handed to a cluster, in the order of their numbers.
fn with_its_jobs<'a>(ids: &'a [String], run: &'a str) -> Vec<&'a str> {
    let number_of = |id: &str| id.strip_prefix(run)?.strip_prefix('.')?.parse::<usize>().ok();
    let mut jobs: Vec<(usize, &str)> =
        ids.iter().filter_map(|id| Some((number_of(id)?, id.as_str()))).collect();
    jobs.sort_unstable();
    [run].into_iter().chain(jobs.into_iter().map(|(_, id)| id)).collect()
}

/// Prints what happened to stages in a run or in one of its jobs.
fn show(id: &str, entries: &[&journal::Entry]) -> Result<()> {
    printer::line(&format!("run {id}"))?;
    for entry in entries {
        let seconds =
            entry.seconds.map(|seconds| format!(" in {seconds:.1} s")).unwrap_or_default();
        let text = entry.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        // The hint of an error is on a line of its own.
        printer::lines(&format!(
            "{}  {}  {}{seconds}{text}",
            entry.time,
            escape::line(&entry.stage),
            entry.event
        ))?;
    }
    Ok(())
}

/// Prints what the workers of a run wrote to their logs.
fn worker_logs(folder: &Path) -> Result<()> {
    for entry in WalkDir::new(folder).max_depth(1).sort_by_file_name().into_iter().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            printer::line(&format!("{}:", entry.path().display()))?;
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            String::from_utf8_lossy(&bytes)
                .lines()
                .try_for_each(|line| printer::lines(&format!("  {line}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_jobs_come_after_it_in_the_order_of_their_numbers() {
        let ids = ["2", "1.9", "1.10", "1.0", "1.x", "1", "11.1"].map(String::from);
        assert_eq!(with_its_jobs(&ids, "1"), ["1", "1.0", "1.9", "1.10"]);
        assert_eq!(with_its_jobs(&ids, "2"), ["2"]);
    }
}
