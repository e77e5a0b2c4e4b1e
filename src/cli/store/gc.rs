//! `surgcam store gc`.

use std::collections::HashSet;

use chrono::{TimeDelta, Utc};
use indicatif::HumanBytes;

use crate::cli::context::Context;
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::gc::{self, Keep};
use surgcam_engine::store::inventory;
use surgcam_engine::store::key::StageKey;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Keep what the last N runs need (and the last run of each experiment)
    #[arg(long, value_name = "N", default_value_t = 10)]
    keep_runs: usize,
    /// Keep everything that was made in the last DAYS days
    #[arg(long, value_name = "DAYS", default_value_t = 0.0, value_parser = days)]
    younger_than: f64,
}

/// The most days of `--younger-than`: a hundred thousand years, which dates can still express.
const MOST_DAYS: f64 = 36_500_000.0;

fn days(text: &str) -> std::result::Result<f64, String> {
    let days = text.parse::<f64>().ok().filter(|days| (0.0..=MOST_DAYS).contains(days));
    days.ok_or_else(|| format!("a number of days from 0 to {MOST_DAYS} is expected"))
}

pub fn execute(context: &Context, arguments: &Arguments) -> Result<()> {
    let mut store = context.store()?;
    let keys = keys_of_experiments(context)?;
    let younger_than = TimeDelta::try_seconds((arguments.younger_than * 86_400.0) as i64)
        .ok_or_else(|| {
            Error::usage(format!("{} days are more than a calendar has", arguments.younger_than))
        })?;
    let alone = store.use_alone(|| printer::message("waiting for the runs that use the store"))?;
    let inventory = inventory::take(&store, &alone)?;
    let keep = Keep { runs: arguments.keep_runs, keys, younger_than };
    let garbage = gc::garbage(&inventory, &keep, Utc::now());
    for record in &garbage.records {
        printer::line(&format!("{}  {}", record.key.short(), record.name))?;
    }
    let summary = format!(
        "{} of {} finished stages, {} of {} objects, {} leftovers: {}",
        garbage.records.len(),
        inventory.records.len(),
        garbage.objects.len(),
        inventory.objects.len(),
        garbage.leftovers.len(),
        HumanBytes(garbage.bytes())
    );
    if arguments.dry_run {
        return printer::line(&format!("would free {summary}"));
    }
    gc::remove_all(&store, &garbage, &alone)?;
    printer::line(&format!("freed {summary}"))
}

/// Keys of the stages that the project's experiments need.
fn keys_of_experiments(context: &Context) -> Result<HashSet<StageKey>> {
    let mut keys = HashSet::new();
    for file in context.experiment_files()? {
        match context.plan(&file.display().to_string()) {
            Ok(planned) => {
                keys.extend(planned.built.plan.ids().filter_map(|id| planned.known.key(id)))
            }
            // Its data may lie on another machine.
            Err(error) => printer::message(&format!(
                "warning: {} cannot be planned ({}); only the stages of its last run are kept",
                file.display(),
                error.what()
            )),
        }
    }
    Ok(keys)
}
