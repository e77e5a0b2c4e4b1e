//! `surgcam store`.

use std::collections::{BTreeMap, HashSet};

use chrono::{TimeDelta, Utc};
use indicatif::{HumanBytes, ProgressBar};

use super::context::Context;
use super::{Machine, Overrides};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::format::Misread;
use surgcam_engine::store::gc::{self, Keep};
use surgcam_engine::store::inventory;
use surgcam_engine::store::key::StageKey;
use surgcam_engine::store::name::PlainName;
use surgcam_engine::store::record::Record;
use surgcam_engine::store::{Store, StoredRecord, verify};
use surgcam_pipeline::kinds::kind_names;
use surgcam_recipe::file::did_you_mean;
use surgcam_transfer::remote::{Fetched, NotFetched, Remote};
use surgcam_transfer::transfer::Transferred;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List finished stages: kind, name, size, age
    Ls {
        /// Only stages of this kind, as in train
        #[arg(long)]
        kind: Option<String>,
    },
    /// Show how much room each kind of stage takes
    Size,
    /// Read every object and compare it with its name; what is broken is put aside and made anew by the next run
    Verify,
    /// Remove what neither the last runs nor any experiment needs
    Gc {
        /// Only print what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Keep what the last N runs need (and the last run of each experiment)
        #[arg(long, value_name = "N", default_value_t = 10)]
        keep_runs: usize,
        /// Keep whatever was made in the last DAYS days
        #[arg(long, value_name = "DAYS", default_value_t = 0.0, value_parser = days)]
        younger_than: f64,
    },
    /// Tell what a digest or key (or its first digits) is: which stage made it, from what, and who uses it
    Why { digest: String },
    /// Copy finished stages to a folder or to s3://bucket/prefix
    Push {
        #[command(flatten)]
        transfer: Transfer,
        /// Send everything anew, whatever is there: for a place whose copies are broken
        #[arg(long)]
        again: bool,
    },
    /// Copy finished stages from a folder or from s3://bucket/prefix
    Pull(Transfer),
}

/// A hundred thousand years of them, which a calendar has.
const MOST_DAYS: f64 = 36_500_000.0;

fn days(text: &str) -> std::result::Result<f64, String> {
    let days = text.parse::<f64>().ok().filter(|days| (0.0..=MOST_DAYS).contains(days));
    days.ok_or_else(|| format!("a number of days from 0 to {MOST_DAYS} is expected"))
}

#[derive(clap::Args)]
struct Transfer {
    /// A folder, file:///..., or s3://bucket/prefix with the AWS_* variables
    address: String,
    /// Only what this experiment needs
    experiment: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Ls { kind } => list(&Context::plain()?.store()?, kind.as_deref()),
        Action::Size => size(&Context::plain()?.store()?),
        Action::Verify => verify(&Context::plain()?.store()?),
        Action::Gc { dry_run, keep_runs, younger_than } => collect(&Context::plain()?, *dry_run, *keep_runs, *younger_than),
        Action::Why { digest } => why(&Context::plain()?.store()?, digest),
        Action::Push { transfer, again } => push(transfer, *again),
        Action::Pull(transfer) => pull(transfer),
    }
}

/// The records that can be read. Whoever asks hears of those of a newer program; what is broken,
/// `verify` finds.
fn readable(stored: Vec<StoredRecord>) -> Vec<Record> {
    let newer = stored.iter().filter(|stored| matches!(stored.record, Err(Misread::Newer(_)))).count();
    if newer > 0 {
        printer::message(&format!("warning: {newer} records were made by a newer surgcam, and are left out"));
    }
    stored.into_iter().filter_map(|stored| stored.record.ok()).collect()
}

/// An error unless experiments have stages of this kind.
fn check_kind(kind: &str) -> Result<()> {
    if kind_names().any(|known| known == kind) {
        return Ok(());
    }
    Err(Error::usage(format!("there is no kind of stages `{kind}`{}", did_you_mean(kind, kind_names())))
        .hint(format!("the kinds are {}", kind_names().collect::<Vec<_>>().join(", "))))
}

fn list(store: &Store, kind: Option<&str>) -> Result<()> {
    kind.map_or(Ok(()), check_kind)?;
    let mut found = readable(store.records()?);
    found.retain(|record| kind.is_none_or(|kind| record.parts.kind == kind));
    found.sort_by(|a, b| (&a.parts.kind, &a.started).cmp(&(&b.parts.kind, &b.started)));
    for record in &found {
        let bytes = record.outputs.values().fold(0, |bytes: u64, output| bytes.saturating_add(output.bytes));
        printer::line(&format!(
            "{}  {:<10} {:>10}  {:>9.1} s  {}  {}",
            record.key.short(),
            record.parts.kind,
            HumanBytes(bytes).to_string(),
            record.seconds,
            record.started,
            record.name
        ))?;
    }
    printer::message(&format!("{} finished stages in {}", found.len(), store.root().display()));
    Ok(())
}

fn size(store: &Store) -> Result<()> {
    let mut kinds: BTreeMap<PlainName, (usize, u64)> = BTreeMap::new();
    let mut counted = HashSet::new();
    for record in readable(store.records()?) {
        let entry = kinds.entry(record.parts.kind).or_default();
        entry.0 += 1;
        // Stages that made the same content share its object.
        let new = record.outputs.values().filter(|output| counted.insert(output.digest));
        entry.1 = new.fold(entry.1, |bytes, output| bytes.saturating_add(output.bytes));
    }
    for (kind, (count, bytes)) in &kinds {
        printer::line(&format!("{kind:<12} {count:>7} stages  {:>12}", HumanBytes(*bytes).to_string()))?;
    }
    let all = inventory::size(store.root());
    printer::line(&format!(
        "{:<12} {:>7} stages  {:>12} on disk",
        "all",
        kinds.values().map(|(count, _)| count).sum::<usize>(),
        HumanBytes(all).to_string()
    ))
}

fn verify(store: &Store) -> Result<()> {
    let bar = if printer::is_watched() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let verified = verify::verify(store, |bytes| bar.set_message(format!("{} read", HumanBytes(bytes))))?;
    bar.finish_and_clear();
    for (digest, place) in &verified.corrupt {
        printer::line(&format!("corrupt: {digest}, put aside as {}", place.display()))?;
    }
    for path in &verified.bad_records {
        printer::line(&format!("bad record: {}, removed", path.display()))?;
    }
    for path in &verified.newer_records {
        printer::line(&format!("unknown record: {}, made by a newer surgcam, left as it is", path.display()))?;
    }
    for name in &verified.incomplete {
        printer::line(&format!("incomplete: {name} has lost an output, the next run makes it anew"))?;
    }
    printer::line(&format!(
        "{} objects ({}) and {} records read: {}",
        verified.objects,
        HumanBytes(verified.bytes),
        verified.records,
        if verified.is_clean() {
            "all are what their names say".to_string()
        } else {
            format!("{} are not", verified.corrupt.len() + verified.bad_records.len() + verified.newer_records.len())
        }
    ))?;
    if verified.is_clean() {
        return Ok(());
    }
    if verified.corrupt.is_empty() && verified.bad_records.is_empty() {
        return Err(Error::failure("the store has records that were made by a newer surgcam, which this one cannot verify")
            .at_path(store.root())
            .hint("verify the store with the newer surgcam"));
    }
    Err(Error::failure("the store had broken parts")
        .at_path(store.root())
        .hint("they are out of use; run the experiments again, and what is missing is made anew"))
}

fn collect(context: &Context, dry_run: bool, keep_runs: usize, younger_than: f64) -> Result<()> {
    let mut store = context.store()?;
    let mut keys = HashSet::new();
    for file in context.experiment_files()? {
        match context.plan(&file.display().to_string()) {
            Ok(planned) => keys.extend(planned.built.plan.ids().filter_map(|id| planned.known.key(id))),
            // Its data are not here, perhaps.
            Err(error) => printer::message(&format!(
                "warning: {} cannot be planned ({}): of what it needs, only that of its last run is kept",
                file.display(),
                error.what()
            )),
        }
    }
    let younger_than = TimeDelta::try_seconds((younger_than * 86_400.0) as i64)
        .ok_or_else(|| Error::usage(format!("{younger_than} days are more than a calendar has")))?;
    let alone = store.use_alone(|| printer::message("waits for runs that use the store"))?;
    let inventory = inventory::take(&store, &alone)?;
    let keep = Keep { runs: keep_runs, keys, younger_than };
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
    if dry_run {
        return printer::line(&format!("would free {summary}"));
    }
    gc::remove_all(&store, &garbage, &alone)?;
    printer::line(&format!("freed {summary}"))
}

fn why(store: &Store, wanted: &str) -> Result<()> {
    let wanted = wanted.trim_start_matches("sha256:").to_lowercase();
    if wanted.len() < 4 {
        return Err(Error::usage("too few digits to tell one from another").hint("give at least four"));
    }
    let is_meant = |digest: &Digest| digest.hex().starts_with(&wanted);
    let all = readable(store.records()?);
    let mut found = false;
    for record in &all {
        let outputs: Vec<&PlainName> = record.outputs.iter().filter(|(_, output)| is_meant(&output.digest)).map(|(name, _)| name).collect();
        if is_meant(&record.key.0) {
            found = true;
            describe(record, &all)?;
        } else if !outputs.is_empty() {
            found = true;
            let names: Vec<&str> = outputs.iter().map(|name| name.as_str()).collect();
            printer::line(&format!("output {} of:", names.join(", ")))?;
            describe(record, &all)?;
        }
        for (name, _) in record.parts.inputs.iter().filter(|(_, digest)| is_meant(digest)) {
            found = true;
            printer::line(&format!("input {name} of {} ({})", record.name, record.key.short()))?;
        }
    }
    if found {
        Ok(())
    } else {
        Err(Error::usage(format!("no record of the store names `{wanted}`")).hint("`surgcam store ls` lists the keys"))
    }
}

fn describe(record: &Record, all: &[Record]) -> Result<()> {
    printer::line(&format!("{} ({}), version {}", record.name, record.parts.kind, record.parts.version))?;
    printer::line(&format!("  key        {}", record.key))?;
    printer::line(&format!(
        "  made       {} in {:.1} s on {} ({})",
        record.started, record.seconds, record.machine.host, record.machine.device
    ))?;
    for (name, digest) in &record.parts.inputs {
        let maker = all.iter().find(|other| other.outputs.values().any(|output| output.digest == *digest));
        printer::line(&format!("  input      {name} = {} from {}", digest.short(), maker.map_or("outside", |maker| maker.name.as_str())))?;
    }
    for (name, output) in &record.outputs {
        printer::line(&format!("  output     {name} = {} ({})", output.digest.short(), HumanBytes(output.bytes)))?;
    }
    printer::line(&format!("  parameters {}", record.parts.parameters))
}

fn add(total: &mut Transferred, part: Transferred) {
    total.records += part.records;
    total.objects += part.objects;
    total.bytes = total.bytes.saturating_add(part.bytes);
    total.differing += part.differing;
}

fn said(done: &str, total: Transferred, address: &str) -> Result<()> {
    printer::line(&format!("{done} {} stages, {} objects, {} ({address})", total.records, total.objects, HumanBytes(total.bytes)))
}

fn push(transfer: &Transfer, again: bool) -> Result<()> {
    let context = Context::new(transfer.experiment.as_deref(), &transfer.overrides, &transfer.machine)?;
    let remote = Remote::target(&transfer.address)?;
    let store = context.store()?;
    let mut total = Transferred::default();
    let wanted: Option<HashSet<StageKey>> = match &transfer.experiment {
        Some(name) => {
            let planned = context.plan(name)?;
            Some(planned.built.plan.ids().filter_map(|id| planned.known.key(id)).collect())
        }
        None => None,
    };
    for record in readable(store.all_records()?).iter().filter(|record| wanted.as_ref().is_none_or(|wanted| wanted.contains(&record.key))) {
        // A record whose objects are gone is not worth sending.
        if store.record_head(&record.parts.kind, &record.key)?.is_some() {
            add(&mut total, remote.push(&store, record, again)?);
        }
    }
    said("pushed", total, &transfer.address)?;
    if total.differing > 0 {
        printer::message(&format!(
            "{} stages are there with other outputs than here, and stay as they are: the first record of a stage wins (--again replaces it)",
            total.differing
        ));
    }
    Ok(())
}

/// What a pull has done so far.
#[derive(Default)]
struct Pulled {
    total: Transferred,
    refused: usize,
}

impl Pulled {
    /// Counts what was fetched, and names what was refused: the rest of the place may be good.
    fn count(&mut self, fetched: Fetched<Transferred>) -> Result<()> {
        match fetched {
            Ok(part) => add(&mut self.total, part),
            Err(NotFetched::Refused(error)) => {
                self.refused += 1;
                printer::messages(&format!("refused: {}", printer::described(&error)));
            }
            Err(NotFetched::Failed(error)) => return Err(error),
        }
        Ok(())
    }
}

fn pull(transfer: &Transfer) -> Result<()> {
    let context = Context::new(transfer.experiment.as_deref(), &transfer.overrides, &transfer.machine)?;
    let remote = Remote::source(&transfer.address)?;
    let mut pulled = Pulled::default();
    match &transfer.experiment {
        None => {
            let store = context.store()?;
            for named in remote.records()? {
                pulled.count(pull_named(&remote, &store, named))?;
            }
        }
        Some(name) => {
            let mut planned = context.plan(name)?;
            let (plan, store, known) = (&planned.built.plan, &planned.store, &mut planned.known);
            // Inputs come first: what they are decides the keys of the stages behind them.
            for id in plan.ids() {
                pulled.count(pull_stage(&remote, plan, store, known, id))?;
            }
        }
    }
    said("pulled", pulled.total, &transfer.address)?;
    if pulled.total.differing > 0 {
        printer::message(&format!(
            "{} stages have other outputs there than here, and stay as they are: the first record of a stage wins",
            pulled.total.differing
        ));
    }
    if pulled.refused == 0 {
        return Ok(());
    }
    Err(Error::failure(format!("{} stages there were refused", pulled.refused))
        .at(&transfer.address)
        .hint("nothing of them was taken; ask whoever keeps this place, what else it has can be used"))
}

/// Fetches a stage by the name of its record there, if it is one of those that this program makes.
fn pull_named(remote: &Remote, store: &Store, named: Result<(PlainName, StageKey)>) -> Fetched<Transferred> {
    let (kind, key) = named.map_err(NotFetched::Refused)?;
    check_kind(kind.as_str()).map_err(|error| NotFetched::Refused(error.at(format!("records/{kind}/{}.json", key.hex()))))?;
    remote.pull(store, &kind, &key)
}

fn pull_stage(remote: &Remote, plan: &Plan, store: &Store, known: &mut Known, id: StageId) -> Fetched<Transferred> {
    let is_here = known.is_made(id) || known.ask_again(plan, store, id).map_err(NotFetched::Refused)?;
    let Some(key) = known.key(id).filter(|_| !is_here) else { return Ok(Transferred::default()) };
    let pulled = remote.pull(store, &plan.stage(id).kind_name(), &key)?;
    known.ask_again(plan, store, id)?;
    Ok(pulled)
}
