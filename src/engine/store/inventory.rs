//! Everything that a store contains, for deciding what nobody needs. A file that cannot be read is
//! an error: if it were taken for absent, files that it needs would look like garbage.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use walkdir::WalkDir;

use super::digest::Digest;
use super::file::{is_being_written, walked};
use super::format::Misread;
use super::key::StageKey;
use super::lock::AloneLock;
use super::record::Record;
use super::runs::{Run, RunState, Scope};
use super::{Store, StoredRecord};
use crate::error::{Error, Result};

/// Everything that a store contains.
#[derive(Debug, Default)]
pub struct Inventory {
    pub records: Vec<RecordEntry>,
    pub objects: Vec<ObjectEntry>,
    /// The newest first.
    pub runs: Vec<RunEntry>,
    /// Work in progress, locks, states of interrupted stages, quarantined objects, and files whose
    /// writer was killed.
    pub leftovers: Vec<Leftover>,
}

#[derive(Debug, Clone)]
pub struct RecordEntry {
    pub path: PathBuf,
    pub key: StageKey,
    pub name: String,
    pub made: Option<DateTime<Utc>>,
    pub outputs: Vec<Digest>,
    /// Whether all its outputs are in the store.
    pub is_whole: bool,
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
    pub scope: Scope,
    pub keys: Vec<StageKey>,
    /// Whether the keys of all its stages are known.
    pub is_complete: bool,
}

#[derive(Debug, Clone)]
pub struct Leftover {
    pub path: PathBuf,
    pub bytes: u64,
    /// The interrupted stage that could continue from it.
    pub of_stage: Option<StageKey>,
}

/// Takes the inventory of a store that nobody else uses.
pub fn take(store: &Store, _alone: &AloneLock) -> Result<Inventory> {
    let objects = store.objects()?.into_iter().map(|(digest, path)| ObjectEntry {
        digest,
        bytes: size(&path),
        path,
    });
    Ok(Inventory {
        records: records(store)?,
        objects: objects.collect(),
        runs: runs(store)?,
        leftovers: leftovers(store)?,
    })
}

fn records(store: &Store) -> Result<Vec<RecordEntry>> {
    let mut entries = Vec::new();
    for StoredRecord { path, record } in store.records()? {
        let record = match record {
            Ok(record) => record,
            // The stages that it needs cannot be known.
            Err(newer @ Misread::Newer(_)) => {
                return Err(newer.into_error::<Record>(path.display()));
            }
            // No run can use it, and `verify` removes it.
            Err(Misread::Broken(_)) => continue,
        };
        entries.push(RecordEntry {
            path,
            key: record.key,
            made: DateTime::parse_from_rfc3339(&record.started).ok().map(|time| time.to_utc()),
            outputs: record.outputs.values().map(|output| output.digest).collect(),
            is_whole: record
                .outputs
                .values()
                .all(|output| store.object_path(&output.digest).exists()),
            name: record.name,
        });
    }
    Ok(entries)
}

/// The keys of a plan, and whether all its keys are known.
type PlanKeys = (Vec<StageKey>, bool);

fn runs(store: &Store) -> Result<Vec<RunEntry>> {
    let mut plans: HashMap<Digest, PlanKeys> = HashMap::new();
    let mut entries = Vec::new();
    let ids = store.try_run_ids()?;
    let mut jobs: HashMap<&str, Vec<&String>> = HashMap::new();
    for id in &ids {
        if let Some((run, _)) = id.split_once('.') {
            jobs.entry(run).or_default().push(id);
        }
    }
    for id in &ids {
        let Some(run) = store.try_run(id).map_err(|error| unknown_need(store, id, error))? else {
            continue;
        };
        let (mut keys, is_complete) = match plans.entry(run.plan) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place
                .insert(plan_keys(store, &run).map_err(|error| unknown_need(store, id, error))?)
                .clone(),
        };
        keys.extend(run.executed.iter().map(|executed| executed.key));
        if run.state == RunState::Killed {
            keys.extend(store.noted_keys(id)?);
        }
        // Until its last job has written its plan again, only the jobs know what they made.
        for job in jobs.get(id.as_str()).into_iter().flatten() {
            keys.extend(store.noted_keys(job)?);
        }
        entries.push(RunEntry {
            scope: run.scope(),
            experiment: run.experiment,
            keys,
            is_complete,
        });
    }
    Ok(entries)
}

fn plan_keys(store: &Store, run: &Run) -> Result<PlanKeys> {
    let stages = store.plan_snapshot(&run.plan)?.stages;
    let is_complete = stages.iter().all(|stage| stage.key.is_some());
    Ok((stages.into_iter().filter_map(|stage| stage.key).collect(), is_complete))
}

fn unknown_need(store: &Store, id: &str, error: Error) -> Error {
    error.hint(format!(
        "what this run needs cannot be known; if that is nothing, remove its folder: {}",
        store.run_folder(id).display()
    ))
}

/// Walks a folder of the store for what is to be removed. A link instead of the folder is not
/// followed, because it leads to files of somebody else.
fn walk_folder(store: &Store, name: &str) -> WalkDir {
    WalkDir::new(store.root().join(name)).follow_root_links(false)
}

fn leftovers(store: &Store) -> Result<Vec<Leftover>> {
    let mut leftovers = Vec::new();
    for folder in ["tmp", "locks", "quarantine", "partial"] {
        for entry in
            walked(walk_folder(store, folder).min_depth(1).max_depth(1).sort_by_file_name())
        {
            let entry = entry?;
            let stage = || {
                format!("sha256:{}", entry.file_name().to_string_lossy()).parse().ok().map(StageKey)
            };
            let of_stage = if folder == "partial" { stage() } else { None };
            leftovers.push(Leftover {
                bytes: size(entry.path()),
                of_stage,
                path: entry.into_path(),
            });
        }
    }
    let walks = ["records", "partial", "runs", "plans", "stat", "devices", "distrusted"]
        .map(|folder| walk_folder(store, folder));
    for entry in walks.into_iter().chain([WalkDir::new(store.root()).max_depth(1)]).flat_map(walked)
    {
        let entry = entry?;
        if entry.file_type().is_file() && is_being_written(&entry.file_name().to_string_lossy()) {
            leftovers.push(Leftover {
                bytes: size(entry.path()),
                of_stage: None,
                path: entry.into_path(),
            });
        }
    }
    Ok(leftovers)
}

/// The bytes of a file, or of all files in a folder. A link counts as none.
pub fn size(path: &Path) -> u64 {
    let files = WalkDir::new(path)
        .follow_root_links(false)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file());
    files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::record_of;
    use super::*;

    /// The inventory of a store that nobody has open.
    fn inventory(root: &Path) -> Result<Inventory> {
        let mut store = Store::open(root, None)?;
        let alone = store.use_alone(|| ())?;
        take(&store, &alone)
    }

    #[test]
    fn files_whose_writer_was_killed_are_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        for place in
            ["records/pack/.tmpa", "plans/.tmpb", "runs/one/.tmpc", "partial/.tmpd", ".tmpe"]
        {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = inventory(folder.path()).unwrap().leftovers;
        for name in [".tmpa", ".tmpb", ".tmpc", ".tmpd", ".tmpe"] {
            assert!(
                found.iter().any(|leftover| leftover.path.ends_with(name)),
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn a_run_that_cannot_be_read_is_an_error_and_one_that_wrote_nothing_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("runs/empty")).unwrap();
        assert!(inventory(folder.path()).unwrap().runs.is_empty());
        fs::create_dir(folder.path().join("runs/broken")).unwrap();
        fs::write(folder.path().join("runs/broken/run.json"), "{").unwrap();
        let error = inventory(folder.path()).unwrap_err().to_string();
        assert!(error.contains("remove its folder") && error.contains("broken"), "{error}");
    }

    #[test]
    fn what_lies_behind_a_link_is_no_leftover() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join("thesis"), "").unwrap();
        fs::write(elsewhere.path().join(".tmp-notes"), "").unwrap();
        drop(Store::open(folder.path(), None).unwrap());
        for name in ["tmp", "locks", "partial", "runs", "plans"] {
            fs::remove_dir(folder.path().join(name)).unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("quarantine")).unwrap();
        let found = inventory(folder.path()).unwrap().leftovers;
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_record_of_a_newer_format_is_an_error_and_a_broken_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let record = record_of(&store, "abc");
        store.write_record(&record).unwrap();
        let path = store.records().unwrap()[0].path.clone();
        drop(store);
        fs::write(&path, "{").unwrap();
        assert!(inventory(folder.path()).unwrap().records.is_empty());
        fs::write(&path, r#"{"format": 99}"#).unwrap();
        let error = inventory(folder.path()).unwrap_err().to_string();
        assert!(error.contains("made by a newer surgcam"), "{error}");
    }

    #[test]
    fn a_record_without_its_objects_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let record = record_of(&store, "abc");
        store.write_record(&record).unwrap();
        let object = store.object_path(&record.outputs["frames"].digest);
        drop(store);
        assert!(inventory(folder.path()).unwrap().records[0].is_whole);
        fs::remove_file(object).unwrap();
        assert!(!inventory(folder.path()).unwrap().records[0].is_whole);
    }
}
