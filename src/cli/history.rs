//! `surgcam runs`, `surgcam show run`, `surgcam diff`, `surgcam logs`: what happened, from the store's files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::context::Context;
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;
use surgcam_engine::plan::kind::METRICS_FILE;
use surgcam_engine::runner::journal;
use surgcam_engine::store::Store;
use surgcam_engine::store::history::{PlanSnapshot, Run, SnapshotStage};
use surgcam_recipe::file::did_you_mean;

#[derive(clap::Args)]
pub struct RunsArguments {
    /// Only runs of this experiment
    experiment: Option<String>,
    /// At most so many, the newest first
    #[arg(long, short = 'n', default_value_t = 20)]
    number: usize,
}

pub fn runs(arguments: &RunsArguments) -> Result<()> {
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
        let of = arguments.experiment.as_ref().map(|name| format!(" of `{name}`")).unwrap_or_default();
        printer::message(&format!("no run{of} in {}", store.root().display()));
    }
    Ok(())
}

pub fn show_run(id: &str) -> Result<()> {
    let store = Context::plain()?.store()?;
    let run = store.run(id)?;
    let line = |name: &str, value: String| printer::line(&format!("{name:<11} {value}"));
    line("run", run.id.clone())?;
    line("experiment", run.experiment.clone())?;
    line("command", run.command_line())?;
    line("state", run.state.name().to_string())?;
    line("started", format!("{} on {}, surgcam {}", run.started, run.host, run.surgcam))?;
    line("seconds", format!("{:.1}", run.seconds))?;
    line("stages", format!("{} run, {} cached, {} failed", run.executed.len(), run.cached, run.failures()))?;
    for executed in &run.executed {
        printer::line(&format!("  ran     {}  {:>8.1} s  {}", executed.key.short(), executed.seconds, executed.stage))?;
    }
    for failed in &run.failed {
        // The problem has its hint on a line of its own.
        printer::lines(&format!("  FAILED  {}: {}", escape::line(&failed.stage), failed.problem))?;
    }
    let snapshot = store.plan_snapshot(&run.plan)?;
    for recipe in &snapshot.recipes {
        let text = |key: &str| recipe[key].as_str().unwrap_or_default().to_string();
        printer::line(&format!("[{}.{}]", text("section"), text("name")))?;
        for (key, value) in recipe["values"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let origin = recipe["origins"][key].as_str().unwrap_or("built-in");
            if origin != "built-in" {
                printer::line(&format!("  {key} = {value}  # {origin}"))?;
            }
        }
    }
    Ok(())
}

#[derive(clap::Args)]
pub struct DiffArguments {
    /// A run's id, enough of it, or `latest`
    old: String,
    new: String,
}

/// What differs between two runs: experiment, recipes, digests, metrics.
pub fn diff(arguments: &DiffArguments) -> Result<()> {
    let store = Context::plain()?.store()?;
    let runs = [store.run(&arguments.old)?, store.run(&arguments.new)?];
    let snapshots = [store.plan_snapshot(&runs[0].plan)?, store.plan_snapshot(&runs[1].plan)?];
    printer::line(&format!("{:<NAME_WIDTH$}  {:<OLD_WIDTH$}  {}", "", runs[0].id, runs[1].id))?;
    let mut differences = section("experiment", &[flat(&snapshots[0].experiment), flat(&snapshots[1].experiment)])?;
    differences += section("recipes", &[recipe_values(&snapshots[0]), recipe_values(&snapshots[1])])?;
    differences += section("stages", &[digests(&snapshots[0]), digests(&snapshots[1])])?;
    differences += section("metrics", &[metrics(&store, &snapshots[0]), metrics(&store, &snapshots[1])])?;
    if differences == 0 {
        printer::line("no difference in recipes, digests or metrics")?;
    }
    Ok(())
}

type Values = BTreeMap<String, String>;

/// Columns of a difference: names and old values have so much room, more where they are longer, up to the widest.
const NAME_WIDTH: usize = 44;
const OLD_WIDTH: usize = 26;
const WIDEST: usize = 100;

/// Two values that differ, with as many digits as tell them apart.
fn shortened([old, new]: [&str; 2]) -> [String; 2] {
    let short = |value: &str| match value.parse::<f64>() {
        Ok(number) if value.len() > 10 => format!("{number:.6}"),
        _ => value.to_string(),
    };
    let both = [short(old), short(new)];
    if both[0] == both[1] { [old.to_string(), new.to_string()] } else { both }
}

/// Prints the values that differ, side by side; gives how many do.
fn section(title: &str, [old, new]: &[Values; 2]) -> Result<usize> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let shown = |name: &String| shortened([old, new].map(|values| values.get(name).map_or("-", String::as_str)));
    let lines: Vec<(&String, [String; 2])> = differing.map(|name| (name, shown(name))).collect();
    if !lines.is_empty() {
        printer::line(&format!("{title}:"))?;
    }
    let name_width = widest(lines.iter().map(|(name, _)| name.as_str()), NAME_WIDTH - 2);
    let old_width = widest(lines.iter().map(|(_, [old, _])| old.as_str()), OLD_WIDTH);
    for (name, [old, new]) in &lines {
        printer::line(&format!("  {name:<name_width$}  {old:<old_width$}  {new}"))?;
    }
    Ok(lines.len())
}

/// Room for all of them: at least so much, at most [`WIDEST`].
fn widest<'a>(texts: impl Iterator<Item = &'a str>, least: usize) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0).clamp(least, WIDEST)
}

/// Leaves of a JSON value by dotted path.
fn flat(value: &Value) -> Values {
    let mut leaves = Values::new();
    flatten("", value, &mut leaves);
    leaves
}

fn flatten(path: &str, value: &Value, leaves: &mut Values) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                flatten(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, field, leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_string(), leaf.to_string());
        }
    }
}

/// Of recipes that a sweep has many of, every value that it has.
fn recipe_values(snapshot: &PlanSnapshot) -> Values {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for recipe in &snapshot.recipes {
        let name = format!("{}.{}", recipe["section"].as_str().unwrap_or_default(), recipe["name"].as_str().unwrap_or_default());
        for (key, value) in flat(&recipe["values"]) {
            all.entry(format!("{name}.{key}")).or_default().insert(value);
        }
    }
    all.into_iter().map(|(key, values)| (key, values.into_iter().collect::<Vec<_>>().join(" "))).collect()
}

fn digests(snapshot: &PlanSnapshot) -> Values {
    let outputs = |stage: &SnapshotStage| match stage.outputs.is_empty() {
        true => "not made".to_string(),
        false => stage.outputs.values().map(|digest| digest.short()).collect::<Vec<_>>().join(" "),
    };
    snapshot.stages.iter().map(|stage| (stage.name.clone(), outputs(stage))).collect()
}

fn metrics(store: &Store, snapshot: &PlanSnapshot) -> Values {
    let mut all = Values::new();
    for stage in &snapshot.stages {
        let found = stage.outputs.get(METRICS_FILE).and_then(|digest| store.read_object(digest).ok());
        let Some(value) = found.and_then(|text| serde_json::from_slice::<Value>(&text).ok()) else { continue };
        all.extend(flat(&value).into_iter().map(|(name, value)| (format!("{}: {name}", stage.name), value)));
    }
    all
}

#[derive(clap::Args)]
pub struct LogsArguments {
    /// A stage's name or the beginning of it, as in "train gc-b"; all stages if left out
    stage: Option<String>,
    /// A run's id, enough of it, or `latest`; the last run in which the stage did something if left out
    #[arg(long)]
    run: Option<String>,
}

/// What happened to a stage, and what its worker said.
pub fn logs(arguments: &LogsArguments) -> Result<()> {
    let store = Context::plain()?.store()?;
    let ids = match &arguments.run {
        Some(id) => vec![store.run(id)?.id],
        None => store.run_ids(),
    };
    let is_meant = |entry: &journal::Entry| {
        entry.event != journal::CACHED && arguments.stage.as_ref().is_none_or(|name| entry.stage.starts_with(name.as_str()))
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
            let seconds = entry.seconds.map(|seconds| format!(" in {seconds:.1} s")).unwrap_or_default();
            let text = entry.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            // An error's text has its hint on a line of its own.
            printer::lines(&format!("{}  {}  {}{seconds}{text}", entry.time, escape::line(&entry.stage), entry.event))?;
        }
        return worker_logs(&folder);
    }
    let Some(name) = arguments.stage.as_deref() else {
        return Err(Error::usage("no run has a journal: none has done anything yet")
            .at_path(store.root())
            .hint("`surgcam runs` lists the runs"));
    };
    let suggestion = did_you_mean(name, known.iter().map(String::as_str));
    Err(Error::usage(format!("no run has anything of `{name}`{suggestion}")).hint("`surgcam runs` lists the runs"))
}

fn worker_logs(folder: &std::path::Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(folder).max_depth(1).sort_by_file_name().into_iter().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            printer::line(&format!("{}:", entry.path().display()))?;
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).lines().try_for_each(|line| printer::lines(&format!("  {line}")))?;
        }
    }
    Ok(())
}
