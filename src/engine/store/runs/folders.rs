//! The folders of runs and the files of plans in the store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use walkdir::WalkDir;

use super::plan_snapshot::PlanSnapshot;
use super::run::{Run, RunState};
use crate::error::{AtPath, Error, Result};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::file::{Durability, walked, write_with};
use crate::store::format::{Formatted, understand};
use crate::store::key::StageKey;

pub(in crate::store) const RUN_FILE: &str = "run.json";

/// The file with the events of a run, one on each line, which the runner's journal writes. Lines
/// about a stage whose key is known have a field `key`.
pub const EVENTS_FILE: &str = "events.jsonl";

/// A run in progress. Its lock is held until this is dropped.
#[derive(Debug)]
pub struct OpenRun {
    pub folder: PathBuf,
    _lock: File,
}

/// Whether this id is that of a run's job, `<run>.<number>`. A job has a folder with its events and
/// logs, and no file that describes a run.
pub fn is_of_job(id: &str) -> bool {
    id.contains('.')
}

impl Store {
    /// The folder of a run, or of one of its jobs, by its whole id.
    pub fn run_folder(&self, id: &str) -> PathBuf {
        self.root().join("runs").join(id)
    }

    /// Makes the folder of a new run.
    pub fn open_run(&self, id: &str) -> Result<OpenRun> {
        let folder = self.run_folder(id);
        fs::create_dir_all(&folder).at_path("create the folder", &folder)?;
        let path = folder.join("lock");
        let lock = File::create(&path).at_path("create the lock", &path)?;
        lock.lock().at_path("lock", &path)?;
        Ok(OpenRun { folder, _lock: lock })
    }

    pub fn write_run(&self, run: &Run) -> Result<()> {
        let path = self.run_folder(&run.id).join(RUN_FILE);
        let mut text = serde_json::to_vec(run).at_path("write", &path)?;
        text.push(b'\n');
        write_with(&path, &text, Durability::Remade)
    }

    /// Stores the text of a snapshot, unless the store has one of this digest.
    pub fn write_plan(
        &self,
        digest: Digest,
        text: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Digest> {
        let path = self.plan_path(&digest);
        if !path.exists() {
            write_with(&path, &text()?, Durability::Remade)?;
        }
        Ok(digest)
    }

    /// The JSON text of a snapshot.
    pub fn plan_text(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.plan_path(digest);
        fs::read(&path).at_path("read", &path)
    }

    fn plan_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("plans").join(format!("{}.json", digest.hex()))
    }

    pub fn plan_snapshot(&self, digest: &Digest) -> Result<PlanSnapshot> {
        read_formatted(&self.plan_path(digest))
    }

    /// Ids of all runs, the newest first.
    pub fn run_ids(&self) -> Vec<String> {
        self.try_run_ids().unwrap_or_default()
    }

    /// Like [`Store::run_ids`], but an unreadable folder is an error instead of looking empty.
    pub(in crate::store) fn try_run_ids(&self) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in walked(WalkDir::new(self.root().join("runs")).min_depth(1).max_depth(1)) {
            let entry = entry?;
            if entry.file_type().is_dir() {
                ids.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// A run by its id, a part of an id that only one run has, or `latest`.
    pub fn run(&self, wanted: &str) -> Result<Run> {
        let ids = self.run_ids();
        let found: Vec<&String> = match wanted {
            // A run that was killed during planning has an empty folder.
            "latest" => ids
                .iter()
                .find(|id| self.run_folder(id).join(RUN_FILE).exists())
                .into_iter()
                .collect(),
            _ => ids
                .iter()
                .filter(|id| id.as_str() == wanted || (id.contains(wanted) && !is_of_job(id)))
                .collect(),
        };
        let exact = found.iter().find(|id| id.as_str() == wanted).or(found.first());
        match (exact, found.len()) {
            (Some(id), 1) => self.read_run(id),
            (Some(id), _) if id.as_str() == wanted => self.read_run(id),
            (Some(_), several) => Err(Error::usage(format!(
                "`{wanted}` is in the ids of {several} runs"
            ))
            .hint(format!(
                "the newest are: {}",
                found.iter().take(3).map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
            ))),
            (None, _) if ids.is_empty() => Err(Error::usage(format!(
                "there is no run `{wanted}`: the store has none yet"
            ))
            .at_path(self.root())
            .hint("`surgcam run EXPERIMENT` makes one; another store is named by SURGCAM_STORE")),
            (None, _) => Err(Error::usage(format!("there is no run `{wanted}`"))
                .hint("`surgcam runs` lists them; `latest` is the newest")),
        }
    }

    /// A run by its whole id. Unlike [`Store::run`], this does not list all runs.
    pub fn read_run(&self, id: &str) -> Result<Run> {
        let folder = self.run_folder(id);
        let mut run: Run = read_formatted(&folder.join(RUN_FILE))?;
        // The folder's name is used as the id, whatever the file says, because paths are made of
        // it.
        run.id = id.to_string();
        let is_free =
            || File::open(folder.join("lock")).is_ok_and(|lock| lock.try_lock_shared().is_ok());
        if run.state == RunState::Running && is_free() {
            run.state = RunState::Killed;
        }
        Ok(run)
    }

    /// A run by its whole id; `None` if it was killed before it wrote anything.
    pub(in crate::store) fn try_run(&self, id: &str) -> Result<Option<Run>> {
        let path = self.run_folder(id).join(RUN_FILE);
        if path.try_exists().at_path("look for", &path)? {
            self.read_run(id).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Keys of the stages that a run started, finished or found, from its journal. A killed run
    /// leaves no other list.
    pub(in crate::store) fn noted_keys(&self, id: &str) -> Result<Vec<StageKey>> {
        #[derive(Deserialize)]
        struct Noted {
            key: Option<StageKey>,
        }
        let path = self.run_folder(id).join(EVENTS_FILE);
        if !path.try_exists().at_path("look for", &path)? {
            return Ok(Vec::new());
        }
        let text = fs::read(&path).at_path("read", &path)?;
        // The last line may be incomplete.
        let notes = text
            .split(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Noted>(line).ok());
        Ok(notes.filter_map(|note| note.key).collect())
    }

    /// All runs that wrote anything, newest first, and an error for each run that cannot be read.
    pub fn runs(&self) -> impl Iterator<Item = Result<Run>> + '_ {
        self.run_ids().into_iter().filter_map(|id| self.try_run(&id).transpose())
    }
}

fn read_formatted<T: Formatted>(path: &Path) -> Result<T> {
    let text = fs::read(path).at_path("read", path)?;
    understand(&text).map_err(|misread| misread.into_error::<T>(path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::run::FORMAT;
    use super::*;

    #[test]
    fn runs_and_plans_of_a_newer_format_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let digest = Digest::of_bytes(b"");
        let newer = r#"{"format": 99, "id": "../elsewhere", "stages": []}"#;
        store.write_plan(digest, || Ok(newer.into())).unwrap();
        fs::write(store.open_run("one").unwrap().folder.join(RUN_FILE), newer).unwrap();
        let errors = [
            store.plan_snapshot(&digest).unwrap_err(),
            store.run("latest").unwrap_err(),
            store.runs().next().unwrap().unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("made by a newer surgcam"), "{error}");
        }
    }

    #[test]
    fn a_run_goes_by_the_name_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let run = serde_json::json!({
            "format": FORMAT, "id": "../../elsewhere", "experiment": "a", "command": [],
            "started": "", "seconds": 0.0, "state": "done", "plan": Digest::of_bytes(b""),
            "executed": [], "cached": 0, "failed": [], "surgcam": "", "host": "",
        });
        fs::write(store.open_run("one").unwrap().folder.join(RUN_FILE), run.to_string()).unwrap();
        assert_eq!(store.run("latest").unwrap().id, "one");
    }

    #[test]
    fn a_killed_run_leaves_the_keys_that_it_noted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        assert_eq!(store.noted_keys("one").unwrap(), []);
        let key = StageKey(Digest::of_bytes(b"train"));
        let run = store.open_run("one").unwrap();
        let lines = format!(
            "{{\"event\": \"finished\", \"key\": \"{key}\"}}\n{{\"event\": \"note\"}}\n\
             {{\"event\": \"started\", \"key\": \"sha"
        );
        fs::write(run.folder.join(EVENTS_FILE), lines).unwrap();
        assert_eq!(store.noted_keys("one").unwrap(), [key]);
    }
}
