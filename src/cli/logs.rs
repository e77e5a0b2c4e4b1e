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
    let ids = match &arguments.run {
        Some(id) => vec![store.run(id)?.id],
        None => store.run_ids(),
    };
    let is_meant = |entry: &journal::Entry| {
        entry.event != journal::CACHED
            && arguments.stage.as_ref().is_none_or(|name| entry.stage.starts_with(name.as_str()))
    };
    let mut known = BTreeSet::new();
    for id in ids {
        let folder = store.root().join("runs").join(&id);
        let entries = journal::read(&folder)?;
        known.extend(entries.iter().map(|entry| entry.stage.clone()));
        let meant: Vec<&journal::Entry> = entries.iter().filter(|entry| is_meant(entry)).collect();
        if meant.is_empty() {
            continue;
        }
        printer::line(&format!("run {id}"))?;
        for entry in &meant {
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
        return worker_logs(&folder);
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
