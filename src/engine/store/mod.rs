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
//!   distrusted/<digest>         the common store's copy of this object was not what its name says
//!   runs/<run>/                 every invocation: what it was, what happened, its workers' logs
//!   plans/<digest>.json         what runs planned: resolved recipes, stages, keys
//!   stat/                       digests of data files, remembered by size, time and inode
//!   devices/                    what a device said of itself
//! ```
//!
//! Promises: an object is complete or absent (written under tmp/, synced, renamed; removed by way of tmp/); a record is written last, so a stage that
//! was interrupted leaves nothing that looks finished; a lock is held only by whoever writes; an object's bytes are compared
//! with its name before a process first uses it. A file that is stored gets a fixed time of modification, so that planning
//! sees at a glance whether somebody wrote to it since.
//!
//! What others made is not trusted: names that become files' names are plain ([`name`]), a record
//! that is held as a whole has the key of its parts ([`record`]), and what a newer program wrote is
//! refused and stays as it is ([`mod@format`]).
//!
//! A lab's common store may stand in front of one's own: what is there is read from there, and it is never written to. A copy
//! there that is broken is not used again.

pub mod digest;
pub mod earlier_runs;
pub mod file;
pub mod format;
pub mod gc;
pub mod inventory;
pub mod key;
pub mod lock;
pub mod name;
mod objects;
pub mod record;
mod records;
pub mod runs;
pub mod stat;
pub mod tree;
pub mod verify;

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use walkdir::WalkDir;

use crate::error::{AtPath, Error, Result};
use crate::regular_file;
use digest::Digest;
use file::walked;
pub use file::{read_json, write_atomically, write_json};
use key::StageKey;
pub use records::{LONGEST_RECORD, StoredRecord};

pub const LAYOUT: &str = "surgcam-store 1";
/// Names the layout, in the store's root.
pub const FORMAT_FILE: &str = "FORMAT";
/// That file is no longer than so many bytes.
pub const LONGEST_FORMAT: u64 = 4096;
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
        let format = root.join(FORMAT_FILE);
        if !is_of_our_format(root)? {
            if has_other_things(root)? {
                return Err(Error::usage("this folder is no store, and has other things in it")
                    .at_path(root)
                    .hint("name the store's folder, or an empty one to make it a store"));
            }
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

    /// Work in progress, and what is about to be removed.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub fn device_path(&self, device: &str) -> PathBuf {
        let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        let name = device.replace(|character: char| !is_plain(character), "-");
        self.root.join("devices").join(format!("{name}.json"))
    }

    /// Where a stage keeps how far it came, to go on after an interruption; for the holder of its lock.
    pub fn partial_folder(&self, key: &StageKey) -> PathBuf {
        self.root.join("partial").join(key.hex())
    }

    /// A fresh folder for a stage's outputs; gone when dropped, whatever was not stored. The caller holds the stage's lock,
    /// so whatever an earlier, killed worker left for this stage is nobody's and is removed.
    pub fn workspace(&self, key: &StageKey) -> Result<tempfile::TempDir> {
        let (parent, name) = (self.tmp(), key.hex());
        file::remove_whole(&parent.join(&name), &parent)?;
        tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir_in(&parent).at_path("create a working folder", &parent)
    }
}

/// `false`: there is none yet.
fn is_of_our_format(root: &Path) -> Result<bool> {
    match regular_file::try_read(&root.join(FORMAT_FILE), LONGEST_FORMAT) {
        Ok(text) => check_layout(&text)
            .map(|()| true)
            .map_err(|error| error.at_path(root).hint("name another folder with SURGCAM_STORE, or use the program that made this one")),
        Err(_) => Ok(false),
    }
}

/// An error unless this is the text of the file FORMAT of a store that this program can use.
pub fn check_layout(text: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(text);
    let found = text.trim();
    if found == LAYOUT {
        return Ok(());
    }
    let number = |text: &str| text.strip_prefix("surgcam-store ")?.parse::<u64>().ok();
    let by = if number(found) > number(LAYOUT) { ", made by a newer surgcam" } else { "" };
    let beginning = found.lines().next().unwrap_or_default();
    Err(Error::usage(format!("the store has the format `{}`{by}; this program writes `{LAYOUT}`", beginning.escape_debug())))
}

/// Whether a folder has what no store has, not even one whose making was interrupted.
fn has_other_things(root: &Path) -> Result<bool> {
    for entry in walked(WalkDir::new(root).min_depth(1).max_depth(1)) {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !FOLDERS.contains(&name.as_str()) && name != lock::USE_LOCK && !file::is_being_written(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use key::KeyParts;
    use name::PlainName;
    use record::{Environment, RECORD_FORMAT, Record};

    pub(super) fn pack() -> PlainName {
        PlainName::literal("pack")
    }

    /// Of a stage that wrote a file and a folder; its objects are stored, itself is not.
    pub(super) fn record_of(store: &Store, content: &str) -> Record {
        let parts = KeyParts { kind: pack(), version: 1, parameters: serde_json::json!({"content": content}), inputs: BTreeMap::new() };
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
            machine: Environment::default(),
        }
    }

    /// A finished stage of a store that nobody has open.
    fn recorded_in(root: &Path) -> Record {
        let store = Store::open(root, None).unwrap();
        let record = record_of(&store, "abc");
        store.write_record(&record).unwrap();
        record
    }

    #[test]
    fn a_stage_is_finished_only_once_its_record_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let record = record_of(&store, "abc");
        assert!(store.record(&pack(), &record.key).unwrap().is_none());
        store.write_record(&record).unwrap();
        let found = store.record(&pack(), &record.key).unwrap().unwrap();
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
        assert!(store.record(&pack(), &record.key).unwrap().is_none());
    }

    #[test]
    fn a_workspace_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        record_of(&store, "abc");
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_workspace_is_empty_whatever_a_killed_worker_left() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let key = StageKey(Digest::of_bytes(b"stage"));
        let killed = store.workspace(&key).unwrap().keep();
        fs::create_dir(killed.join("folder")).unwrap();
        fs::write(killed.join("folder/half"), "ab").unwrap();
        let workspace = store.workspace(&key).unwrap();
        assert_eq!(workspace.path(), killed);
        assert_eq!(fs::read_dir(workspace.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_store_of_another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("FORMAT"), "surgcam-store 99").unwrap();
        let error = Store::open(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("surgcam-store 99") && error.contains("made by a newer surgcam"), "{error}");
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
            assert!(!path.exists() && store.record(&pack(), &record.key).unwrap().is_none());
        }
    }

    #[test]
    fn a_common_store_is_read_and_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let (common, own) = (folder.path().join("common"), folder.path().join("own"));
        let record = recorded_in(&common);
        let store = Store::open(&own, Some(&common)).unwrap();
        assert!(store.record(&pack(), &record.key).unwrap().is_some());
        assert!(store.use_object(&record.outputs["frames"].digest).unwrap().starts_with(&common));
        record_of(&store, "abc");
        assert_eq!(store.objects().unwrap().len(), 0, "what the common store has is not stored twice");
        assert!(Store::open(&own, Some(&folder.path().join("absent"))).is_err());
    }

    #[test]
    fn a_broken_copy_in_the_common_store_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let (common, own) = (folder.path().join("common"), folder.path().join("own"));
        let record = recorded_in(&common);
        let digest = record.outputs["frames"].digest;
        let store = Store::open(&own, Some(&common)).unwrap();
        let broken = store.object_path(&digest);
        fs::remove_file(&broken).unwrap();
        fs::write(&broken, "abd").unwrap();
        for _ in 0..2 {
            let error = store.use_object(&digest).unwrap_err().to_string();
            assert!(error.contains("has changed since it was written") && error.contains("your own store"), "{error}");
        }
        assert!(store.record(&pack(), &record.key).unwrap().is_none(), "the stage must run");
        let other = Store::open(&own, Some(&common)).unwrap();
        assert!(other.record(&pack(), &record.key).unwrap().is_none(), "other processes know it, too");
        record_of(&store, "abc");
        assert!(store.use_object(&digest).unwrap().starts_with(own.canonicalize().unwrap()));
        assert!(store.record(&pack(), &record.key).unwrap().is_some());
        assert_eq!(fs::read_to_string(&broken).unwrap(), "abd", "nothing is written there");
    }

    #[test]
    fn what_is_left_of_an_object_is_replaced_by_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let record = record_of(&Store::open(folder.path(), None).unwrap(), "abc");
        // Another process finds it.
        let store = Store::open(folder.path(), None).unwrap();
        let digest = record.outputs["folder"].digest;
        fs::remove_file(store.object_path(&digest).join("one")).unwrap();
        record_of(&store, "abc");
        assert!(store.use_object(&digest).unwrap().join("one").exists());
    }
}
