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
//!   quarantine/                 objects whose bytes did not match their digests
//!   distrusted/<digest>         the shared store's copy of this object did not match its digest
//!   runs/<run>/                 one run: its description, what happened, its workers' logs
//!   plans/<digest>.json         what runs planned: resolved recipes, stages, keys
//!   stat/                       digests of data files, remembered by size, time and inode
//!   devices/                    what a worker reported about its device
//! ```
//!
//! The store makes these promises. An object is complete or absent: it is written under tmp/,
//! synced and renamed, and removed by way of tmp/. A record is written last, so an interrupted
//! stage leaves nothing that looks finished. Only writers hold locks. The bytes of an object are
//! compared with its digest before a process first uses it. A stored file gets a fixed modification
//! time, so that planning sees without reading it whether somebody has written to it.
//!
//! Content that others made is not trusted. Names that become file names are plain ([`name`]), a
//! record that is read as a whole must have the key of its parts ([`record`]), and files that a
//! newer program wrote are refused and left as they are ([`mod@format`]).
//!
//! A shared store, such as that of a lab, may stand in front of a user's own store. Objects and
//! records are read from it where it has them, and it is never written to. A broken copy in it is
//! not used again.

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
/// The file in the store's root that names the layout.
pub const FORMAT_FILE: &str = "FORMAT";
/// The most bytes that this file may have.
pub const LONGEST_FORMAT: u64 = 4096;
const FOLDERS: [&str; 9] =
    ["objects", "records", "locks", "tmp", "partial", "runs", "plans", "stat", "devices"];

#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// A shared store that is only read.
    shared: Option<PathBuf>,
    /// Tells other processes that this one uses the store.
    in_use: Option<Arc<File>>,
    /// Objects whose bytes this process has compared with their digests.
    verified: Arc<Mutex<HashSet<Digest>>>,
}

impl Store {
    /// Opens the store in a folder, with a shared store in front of it if one is given. The store
    /// is made if it does not exist.
    pub fn open(root: &Path, shared: Option<&Path>) -> Result<Self> {
        let format = root.join(FORMAT_FILE);
        if !is_of_our_format(root)? {
            if has_other_things(root)? {
                return Err(Error::usage(
                    "this folder is not a store, and it contains other files",
                )
                .at_path(root)
                .hint("give the folder of a store, or an empty folder for a new one"));
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
            return Err(Error::usage("the shared store is not a store")
                .at_path(shared)
                .hint("check the setting `shared_store`"));
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
        let is_plain = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
        };
        let name = device.replace(|character: char| !is_plain(character), "-");
        self.root.join("devices").join(format!("{name}.json"))
    }

    /// The folder for the state from which an interrupted stage continues. Only the holder of the
    /// stage's lock may use it.
    pub fn partial_folder(&self, key: &StageKey) -> PathBuf {
        self.root.join("partial").join(key.hex())
    }

    /// A new folder for a stage's outputs. When it is dropped, everything in it that was not stored
    /// is removed. The caller holds the stage's lock, so files that an earlier, killed worker left
    /// for this stage have no owner and are removed.
    pub fn workspace(&self, key: &StageKey) -> Result<tempfile::TempDir> {
        let (parent, name) = (self.tmp(), key.hex());
        file::remove_whole(&parent.join(&name), &parent)?;
        tempfile::Builder::new()
            .prefix(&name)
            .rand_bytes(0)
            .tempdir_in(&parent)
            .at_path("create a working folder", &parent)
    }
}

/// `false` where there is no store yet.
fn is_of_our_format(root: &Path) -> Result<bool> {
    match regular_file::try_read(&root.join(FORMAT_FILE), LONGEST_FORMAT) {
        Ok(text) => check_layout(&text).map(|()| true).map_err(|error| {
            error.at_path(root).hint(
                "name another folder with SURGCAM_STORE, or use the program that made this one",
            )
        }),
        Err(_) => Ok(false),
    }
}

/// Checks the text of the file FORMAT: an error unless this program can use the store.
pub fn check_layout(text: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(text);
    let found = text.trim();
    if found == LAYOUT {
        return Ok(());
    }
    let number = |text: &str| text.strip_prefix("surgcam-store ")?.parse::<u64>().ok();
    let by = if number(found) > number(LAYOUT) { ", made by a newer surgcam" } else { "" };
    let beginning = found.lines().next().unwrap_or_default();
    Err(Error::usage(format!(
        "the store has the format `{}`{by}; this program writes `{LAYOUT}`",
        beginning.escape_debug()
    )))
}

/// Whether a folder contains files that no store has, not even one whose creation was interrupted.
fn has_other_things(root: &Path) -> Result<bool> {
    for entry in walked(WalkDir::new(root).min_depth(1).max_depth(1)) {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !FOLDERS.contains(&name.as_str())
            && name != lock::USE_LOCK
            && !file::is_being_written(&name)
        {
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
    use record::{Environment, PeakMemory, RECORD_FORMAT, Record};

    pub(super) fn pack() -> PlainName {
        PlainName::literal("pack")
    }

    /// The record of a stage that wrote a file and a folder. The objects are stored, the record is
    /// not.
    pub(super) fn record_of(store: &Store, content: &str) -> Record {
        let parts = KeyParts {
            kind: pack(),
            version: 1,
            parameters: serde_json::json!({"content": content}),
            inputs: BTreeMap::new(),
        };
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
            peak_memory: PeakMemory::default(),
        }
    }

    /// The record of a finished stage, in a store that nobody has open.
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
        assert!(
            error.contains("surgcam-store 99") && error.contains("made by a newer surgcam"),
            "{error}"
        );
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
        assert_eq!(
            store.objects().unwrap().len(),
            0,
            "what the common store has is not stored twice"
        );
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
            assert!(
                error.contains("has changed since it was written")
                    && error.contains("your own store"),
                "{error}"
            );
        }
        assert!(store.record(&pack(), &record.key).unwrap().is_none(), "the stage must run");
        let other = Store::open(&own, Some(&common)).unwrap();
        assert!(
            other.record(&pack(), &record.key).unwrap().is_none(),
            "other processes know it, too"
        );
        record_of(&store, "abc");
        assert!(store.use_object(&digest).unwrap().starts_with(own.canonicalize().unwrap()));
        assert!(store.record(&pack(), &record.key).unwrap().is_some());
        assert_eq!(fs::read_to_string(&broken).unwrap(), "abd", "nothing is written there");
    }

    #[test]
    fn what_is_left_of_an_object_is_replaced_by_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let record = record_of(&Store::open(folder.path(), None).unwrap(), "abc");
        // Another process finds the broken object.
        let store = Store::open(folder.path(), None).unwrap();
        let digest = record.outputs["folder"].digest;
        fs::remove_file(store.object_path(&digest).join("one")).unwrap();
        record_of(&store, "abc");
        assert!(store.use_object(&digest).unwrap().join("one").exists());
    }
}
