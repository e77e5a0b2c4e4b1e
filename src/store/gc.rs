//! Removing what nobody needs any more. What that is, is a pure function of an inventory, the keys that are asked for, and now.
//!
//! Kept: every record that one of the last runs, the last run of any experiment, or an experiment as it stands now needs, and
//! the objects of these records. Runs themselves are small and stay. Work in progress is nobody's while nobody uses the store.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use walkdir::WalkDir;

use super::Store;
use super::digest::Digest;
use super::key::StageKey;
use super::lock::AloneLock;
use crate::error::{AtPath, Result};

/// What lies in a store.
#[derive(Debug, Default)]
pub struct Inventory {
    pub records: Vec<RecordEntry>,
    pub objects: Vec<ObjectEntry>,
    /// The newest first.
    pub runs: Vec<RunEntry>,
    /// Work in progress, locks, states of interrupted stages, objects put aside.
    pub leftovers: Vec<Leftover>,
}

#[derive(Debug, Clone)]
pub struct RecordEntry {
    pub path: PathBuf,
    pub key: StageKey,
    pub name: String,
    pub made: Option<DateTime<Utc>>,
    pub outputs: Vec<Digest>,
}

#[derive(Debug, Clone)]
pub struct ObjectEntry {
    pub digest: Digest,
    pub path: PathBuf,
    pub bytes: u64,
}

#[derive(Debug, Clone)]
pub struct RunEntry {
    pub experiment: String,
    pub keys: Vec<StageKey>,
}

#[derive(Debug, Clone)]
pub struct Leftover {
    pub path: PathBuf,
    pub bytes: u64,
    /// The interrupted stage that could go on from it.
    pub of_stage: Option<StageKey>,
}

#[derive(Debug, Clone)]
pub struct Keep {
    /// The last so many runs.
    pub runs: usize,
    /// Keys that experiments need as they stand now.
    pub keys: HashSet<StageKey>,
    /// Records younger than this stay, whoever needs them.
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
        self.objects.iter().map(|object| object.bytes).sum::<u64>() + self.leftovers.iter().map(|leftover| leftover.bytes).sum::<u64>()
    }
}

/// What nobody needs.
pub fn garbage(inventory: &Inventory, keep: &Keep, now: DateTime<Utc>) -> Garbage {
    let mut needed = keep.keys.clone();
    let mut experiments = HashSet::new();
    for (position, run) in inventory.runs.iter().enumerate() {
        let is_last_of_experiment = experiments.insert(&run.experiment);
        if position < keep.runs || is_last_of_experiment {
            needed.extend(&run.keys);
        }
    }
    let is_young = |record: &RecordEntry| record.made.is_some_and(|made| now - made < keep.younger_than);
    let (kept, records): (Vec<&RecordEntry>, Vec<&RecordEntry>) =
        inventory.records.iter().partition(|record| needed.contains(&record.key) || is_young(record));
    let referenced: HashSet<Digest> = kept.iter().flat_map(|record| record.outputs.iter().copied()).collect();
    Garbage {
        records: records.into_iter().cloned().collect(),
        objects: inventory.objects.iter().filter(|object| !referenced.contains(&object.digest)).cloned().collect(),
        leftovers: inventory.leftovers.iter().filter(|left| !left.of_stage.is_some_and(|key| needed.contains(&key))).cloned().collect(),
    }
}

pub fn inventory(store: &Store) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    for (path, record) in store.records() {
        let Some(record) = record else { continue };
        inventory.records.push(RecordEntry {
            path,
            key: record.key,
            name: record.name,
            made: DateTime::parse_from_rfc3339(&record.started).ok().map(|time| time.to_utc()),
            outputs: record.outputs.values().map(|output| output.digest).collect(),
        });
    }
    inventory.objects = store.objects().map(|(digest, path)| ObjectEntry { digest, bytes: size(&path), path }).collect();
    let mut plans: HashMap<Digest, Vec<StageKey>> = HashMap::new();
    for run in store.runs() {
        let keys = plans.entry(run.plan).or_insert_with(|| {
            let stages = store.plan_snapshot(&run.plan).map(|snapshot| snapshot.stages).unwrap_or_default();
            stages.into_iter().filter_map(|stage| stage.key).collect()
        });
        let mut keys = keys.clone();
        keys.extend(run.executed.iter().map(|executed| executed.key));
        inventory.runs.push(RunEntry { experiment: run.experiment, keys });
    }
    for folder in ["tmp", "locks", "quarantine", "partial"] {
        for entry in fs::read_dir(store.root().join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let of_stage = (folder == "partial").then(|| format!("sha256:{name}").parse().ok().map(StageKey)).flatten();
            inventory.leftovers.push(Leftover { bytes: size(&path), path, of_stage });
        }
    }
    Ok(inventory)
}

/// Removes it: records first, so that no record ever names an object that is gone.
pub fn remove_all(garbage: &Garbage, _alone: &AloneLock) -> Result<()> {
    garbage.records.iter().try_for_each(|record| remove(&record.path))?;
    garbage.objects.iter().try_for_each(|object| remove(&object.path))?;
    garbage.leftovers.iter().try_for_each(|leftover| remove(&leftover.path))
}

/// Bytes of a file, or of all files in a folder.
pub fn size(path: &Path) -> u64 {
    let files = WalkDir::new(path).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at_path("remove", path),
    }
}

#[cfg(test)]
mod tests {
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
            outputs: vec![Digest::of_bytes(format!("{name} output").as_bytes()), Digest::of_bytes(b"common")],
        }
    }

    fn object(content: &str) -> ObjectEntry {
        ObjectEntry { digest: Digest::of_bytes(content.as_bytes()), path: PathBuf::from(content), bytes: 10 }
    }

    #[test]
    fn what_recent_runs_last_runs_and_experiments_need_stays() {
        let now = DateTime::parse_from_rfc3339("2026-01-31T00:00:00Z").unwrap().to_utc();
        let names = ["new", "old", "other-experiment", "asked-for", "young"];
        let run = |experiment: &str, name: &str| RunEntry { experiment: experiment.into(), keys: vec![key(name)] };
        let mut objects: Vec<ObjectEntry> = names.iter().map(|name| object(&format!("{name} output"))).collect();
        objects.extend([object("common"), object("nobody's")]);
        let inventory = Inventory {
            records: names.iter().map(|name| record(name, if *name == "young" { 0 } else { 9 }, now)).collect(),
            objects,
            runs: vec![run("a", "new"), run("a", "old"), run("b", "other-experiment")],
            leftovers: vec![
                Leftover { path: "partial".into(), bytes: 1, of_stage: Some(key("new")) },
                Leftover { path: "tmp".into(), bytes: 1, of_stage: None },
            ],
        };
        let keep = Keep { runs: 1, keys: HashSet::from([key("asked-for")]), younger_than: TimeDelta::days(1) };
        let found = garbage(&inventory, &keep, now);
        let names = |records: &[RecordEntry]| records.iter().map(|record| record.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found.records), ["old"]);
        let objects: Vec<String> = found.objects.iter().map(|object| object.path.display().to_string()).collect();
        assert_eq!(objects, ["old output", "nobody's"]);
        assert_eq!(found.leftovers.len(), 1);
        assert_eq!(found.bytes(), 21);
        let keep = Keep { runs: 2, keys: HashSet::new(), younger_than: TimeDelta::zero() };
        assert_eq!(names(&garbage(&inventory, &keep, now).records), ["asked-for", "young"]);
    }
}
