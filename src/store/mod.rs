//! The store: content-addressed objects and the records of the stages that made them.
//!
//! ```text
//! store/
//!   FORMAT                      the version of this layout
//!   objects/ab/<digest>         a file, or a folder (a tree), named by its content; read-only
//!   records/<kind>/<key>.json   what a finished stage was made of and what it wrote
//!   locks/<key>.lock            held by the worker that makes the stage
//!   tmp/                        work in progress; nothing in it is ever read as a result
//!   logs/worker-*.log           what a running worker says; kept when it does not end well
//!   latest/<name>.json          the last key of each stage name, to explain reruns
//!   stat/                       digests of data files, remembered by size, time and inode
//!   devices/                    what a device said of itself
//! ```
//!
//! Promises: an object is complete or absent (written under tmp/, synced, renamed); a record is written last, so a stage that
//! was interrupted leaves nothing that looks finished; a lock is held only by whoever writes.

pub mod digest;
pub mod key;
pub mod record;
pub mod stat;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use walkdir::WalkDir;

use crate::error::{AtPath, Error, Result};
use digest::Digest;
use key::StageKey;
use record::{Form, Output, Record};

const LAYOUT: &str = "surgcam-store 1";

#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store in a folder, making it if it is not there.
    pub fn open(root: &Path) -> Result<Self> {
        for folder in ["objects", "records", "locks", "tmp", "logs", "latest", "stat", "devices"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).at_path("create the store's folder", &folder)?;
        }
        let root = root.canonicalize().at_path("find the store", root)?;
        let store = Store { root };
        let format = store.root.join("FORMAT");
        match fs::read_to_string(&format) {
            Ok(text) if text.trim() == LAYOUT => {}
            Ok(text) => {
                return Err(Error::usage(format!("the store has the format `{}`, this program writes `{LAYOUT}`", text.trim()))
                    .at_path(&store.root)
                    .hint("name another folder with SURGCAM_STORE, or use the program that made this one"));
            }
            Err(_) => write_atomically(&format, LAYOUT.as_bytes())?,
        }
        Ok(store)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the object lies; it need not exist.
    pub fn object_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("objects").join(&hex[..2]).join(hex)
    }

    fn record_path(&self, kind: &str, key: &StageKey) -> PathBuf {
        self.root.join("records").join(kind).join(format!("{}.json", key.hex()))
    }

    pub fn device_path(&self, device: &str) -> PathBuf {
        self.root.join("devices").join(format!("{}.json", device.replace(':', "-")))
    }

    /// The record of a finished stage whose outputs are all here; `None` if it must run.
    pub fn record(&self, kind: &str, key: &StageKey) -> Option<Record> {
        let text = fs::read(self.record_path(kind, key)).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        let whole = record.format == record::RECORD_FORMAT
            && record.key == *key
            && record.outputs.values().all(|output| self.object_path(&output.digest).exists());
        whole.then_some(record)
    }

    /// Writes the record: from here on the stage is finished. The first record of a key wins.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        let path = self.record_path(&record.parts.kind, &record.key);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).at_path("create the folder", folder)?;
        }
        write_json(&path, record)
    }

    /// The last key that a stage of this name had, if it ever ran.
    pub fn latest(&self, name: &str) -> Option<Latest> {
        read_json(&self.latest_path(name)).ok()
    }

    pub fn set_latest(&self, name: &str, latest: &Latest) -> Result<()> {
        write_json(&self.latest_path(name), latest)
    }

    fn latest_path(&self, name: &str) -> PathBuf {
        let readable: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).take(60).collect();
        let distinct = Digest::of_bytes(name.as_bytes()).short();
        self.root.join("latest").join(format!("{readable}-{distinct}.json"))
    }

    /// Waits for the right to make this stage. Call [`Store::record`] again once it is held: another process may have made it.
    /// `on_wait` is called once if somebody else holds it.
    pub fn lock(&self, key: &StageKey, on_wait: impl FnOnce(&str)) -> Result<StageLock> {
        let path = self.root.join("locks").join(format!("{}.lock", key.hex()));
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).at_path("open the lock", &path)?;
        if file.try_lock().is_err() {
            on_wait(fs::read_to_string(&path).unwrap_or_default().trim());
            file.lock().at_path("wait for the lock", &path)?;
        }
        // Who holds it, for whoever waits.
        file.set_len(0).at_path("write the lock", &path)?;
        (&file).write_all(format!("process {}", std::process::id()).as_bytes()).at_path("write the lock", &path)?;
        Ok(StageLock { _file: file })
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
        let (digest, bytes, form) = if path.is_dir() {
            let (digest, bytes) = tree_digest(path)?;
            (digest, bytes, Form::Tree)
        } else {
            let bytes = path.metadata().at_path("read", path)?.len();
            (Digest::of_file(path)?, bytes, Form::File)
        };
        let target = self.object_path(&digest);
        if !target.exists() {
            settle(path)?;
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).at_path("create the folder", folder)?;
            }
            if let Err(error) = fs::rename(path, &target)
                // Another process may have stored the same content in the meantime.
                && !target.exists()
            {
                return Err(error).at_path("move an object to", &target);
            }
            sync_parent(&target)?;
        }
        Ok(Output { digest, form, bytes })
    }

    /// The path of an output that a record promises.
    pub fn output(&self, record: &Record, name: &str) -> Result<PathBuf> {
        let output = record.outputs.get(name).ok_or_else(|| {
            Error::failure(format!("the stage `{}` has no output `{name}`", record.name))
                .hint("the store was written by another version of surgcam; name a fresh one with SURGCAM_STORE")
        })?;
        Ok(self.object_path(&output.digest))
    }
}

/// What a stage was the last time its name was planned or made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Latest {
    pub key: StageKey,
    pub parts: key::KeyParts,
}

/// Held while a stage is made; given back when dropped, or by the system when the process dies.
#[derive(Debug)]
pub struct StageLock {
    _file: File,
}

/// The digest of a folder: of the sorted list of its files' paths, digests and sizes.
pub fn tree_digest(folder: &Path) -> Result<(Digest, u64)> {
    let mut listing = String::from("tree 1\n");
    let mut total = 0;
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.at_path("list", folder)?;
        if !entry.file_type().is_file() {
            continue;
        }
        let bytes = entry.metadata().at_path("read", entry.path())?.len();
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let digest = Digest::of_file(entry.path())?;
        listing.push_str(&format!("{digest} {bytes} {}\n", relative.display()));
        total += bytes;
    }
    Ok((Digest::of_bytes(listing.as_bytes()), total))
}

/// Puts an object's bytes on the disk and takes the right to write from its files.
fn settle(path: &Path) -> Result<()> {
    for entry in WalkDir::new(path).contents_first(true) {
        let entry = entry.at_path("list", path)?;
        if entry.file_type().is_file() {
            let file = File::open(entry.path()).at_path("open", entry.path())?;
            file.sync_all().at_path("write", entry.path())?;
            let mut permissions = file.metadata().at_path("read", entry.path())?.permissions();
            permissions.set_readonly(true);
            fs::set_permissions(entry.path(), permissions).at_path("protect", entry.path())?;
        }
    }
    Ok(())
}

fn sync_parent(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let folder_handle = File::open(folder).at_path("open", folder)?;
    folder_handle.sync_all().at_path("write", folder)
}

/// Writes a file so that a reader sees the old content or the new, never a part.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).at_path("create the folder", folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).at_path("write into", folder)?;
    file.write_all(bytes).at_path("write", path)?;
    file.as_file().sync_all().at_path("write", path)?;
    file.persist(path).at_path("write", path)?;
    Ok(())
}

pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).at_path("write", path)?;
    text.push(b'\n');
    write_atomically(path, &text)
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).at_path("read", path)?;
    serde_json::from_slice(&text).at_path("understand", path)
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
        let store = Store::open(folder.path()).unwrap();
        let record = record_of(&store, "abc");
        assert!(store.record("pack", &record.key).is_none());
        store.write_record(&record).unwrap();
        let found = store.record("pack", &record.key).unwrap();
        assert_eq!(fs::read_to_string(store.output(&found, "frames").unwrap()).unwrap(), "abc");
        assert!(store.output(&found, "folder").unwrap().join("one").exists());
        assert!(store.output(&found, "absent").is_err());
    }

    #[test]
    fn a_record_whose_output_is_missing_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let record = record_of(&store, "abc");
        store.write_record(&record).unwrap();
        fs::remove_file(store.output(&record, "frames").unwrap()).unwrap();
        assert!(store.record("pack", &record.key).is_none());
    }

    #[test]
    fn a_workspace_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        record_of(&store, "abc");
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_store_of_another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("FORMAT"), "surgcam-store 99").unwrap();
        assert!(Store::open(folder.path()).unwrap_err().to_string().contains("surgcam-store 99"));
    }
}
