//! `surgcam diff`: what differs between two runs.

use std::collections::BTreeSet;

use clap_complete::ArgValueCompleter;

use super::candidates;
use super::context::Context;
use crate::report::printer;
use crate::report::run_values::{Values, digests, flat, metrics, recipe_values};
use surgcam_engine::error::Result;

#[derive(clap::Args)]
pub struct Arguments {
    /// The old run: its id, a part of it, or `latest`
    #[arg(add = ArgValueCompleter::new(candidates::runs))]
    old: String,
    /// The new run, likewise
    #[arg(add = ArgValueCompleter::new(candidates::runs))]
    new: String,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let store = Context::plain()?.store()?;
    let runs = [store.run(&arguments.old)?, store.run(&arguments.new)?];
    let snapshots = [store.plan_snapshot(&runs[0].plan)?, store.plan_snapshot(&runs[1].plan)?];
    printer::line(&format!("{:<NAME_WIDTH$}  {:<OLD_WIDTH$}  {}", "", runs[0].id, runs[1].id))?;
    let mut differences =
        section("experiment", &[flat(&snapshots[0].experiment), flat(&snapshots[1].experiment)])?;
    differences +=
        section("recipes", &[recipe_values(&snapshots[0]), recipe_values(&snapshots[1])])?;
    differences += section("stages", &[digests(&snapshots[0]), digests(&snapshots[1])])?;
    differences +=
        section("metrics", &[metrics(&store, &snapshots[0]), metrics(&store, &snapshots[1])])?;
    if differences == 0 {
        printer::line("no difference in recipes, digests or metrics")?;
    }
    Ok(())
}

/// The least width of the columns of names and of old values. Longer texts widen them, up to
/// [`WIDEST`].
const NAME_WIDTH: usize = 44;
const OLD_WIDTH: usize = 26;
const WIDEST: usize = 100;

/// Two values that differ, with enough digits to tell them apart.
fn shortened([old, new]: [&str; 2]) -> [String; 2] {
    let short = |value: &str| match value.parse::<f64>() {
        Ok(number) if value.len() > 10 => format!("{number:.6}"),
        _ => value.to_string(),
    };
    let both = [short(old), short(new)];
    if both[0] == both[1] { [old.to_string(), new.to_string()] } else { both }
}

/// Prints the values that differ side by side, and gives their number.
fn section(title: &str, [old, new]: &[Values; 2]) -> Result<usize> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let shown = |name: &String| {
        shortened([old, new].map(|values| values.get(name).map_or("-", String::as_str)))
    };
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

/// The width that fits all texts: at least `least`, at most [`WIDEST`].
fn widest<'a>(texts: impl Iterator<Item = &'a str>, least: usize) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0).clamp(least, WIDEST)
}
