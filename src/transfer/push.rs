//! Pushes finished stages to another place.
//! Objects are sent before the records that name them, so that a reader there never sees a record
//! without its objects.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use object_store::path::Path as RemotePath;
use walkdir::WalkDir;

use super::remote::Remote;
use super::transferred::Transferred;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::store::format::{Misread, understand};
use surgcam_engine::store::record::{Form, Output, Record};
use surgcam_engine::store::{LONGEST_RECORD, Store};

/// A file of an object here, and its path there.
struct ObjectFile {
    from: PathBuf,
    to: RemotePath,
    bytes: u64,
}

impl Remote {
    /// Sends the parts of a finished stage that are not there, or are there in another size. With
    /// `again`, sends all of it.
    pub fn push(&self, store: &Store, record: &Record, again: bool) -> Result<Transferred> {
        let mut sent = Transferred::default();
        let there = self.record_there(record)?.filter(|_| !again);
        if there.as_ref().is_some_and(|there| there.outputs != record.outputs) {
            return Ok(Transferred { differing: 1, ..sent });
        }
        for output in record.outputs.values() {
            if self.push_object(store, output, again)? {
                sent.objects += 1;
                sent.bytes = sent.bytes.saturating_add(output.bytes);
            }
        }
        if there.is_none() {
            let text = serde_json::to_vec(record)
                .map_err(|error| Error::failure(format!("cannot write the record: {error}")))?;
            self.put(&self.record_path(&record.parts.kind, &record.key), text)?;
            sent.records = 1;
        }
        Ok(sent)
    }

    /// The record that a push would replace. One that cannot be understood counts as absent, but a
    /// newer program's record is an error, because it must not be replaced.
    fn record_there(&self, record: &Record) -> Result<Option<Record>> {
        let path = self.record_path(&record.parts.kind, &record.key);
        let Some(text) = self.read(&path, LONGEST_RECORD)? else { return Ok(None) };
        match understand::<Record>(&text) {
            Ok(there) => Ok((there.key == record.key).then_some(there)),
            Err(newer @ Misread::Newer(_)) => Err(newer.into_error::<Record>(self.place(&path))),
            Err(Misread::Broken(_)) => Ok(None),
        }
    }

    /// Sends an object. Tells whether there was anything to send.
    fn push_object(&self, store: &Store, output: &Output, again: bool) -> Result<bool> {
        let there = self.sizes(output)?;
        let files = self.files(&store.object_path(&output.digest), output)?;
        let is_whole = there.len() == files.len()
            && files.iter().all(|file| there.get(&file.to) == Some(&file.bytes));
        if is_whole && !again {
            return Ok(false);
        }
        store.use_object(&output.digest)?;
        // With an additional file, the folder would be another object.
        let wanted: HashSet<&RemotePath> = files.iter().map(|file| &file.to).collect();
        for path in there.keys().filter(|path| !wanted.contains(path)) {
            self.delete(path)?;
        }
        files.iter().try_for_each(|file| self.upload(&file.from, &file.to))?;
        Ok(true)
    }

    /// The files of an object that are there, and their sizes.
    fn sizes(&self, output: &Output) -> Result<BTreeMap<RemotePath, u64>> {
        let place = self.object_parts(&output.digest, None);
        match output.form {
            Form::Tree => Ok(self.list(&place)?.into_iter().collect()),
            Form::File => Ok(self.size(&place)?.map(|size| (place, size)).into_iter().collect()),
        }
    }

    /// The files of an object here, and their paths there.
    fn files(&self, object: &Path, output: &Output) -> Result<Vec<ObjectFile>> {
        let mut files = Vec::new();
        for entry in WalkDir::new(object).sort_by_file_name() {
            let entry = entry.at_path("list", object)?;
            if entry.file_type().is_file() {
                let inner = (output.form == Form::Tree)
                    .then(|| entry.path().strip_prefix(object).unwrap_or(entry.path()));
                let to = self.object_parts(&output.digest, inner);
                let bytes = entry.metadata().at_path("read", entry.path())?.len();
                files.push(ObjectFile { to, bytes, from: entry.into_path() });
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::pushed_stage::{pack, pushed, record_of};
    use super::*;

    #[test]
    fn what_is_missing_there_is_sent_and_what_is_broken_is_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), None).unwrap();
        let there = folder.path().join("there");
        let remote = Remote::target(there.to_str().unwrap()).unwrap();
        let record = record_of(&store, "abc");
        let push = |again: bool| remote.push(&store, &record, again).unwrap();
        let sent = push(false);
        assert_eq!((sent.records, sent.objects), (1, 2));
        assert_eq!(push(false), Transferred::default());
        let place = |name: &str| {
            let hex = record.outputs[name].digest.hex();
            there.join("objects").join(&hex[..2]).join(&hex)
        };
        // A folder with a missing and an additional file.
        fs::remove_file(place("folder").join("one")).unwrap();
        fs::write(place("folder").join("two"), "2").unwrap();
        let sent = push(false);
        assert_eq!((sent.records, sent.objects), (0, 1));
        assert!(place("folder").join("one").exists() && !place("folder").join("two").exists());
        // The size is right, but the content is not.
        fs::write(place("frames"), "abd").unwrap();
        assert_eq!(push(false).objects, 0);
        assert_eq!(push(true).objects, 2);
        assert_eq!(fs::read_to_string(place("frames")).unwrap(), "abc");
        let elsewhere = Store::open(&folder.path().join("elsewhere"), None).unwrap();
        assert_eq!(remote.pull(&elsewhere, &pack(), &record.key).unwrap().objects, 2);
        assert!(elsewhere.record(&pack(), &record.key).unwrap().is_some());
    }

    #[test]
    fn another_record_of_the_same_key_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), None).unwrap();
        let remote = Remote::target(folder.path().join("there").to_str().unwrap()).unwrap();
        let first = record_of(&store, "abc");
        remote.push(&store, &first, false).unwrap();
        let remade = Record { outputs: record_of(&store, "abd").outputs, ..first.clone() };
        assert_eq!(
            remote.push(&store, &remade, false).unwrap(),
            Transferred { differing: 1, ..Transferred::default() }
        );
        assert_eq!(remote.push(&store, &remade, true).unwrap().records, 1);
        assert_eq!(remote.push(&store, &remade, false).unwrap(), Transferred::default());
    }

    #[test]
    fn what_lies_in_the_common_store_alone_is_sent_too() {
        let folder = tempfile::tempdir().unwrap();
        let common = folder.path().join("common");
        {
            let store = Store::open(&common, None).unwrap();
            store.write_record(&record_of(&store, "abc")).unwrap();
        }
        let store = Store::open(&folder.path().join("own"), Some(&common)).unwrap();
        let remote = Remote::target(folder.path().join("there").to_str().unwrap()).unwrap();
        let records = store.all_records().unwrap();
        assert_eq!(records.len(), 1);
        let record = records[0].record.as_ref().unwrap();
        assert_eq!(remote.push(&store, record, false).unwrap().objects, 2);
    }

    #[test]
    fn a_newer_programs_record_is_not_pushed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (remote, record, path) = pushed(folder.path());
        let store = Store::open(&folder.path().join("store"), None).unwrap();
        fs::write(&path, r#"{"format": 99}"#).unwrap();
        for again in [false, true] {
            let error = remote.push(&store, &record, again).unwrap_err().to_string();
            assert!(error.contains("made by a newer surgcam"), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"format": 99}"#);
    }
}
