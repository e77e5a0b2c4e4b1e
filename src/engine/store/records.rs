//! Records of finished stages: their paths, and how they are found, written and listed.
//!
//! A record of the shared store, which others write to, is read as a whole each time, and its key
//! is compared with its parts. In the user's own store planning reads only the heads, without the
//! parts. Those records were made here or were compared when they were pulled, `verify` compares
//! them again, and hashing the parts of ten thousand records would slow down every plan.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::Store;
use super::file::{self, Durability, remove_whole, walked, write_if_absent, write_with};
use super::format::{Formatted, Misread, understand};
use super::key::StageKey;
use super::name::PlainName;
use super::record::{Outputs, Record, RecordHead};
use crate::error::{AtPath, Result};
use crate::regular_file;

/// The most bytes that a record may have.
pub const LONGEST_RECORD: u64 = 16 << 20;

/// A file where a record is expected, and what could be read of it.
#[derive(Debug)]
pub struct StoredRecord {
    pub path: PathBuf,
    pub record: std::result::Result<Record, Misread>,
}

impl Store {
    fn record_path(&self, kind: &PlainName, key: &StageKey) -> PathBuf {
        record_path_in(self.root(), kind, key)
    }

    /// The record of a finished stage whose outputs are all here; `None` if the stage must run. A
    /// record of a newer program is an error.
    pub fn record_head(&self, kind: &PlainName, key: &StageKey) -> Result<Option<RecordHead>> {
        let own: Option<RecordHead> = read_in(self.root(), kind, key)?;
        let head = match own {
            Some(head) => Some(head),
            None => self.common_record(kind, key)?.map(Record::into_head),
        };
        Ok(head.filter(|head| head.key == *key && self.has_all(&head.outputs)))
    }

    /// As [`Store::record_head`], with all that the record says.
    pub fn record(&self, kind: &PlainName, key: &StageKey) -> Result<Option<Record>> {
        let record = self.record_even_without_objects(kind, key)?;
        Ok(record.filter(|record| self.has_all(&record.outputs)))
    }

    /// What a stage was made of, even if its outputs are gone.
    pub fn record_even_without_objects(
        &self,
        kind: &PlainName,
        key: &StageKey,
    ) -> Result<Option<Record>> {
        match self.own_record(kind, key)? {
            Some(own) => Ok(Some(own)),
            None => self.common_record(kind, key),
        }
    }

    /// The record of this store, without the shared one, even if its outputs are gone.
    pub fn own_record(&self, kind: &PlainName, key: &StageKey) -> Result<Option<Record>> {
        whole_record_in(self.root(), kind, key)
    }

    fn common_record(&self, kind: &PlainName, key: &StageKey) -> Result<Option<Record>> {
        self.shared().map_or(Ok(None), |shared| whole_record_in(shared, kind, key))
    }

    fn has_all(&self, outputs: &Outputs) -> bool {
        outputs.values().all(|output| self.has_object(&output.digest))
    }

    /// Writes the record: from here on the stage is finished. The record of a quick stage is not
    /// synced, so a power failure may lose it, and the stage simply runs again. Objects are always
    /// synced. A record of a newer program is not replaced.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        let path = self.record_path(&record.parts.kind, &record.key);
        let _replaced: Option<RecordHead> = read_in(self.root(), &record.parts.kind, &record.key)?;
        if path.is_dir() {
            // It is not a record, and a file cannot replace it.
            remove_whole(&path, &self.tmp())?;
        }
        let text = serde_json::to_vec(record).at_path("write", &path)?;
        let durability = if record.seconds > file::WORTH_SYNCING.as_secs_f64() {
            Durability::Synced
        } else {
            Durability::Remade
        };
        write_with(&path, &text, durability)
    }

    /// Writes a record that was made elsewhere, unless this store has one of its key, and tells
    /// whether it was written.
    pub fn add_record(&self, record: &Record) -> Result<bool> {
        if self.own_record(&record.parts.kind, &record.key)?.is_some() {
            return Ok(false);
        }
        let path = self.record_path(&record.parts.kind, &record.key);
        // A file that cannot be understood is removed first.
        remove_whole(&path, &self.tmp())?;
        let text = serde_json::to_vec(record).at_path("write", &path)?;
        write_if_absent(&path, &text)
    }

    /// Every record of this store, without the shared store, including files that are not readable
    /// records.
    pub fn records(&self) -> Result<Vec<StoredRecord>> {
        records_in(self.root())
    }

    /// Every record of this store and of the shared one, each key once: those of this store come
    /// first.
    pub fn all_records(&self) -> Result<Vec<StoredRecord>> {
        let mut found = self.records()?;
        if let Some(shared) = self.shared() {
            found.extend(records_in(shared)?);
        }
        let mut keys = HashSet::new();
        found
            .retain(|stored| stored.record.as_ref().map_or(true, |record| keys.insert(record.key)));
        Ok(found)
    }
}

fn record_path_in(root: &Path, kind: &PlainName, key: &StageKey) -> PathBuf {
    let mut path = root.join("records");
    path.push(kind.as_str());
    path.push(format!("{}.json", key.hex()));
    path
}

/// `None` where there is no readable record. A record of a newer program is an error.
fn read_in<T: Formatted>(root: &Path, kind: &PlainName, key: &StageKey) -> Result<Option<T>> {
    let path = record_path_in(root, kind, key);
    let Ok(text) = regular_file::try_read(&path, LONGEST_RECORD) else { return Ok(None) };
    match understand(&text) {
        Ok(record) => Ok(Some(record)),
        Err(newer @ Misread::Newer(_)) => Err(newer.into_error::<T>(path.display())),
        Err(Misread::Broken(_)) => Ok(None),
    }
}

/// Like [`read_in`], but a record under the name of another does not count.
fn whole_record_in(root: &Path, kind: &PlainName, key: &StageKey) -> Result<Option<Record>> {
    let record: Option<Record> = read_in(root, kind, key)?;
    Ok(record.filter(|record| record.key == *key && record.parts.kind == *kind))
}

fn records_in(root: &Path) -> Result<Vec<StoredRecord>> {
    let mut records = Vec::new();
    for entry in
        walked(WalkDir::new(root.join("records")).min_depth(2).max_depth(2).sort_by_file_name())
    {
        let path = entry?.into_path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        if let Some(record) = read_stored(root, &path)? {
            records.push(StoredRecord { path, record });
        }
    }
    Ok(records)
}

/// `None` where somebody has just removed it. A file that may not be read is an error.
fn read_stored(root: &Path, path: &Path) -> Result<Option<std::result::Result<Record, Misread>>> {
    let text = match regular_file::try_read(path, LONGEST_RECORD) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            return Ok(None);
        }
        Err(error) if error.kind() == ErrorKind::FileTooLarge || is_no_file(path) => {
            return Ok(Some(Err(Misread::Broken(error.to_string()))));
        }
        Err(error) => return Err(error).at_path("read", path),
    };
    let record = understand::<Record>(&text).and_then(|record| {
        let is_in_its_place = path == record_path_in(root, &record.parts.kind, &record.key);
        if is_in_its_place {
            Ok(record)
        } else {
            Err(Misread::Broken("it lies in the place of another".into()))
        }
    });
    Ok(Some(record))
}

/// Whether the path is a folder, a pipe or a link to nowhere. A path that the system hides may be a
/// file.
fn is_no_file(path: &Path) -> bool {
    path.metadata()
        .map_or_else(|error| error.kind() == ErrorKind::NotFound, |metadata| !metadata.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{pack, record_of};
    use super::*;

    /// A store with one finished stage, its record, and the record's path.
    fn store_with_record() -> (tempfile::TempDir, Store, Record, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).unwrap();
        let record = record_of(&store, "abc");
        store.write_record(&record).unwrap();
        let path = store.record_path(&pack(), &record.key);
        (folder, store, record, path)
    }

    #[test]
    fn a_record_of_a_newer_format_is_refused_and_not_overwritten() {
        let (_folder, store, record, path) = store_with_record();
        let newer = serde_json::json!({"format": 99, "key": record.key, "steps": []}).to_string();
        fs::write(&path, &newer).unwrap();
        let errors = [
            store.record_head(&pack(), &record.key).unwrap_err(),
            store.record(&pack(), &record.key).unwrap_err(),
            store.write_record(&record).unwrap_err(),
            store.add_record(&record).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("made by a newer surgcam"), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), newer);
        assert_eq!(store.records().unwrap()[0].record.as_ref().unwrap_err(), &Misread::Newer(99));
    }

    #[test]
    fn a_folder_in_the_place_of_a_record_is_no_record_and_makes_way_for_one() {
        let (_folder, store, record, path) = store_with_record();
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("inner")).unwrap();
        assert!(store.record_head(&pack(), &record.key).unwrap().is_none());
        assert!(matches!(store.records().unwrap()[0].record, Err(Misread::Broken(_))));
        store.write_record(&record).unwrap();
        assert!(store.record(&pack(), &record.key).unwrap().is_some());
    }

    #[test]
    fn a_record_in_the_place_of_another_does_not_count() {
        let (_folder, store, record, path) = store_with_record();
        let other = record_of(&store, "abd");
        let place = store.record_path(&pack(), &other.key);
        fs::rename(&path, &place).unwrap();
        assert!(store.record_head(&pack(), &other.key).unwrap().is_none());
        assert!(store.record(&pack(), &other.key).unwrap().is_none());
        assert!(store.record_head(&pack(), &record.key).unwrap().is_none());
        assert!(matches!(store.records().unwrap()[0].record, Err(Misread::Broken(_))));
    }

    #[test]
    fn a_record_from_elsewhere_does_not_replace_ones_own() {
        let (_folder, store, record, path) = store_with_record();
        let before = fs::read(&path).unwrap();
        let other = Record { name: "from elsewhere".into(), ..record };
        assert!(!store.add_record(&other).unwrap());
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::write(&path, "{").unwrap();
        assert!(store.add_record(&other).unwrap());
        assert_eq!(store.record(&pack(), &other.key).unwrap().unwrap().name, "from elsewhere");
    }
}
