//! Removes what nobody needs any more. What to remove is a pure function of an inventory, the keys
//! that are asked for, and the time.
//!
//! Records are kept if one of the last runs, the last run of any experiment, or an experiment as it
//! is now needs them, and with them their objects. Runs of a whole experiment are counted
//! separately from runs for a part of it (one export), so that many exports do not push out a run.
//! An unfinished run knows the keys of only some of its stages, so the last run that knows all keys
//! is kept beside it. Runs themselves are small and stay. While nobody uses the store, work in
//! progress has no owner and is removed. The state of an interrupted stage is kept as long as the
//! stage is needed and not finished.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::Store;
use super::digest::Digest;
use super::file::remove_whole;
use super::inventory::{Inventory, Leftover, ObjectEntry, RecordEntry};
use super::key::StageKey;
use super::lock::AloneLock;
use crate::error::Result;

#[derive(Debug, Clone)]
pub struct Keep {
    /// How many of the last runs count.
    pub runs: usize,
    /// Keys that experiments need as they stand now.
    pub keys: HashSet<StageKey>,
    /// Records younger than this stay, even if nobody needs them.
    pub younger_than: TimeDelta,
}

/// What would be removed.
#[derive(Debug, Default)]
pub struct Garbage {
    pub records: Vec<RecordEntry>,
    pub objects: Vec<ObjectEntry>,
    pub leftovers: Vec<Leftover>,
}

impl Garbage {
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum::<u64>()
            + self.leftovers.iter().map(|leftover| leftover.bytes).sum::<u64>()
    }
}

/// Finds what nobody needs.
pub fn garbage(inventory: &Inventory, keep: &Keep, now: DateTime<Utc>) -> Garbage {
    let needed = needed(inventory, keep);
    let is_young =
        |record: &RecordEntry| record.made.is_some_and(|made| now - made < keep.younger_than);
    let (kept, records): (Vec<&RecordEntry>, Vec<&RecordEntry>) = inventory
        .records
        .iter()
        .partition(|record| needed.contains(&record.key) || is_young(record));
    let referenced: HashSet<Digest> =
        kept.iter().flat_map(|record| record.outputs.iter().copied()).collect();
    let finished: HashSet<StageKey> =
        kept.iter().filter(|record| record.is_whole).map(|record| record.key).collect();
    let is_gone_on_from = |leftover: &Leftover| {
        leftover.of_stage.is_some_and(|key| needed.contains(&key) && !finished.contains(&key))
    };
    Garbage {
        records: records.into_iter().cloned().collect(),
        objects: inventory
            .objects
            .iter()
            .filter(|object| !referenced.contains(&object.digest))
            .cloned()
            .collect(),
        leftovers: inventory
            .leftovers
            .iter()
            .filter(|leftover| !is_gone_on_from(leftover))
            .cloned()
            .collect(),
    }
}

/// The keys that are asked for, and those of the runs that count.
fn needed(inventory: &Inventory, keep: &Keep) -> HashSet<StageKey> {
    let mut needed = keep.keys.clone();
    let mut counts = HashMap::new();
    let (mut seen, mut seen_complete) = (HashSet::new(), HashSet::new());
    for run in &inventory.runs {
        let count: &mut usize = counts.entry(run.scope).or_default();
        *count += 1;
        let is_last = seen.insert((&run.experiment, run.scope));
        let is_last_complete =
            run.is_complete && seen_complete.insert((&run.experiment, run.scope));
        if *count <= keep.runs || is_last || is_last_complete {
            needed.extend(&run.keys);
        }
    }
    needed
}

/// Removes the garbage: records first, so that no record ever names an object that is gone.
pub fn remove_all(store: &Store, garbage: &Garbage, _alone: &AloneLock) -> Result<()> {
    let remove = |path| remove_whole(path, &store.tmp());
    garbage.records.iter().try_for_each(|record| remove(&record.path))?;
    garbage.objects.iter().try_for_each(|object| remove(&object.path))?;
    garbage.leftovers.iter().try_for_each(|leftover| remove(&leftover.path))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::inventory::RunEntry;
    use super::super::runs::Scope;
    use super::*;

    fn key(name: &str) -> StageKey {
        StageKey(Digest::of_bytes(name.as_bytes()))
    }

    fn record(name: &str, days_old: i64, now: DateTime<Utc>) -> RecordEntry {
        RecordEntry {
            path: PathBuf::from(name),
            key: key(name),
            name: name.into(),
            made: Some(now - TimeDelta::days(days_old)),
            outputs: vec![
                Digest::of_bytes(format!("{name} output").as_bytes()),
                Digest::of_bytes(b"common"),
            ],
            is_whole: true,
        }
    }

    fn object(content: &str) -> ObjectEntry {
        ObjectEntry {
            digest: Digest::of_bytes(content.as_bytes()),
            path: PathBuf::from(content),
            bytes: 10,
        }
    }

    fn run(experiment: &str, names: &[&str]) -> RunEntry {
        let keys = names.iter().map(|name| key(name)).collect();
        RunEntry { experiment: experiment.into(), scope: Scope::Whole, keys, is_complete: true }
    }

    fn january() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-01-31T00:00:00Z").unwrap().to_utc()
    }

    /// Names of the records that are removed where this many runs are kept; the records are nine
    /// days old.
    fn forgotten(names: &[&str], runs: Vec<RunEntry>, keep_runs: usize) -> Vec<String> {
        let records = names.iter().map(|name| record(name, 9, january())).collect();
        let keep = Keep { runs: keep_runs, keys: HashSet::new(), younger_than: TimeDelta::zero() };
        let found = garbage(&Inventory { records, runs, ..Inventory::default() }, &keep, january());
        found.records.into_iter().map(|record| record.name).collect()
    }

    #[test]
    fn what_recent_runs_last_runs_and_experiments_need_stays() {
        let now = january();
        let names = ["new", "old", "other-experiment", "asked-for", "young"];
        let mut objects: Vec<ObjectEntry> =
            names.iter().map(|name| object(&format!("{name} output"))).collect();
        objects.extend([object("common"), object("nobody's")]);
        let inventory = Inventory {
            records: names
                .iter()
                .map(|name| record(name, if *name == "young" { 0 } else { 9 }, now))
                .collect(),
            objects,
            runs: vec![run("a", &["new"]), run("a", &["old"]), run("b", &["other-experiment"])],
            leftovers: vec![
                Leftover { path: "partial".into(), bytes: 1, of_stage: Some(key("unfinished")) },
                Leftover { path: "tmp".into(), bytes: 1, of_stage: None },
            ],
        };
        let keep = Keep {
            runs: 1,
            keys: HashSet::from([key("asked-for"), key("unfinished")]),
            younger_than: TimeDelta::days(1),
        };
        let found = garbage(&inventory, &keep, now);
        let names = |records: &[RecordEntry]| {
            records.iter().map(|record| record.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&found.records), ["old"]);
        let objects: Vec<String> =
            found.objects.iter().map(|object| object.path.display().to_string()).collect();
        assert_eq!(objects, ["old output", "nobody's"]);
        assert_eq!(found.leftovers.len(), 1);
        assert_eq!(found.bytes(), 21);
        let keep = Keep { runs: 2, keys: HashSet::new(), younger_than: TimeDelta::zero() };
        assert_eq!(names(&garbage(&inventory, &keep, now).records), ["asked-for", "young"]);
    }
    #[test]
    fn runs_of_a_part_make_no_run_forgotten() {
        let part = || RunEntry { scope: Scope::Part, ..run("a", &["seen"]) };
        let names = ["seen", "trained", "earlier", "other"];
        let mut runs: Vec<RunEntry> = (0..12).map(|_| part()).collect();
        runs.extend([run("a", &["seen", "trained"]), run("a", &["earlier"]), run("b", &["other"])]);
        assert_eq!(forgotten(&names, runs.clone(), 1), ["earlier"]);
        assert_eq!(forgotten(&names, runs, 2), [""; 0]);
    }

    #[test]
    fn what_a_killed_run_finished_stays_and_what_the_last_complete_one_made() {
        let killed = RunEntry { is_complete: false, ..run("a", &["finished"]) };
        let runs = vec![killed, run("a", &["all"]), run("a", &["older"])];
        assert_eq!(forgotten(&["finished", "all", "older"], runs, 1), ["older"]);
    }

    #[test]
    fn how_far_a_stage_came_stays_until_it_is_finished() {
        let partial =
            |name: &str| Leftover { path: name.into(), bytes: 1, of_stage: Some(key(name)) };
        let lost = RecordEntry { is_whole: false, ..record("lost", 9, january()) };
        let inventory = Inventory {
            records: vec![record("finished", 9, january()), lost],
            runs: vec![run("a", &["finished", "lost", "training"])],
            leftovers: vec![
                partial("finished"),
                partial("lost"),
                partial("training"),
                partial("nobody's"),
            ],
            ..Inventory::default()
        };
        let keep = Keep { runs: 1, keys: HashSet::new(), younger_than: TimeDelta::zero() };
        let found = garbage(&inventory, &keep, january());
        let names: Vec<String> =
            found.leftovers.iter().map(|leftover| leftover.path.display().to_string()).collect();
        assert_eq!(names, ["finished", "nobody's"]);
    }
}
