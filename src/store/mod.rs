//! The store: content-addressed objects and the records of the stages that made them.
//!
//! ```text
//! store/
//!   FORMAT                      the version of this layout
//!   objects/ab/<digest>         a file, or a folder (a tree), named by its content; read-only
//!   records/<kind>/<key>.json   what a finished stage was made of and what it wrote
//!   partial/<key>/              how far an interrupted stage came, to go on from there
//!   locks/<key>.lock            held by the worker that makes the stage
//!   tmp/                        work in progress; nothing in it is ever read as a result
//!   quarantine/                 objects whose bytes were not what their names say
//!   runs/<run>/                 every invocation: what it was, what happened, its workers' logs
//!   plans/<digest>.json         what runs planned: resolved recipes, stages, keys
//!   stat/                       digests of data files, remembered by size, time and inode
//!   devices/                    what a device said of itself
//! ```
//!
//! Promises: an object is complete or absent (written under tmp/, synced, renamed); a record is written last, so a stage that
//! was interrupted leaves nothing that looks finished; a lock is held only by whoever writes; an object's bytes are compared
//! with its name before a process first uses it. A file that is stored gets a fixed time of modification, so that planning
//! sees at a glance whether somebody wrote to it since.
//!
//! A lab's common store may stand in front of one's own: what is there is read from there, and it is never written to.

pub mod digest;
pub mod file;
pub mod gc;
pub mod history;
pub mod key;
pub mod lock;
pub mod memory;
pub mod record;
pub mod stat;
pub mod transfer;
pub mod tree;
pub mod verify;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::{AtPath, Error, Result};
use digest::Digest;
use file::{Durability, sync_folder, write_with};
pub use file::{read_json, write_atomically, write_json};
use key::StageKey;
use record::{Output, Record, RecordHead};

const LAYOUT: &str = "surgcam-store 1";
const FOLDERS: [&str; 9] = ["objects", "records", "locks", "tmp", "partial", "runs", "plans", "stat", "devices"];

#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// A common store that is only read.
    shared: Option<PathBuf>,
    /// Tells others that somebody is here.
    in_use: Option<Arc<File>>,
    /// Objects whose bytes this process has compared with their names.
    verified: Arc<Mutex<HashSet<Digest>>>,
}

impl Store {
    /// Opens the store in a folder, making it if it is not there, with a common store in front of it if one is given.
    pub fn open(root: &Path, shared: Option<&Path>) -> Result<Self> {
        let format = root.join("FORMAT");
        if !is_of_our_format(root)? {
            for folder in FOLDERS {
                let folder = root.join(folder);
                fs::create_dir_all(&folder).at_path("create the store's folder", &folder)?;
            }
            write_atomically(&format, LAYOUT.as_bytes())?;
        }
        let root = root.canonicalize().at_path("find the store", root)?;
        if let Some(shared) = shared
            && !is_of_our_format(shared)?
        {
            return Err(Error::usage("the shared store is no store").at_path(shared).hint("check the setting `shared_store`"));
        }
        let in_use = Some(Arc::new(lock::announce_use(&root)?));
        Ok(Store { root, shared: shared.map(Path::to_path_buf), in_use, verified: Arc::default() })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn shared(&self) -> Option<&Path> {
        self.shared.as_deref()
    }

    pub(self) fn give_up_use(&mut self) {
        self.in_use = None;
    }

    /// Where the object lies: in this store, or in the common one; where it would be if it is in neither.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        let own = object_path_in(&self.root, digest);
        match &self.shared {
            Some(shared) if !own.exists() => {
                let common = object_path_in(shared, digest);
                if common.exists() { common } else { own }
            }
            _ => own,
        }
    }

    fn record_path(&self, kind: &str, key: &StageKey) -> PathBuf {
        record_path_in(&self.root, kind, key)
    }

    pub fn device_path(&self, device: &str) -> PathBuf {
        self.root.join("devices").join(format!("{}.json", device.replace(':', "-")))
    }

    /// Where a stage keeps how far it came, to go on after an interruption; for the holder of its lock.
    pub fn partial_folder(&self, key: &StageKey) -> PathBuf {
        self.root.join("partial").join(key.hex())
    }

    /// The record of a finished stage whose outputs are all here; `None` if it must run.
    pub fn record_head(&self, kind: &str, key: &StageKey) -> Option<RecordHead> {
        let text = self.record_text(kind, key)?;
        let head: RecordHead = serde_json::from_slice(&text).ok()?;
        let whole =
            head.format == record::RECORD_FORMAT && head.key == *key && head.outputs.values().all(|output| self.has_object(&output.digest));
        whole.then_some(head)
    }

    /// Whether the object is there and, as far as a glance tells, as it was stored: a file that was written to since is read.
    fn has_object(&self, digest: &Digest) -> bool {
        let own = object_path_in(&self.root, digest);
        match own.metadata() {
            Ok(metadata) if metadata.is_dir() || tree::is_untouched(&metadata) => true,
            Ok(_) => self.use_object(digest).is_ok_and(|path| {
                // Copied here by other means, perhaps. The next glance shall be enough.
                let _ = tree::mark_untouched(&path);
                true
            }),
            Err(_) => self.shared.as_ref().is_some_and(|shared| object_path_in(shared, digest).exists()),
        }
    }

    /// As [`Store::record_head`], with all that the record says.
    pub fn record(&self, kind: &str, key: &StageKey) -> Option<Record> {
        self.record_head(kind, key)?;
        self.record_even_without_objects(kind, key)
    }

    /// What a stage was made of, even if its outputs are gone.
    pub fn record_even_without_objects(&self, kind: &str, key: &StageKey) -> Option<Record> {
        serde_json::from_slice(&self.record_text(kind, key)?).ok()
    }

    fn record_text(&self, kind: &str, key: &StageKey) -> Option<Vec<u8>> {
        let own = fs::read(self.record_path(kind, key)).ok();
        own.or_else(|| fs::read(record_path_in(self.shared.as_ref()?, kind, key)).ok())
    }

    /// Writes the record: from here on the stage is finished. Not synced: its objects are, and a record that a power failure
    /// took means that the stage is made again.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        let path = self.record_path(&record.parts.kind, &record.key);
        let text = serde_json::to_vec(record).at_path("write", &path)?;
        write_with(&path, &text, Durability::Remade)
    }

    /// A fresh folder for a stage's outputs; gone when dropped, whatever was not stored. The caller holds the stage's lock,
    /// so whatever an earlier, killed worker left for this stage is nobody's and is removed.
    pub fn workspace(&self, key: &StageKey) -> Result<tempfile::TempDir> {
        let parent = self.root.join("tmp");
        for entry in fs::read_dir(&parent).at_path("list", &parent)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&key.short()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        tempfile::Builder::new().prefix(&format!("{}-", key.short())).tempdir_in(&parent).at_path("create a working folder", &parent)
    }

    /// Moves everything in a workspace into the store: each file or folder at its top is one output, by name.
    pub fn store_outputs(&self, workspace: &Path) -> Result<BTreeMap<String, Output>> {
        let mut outputs = BTreeMap::new();
        for entry in fs::read_dir(workspace).at_path("list", workspace)? {
            let entry = entry.at_path("list", workspace)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            outputs.insert(name, self.store_object(&entry.path())?);
        }
        Ok(outputs)
    }

    fn store_object(&self, path: &Path) -> Result<Output> {
        let (digest, bytes, form) = tree::digest_of(path)?;
        let target = object_path_in(&self.root, &digest);
        if !self.object_path(&digest).exists() {
            tree::settle(path)?;
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).at_path("create the folder", folder)?;
                if let Err(error) = fs::rename(path, &target)
                    // Another process may have stored the same content in the meantime.
                    && !target.exists()
                {
                    return Err(error).at_path("move an object to", &target);
                }
                sync_folder(folder)?;
            }
        }
        Ok(Output { digest, form, bytes })
    }

    /// The path of an object that is about to be read, its bytes compared with its name once in a process. One that is not
    /// what its name says is put aside, so that the next run makes it again.
    pub fn use_object(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.object_path(digest);
        if self.verified_set().contains(digest) {
            return Ok(path);
        }
        if !path.exists() {
            let aside = verify::quarantine_path(self, digest);
            if aside.exists() {
                return Err(changed(digest, &aside));
            }
            return Err(Error::failure(format!("the object {} is not in the store any more", digest.short()))
                .at_path(&path)
                .hint("run the experiment again: it is made anew"));
        }
        let (found, _, _) = tree::digest_of(&path)?;
        self.check(digest, &found, path)
    }

    /// The bytes of an object that is a small file, checked like [`Store::use_object`].
    pub fn read_object(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.object_path(digest);
        match fs::read(&path) {
            Ok(bytes) => self.check(digest, &Digest::of_bytes(&bytes), path).map(|_| bytes),
            // It says what is wrong.
            Err(_) => self.use_object(digest).and_then(|path| fs::read(&path).at_path("read", &path)),
        }
    }

    fn check(&self, digest: &Digest, found: &Digest, path: PathBuf) -> Result<PathBuf> {
        if found != digest {
            let place = if path.starts_with(&self.root) { verify::quarantine(self, digest)? } else { path };
            return Err(changed(digest, &place));
        }
        self.verified_set().insert(*digest);
        Ok(path)
    }

    fn verified_set(&self) -> std::sync::MutexGuard<'_, HashSet<Digest>> {
        self.verified.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Every record of this store, the common one not included; unreadable ones as errors of their files.
    pub fn records(&self) -> impl Iterator<Item = (PathBuf, Option<Record>)> {
        let files = walkdir::WalkDir::new(self.root.join("records")).sort_by_file_name().into_iter().flatten();
        files.filter(|entry| entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "json")).map(
            |entry| {
                let record = read_json(entry.path()).ok();
                (entry.into_path(), record)
            },
        )
    }

    /// Every object of this store, the common one not included.
    pub fn objects(&self) -> impl Iterator<Item = (Digest, PathBuf)> {
        let entries = walkdir::WalkDir::new(self.root.join("objects")).min_depth(2).max_depth(2).sort_by_file_name().into_iter().flatten();
        entries.filter_map(|entry| {
            let digest = format!("sha256:{}", entry.file_name().to_string_lossy()).parse().ok()?;
            Some((digest, entry.into_path()))
        })
    }
}

fn changed(digest: &Digest, place: &Path) -> Error {
    Error::failure(format!("the object {} has changed since it was written: its bytes are not what its name says", digest.short()))
        .at_path(place)
        .hint("it is put aside; run the same command again, and it is made anew (`surgcam store verify` looks for more)")
}

/// `false`: there is none yet.
fn is_of_our_format(root: &Path) -> Result<bool> {
    match fs::read_to_string(root.join("FORMAT")) {
        Ok(text) if text.trim() == LAYOUT => Ok(true),
        Ok(text) => Err(Error::usage(format!("the store has the format `{}`, this program writes `{LAYOUT}`", text.trim()))
            .at_path(root)
            .hint("name another folder with SURGCAM_STORE, or use the program that made this one")),
        Err(_) => Ok(false),
    }
}

fn object_path_in(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    let mut path = root.join("objects");
    path.push(&hex[..2]);
    path.push(hex);
    path
}

fn record_path_in(root: &Path, kind: &str, key: &StageKey) -> PathBuf {
    let mut path = root.join("records");
    path.push(kind);
    path.push(format!("{}.json", key.hex()));
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use key::KeyParts;
    use record::{Machine, RECORD_FORMAT};

    fn record_of(store: &Store, content: &str) -> Record {
        let parts =
            KeyParts { kind: "pack".into(), version: 1, parameters: serde_json::json!({"content": content}), inputs: BTreeMap::new() };
        let key = parts.key();
        let workspace = store.workspace(&key).unwrap();
        fs::write(workspace.path().join("frames"), content).unwrap();
        fs::create_dir(workspace.path().join("folder")).unwrap();
        fs::write(workspace.path().join("folder/one"), "1").unwrap();
        let outputs = store.store_outputs(workspace.path()).unwrap();
        Record {
            format: RECORD_FORMAT,
            key,
            name: "pack sample".into(),
            parts,
            outputs,
            started: String::new(),
            seconds: 0.0,
            machine: Machine::default(),
        }
    }

    #[test]
    fn a_stage_is_finished_only_once_its_record_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let record = record_of(&store, "abc");
        assert!(store.record("pack", &record.key).is_none());
        store.write_record(&record).unwrap();
        let found = store.record("pack", &record.key).unwrap();
        let path = |name: &str| store.use_object(&found.outputs[name].digest).unwrap();
        assert_eq!(fs::read_to_string(path("frames")).unwrap(), "abc");
        assert!(path("folder").join("one").exists());
    }

    #[test]
    fn a_record_whose_output_is_missing_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let record = record_of(&store, "abc");
        store.write_record(&record).unwrap();
        fs::remove_file(store.object_path(&record.outputs["frames"].digest)).unwrap();
        assert!(store.record("pack", &record.key).is_none());
    }

    #[test]
    fn a_workspace_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        record_of(&store, "abc");
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_store_of_another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("FORMAT"), "surgcam-store 99").unwrap();
        assert!(Store::open(folder.path(), None).unwrap_err().to_string().contains("surgcam-store 99"));
    }

    #[test]
    fn a_changed_byte_is_found_by_use_and_the_object_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let record = record_of(&store, "abc");
        store.write_record(&record).unwrap();
        for (name, file) in [("frames", ""), ("folder", "one")] {
            let digest = record.outputs[name].digest;
            let path = store.object_path(&digest);
            let changed = if file.is_empty() { path.clone() } else { path.join(file) };
            fs::remove_file(&changed).unwrap();
            fs::write(&changed, "abd").unwrap();
            let error = store.use_object(&digest).unwrap_err().to_string();
            assert!(error.contains("has changed since it was written"), "{error}");
            assert!(!path.exists() && store.record("pack", &record.key).is_none());
        }
    }

    #[test]
    fn a_common_store_is_read_and_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let (common, own) = (folder.path().join("common"), folder.path().join("own"));
        let record = {
            let store = Store::open(&common, None).unwrap();
            let record = record_of(&store, "abc");
            store.write_record(&record).unwrap();
            record
        };
        let store = Store::open(&own, Some(&common)).unwrap();
        assert!(store.record("pack", &record.key).is_some());
        assert!(store.use_object(&record.outputs["frames"].digest).unwrap().starts_with(&common));
        record_of(&store, "abc");
        assert_eq!(store.objects().count(), 0, "what the common store has is not stored twice");
        assert!(Store::open(&own, Some(&folder.path().join("absent"))).is_err());
    }
}
