//! Finished stages to and from another place.
//!
//! Objects go before the records that name them, so that whoever reads there sees whole results or
//! none. What comes from there is compared with its name before it becomes an object or a record
//! here: nobody vouches for the place.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use object_store::path::Path as RemotePath;
use walkdir::WalkDir;

use super::remote::{Fetched, NotFetched, Remote, path_below};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::format::{Misread, understand};
use surgcam_engine::store::key::StageKey;
use surgcam_engine::store::name::PlainName;
use surgcam_engine::store::record::{Form, Output, Record};
use surgcam_engine::store::{LONGEST_RECORD, Store, tree};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
    /// Records whose stage was there already, on the other side, with other outputs.
    pub differing: usize,
}

/// A file of an object here, and its place there.
struct ObjectFile {
    from: PathBuf,
    to: RemotePath,
    bytes: u64,
}

impl Remote {
    fn record_path(&self, kind: &PlainName, key: &StageKey) -> RemotePath {
        self.at(&["records", kind.as_str(), &format!("{}.json", key.hex())])
    }

    fn object_parts(&self, digest: &Digest, within: Option<&Path>) -> RemotePath {
        let hex = digest.hex();
        let inner: Vec<String> = within
            .into_iter()
            .flat_map(Path::components)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let mut parts = vec!["objects", &hex[..2], &hex];
        parts.extend(inner.iter().map(String::as_str));
        self.at(&parts)
    }

    /// The files of an object that are there, and their sizes.
    fn sizes(&self, output: &Output) -> Result<BTreeMap<RemotePath, u64>> {
        let place = self.object_parts(&output.digest, None);
        match output.form {
            Form::Tree => Ok(self.list(&place)?.into_iter().collect()),
            Form::File => Ok(self.size(&place)?.map(|size| (place, size)).into_iter().collect()),
        }
    }

    /// Sends what of a finished stage is not there, or is there in another size; all of it where it
    /// shall be sent `again`.
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

    /// The record that a push would replace. What cannot be understood is none; a newer program's
    /// is not replaced.
    fn record_there(&self, record: &Record) -> Result<Option<Record>> {
        let path = self.record_path(&record.parts.kind, &record.key);
        let Some(text) = self.read(&path, LONGEST_RECORD)? else { return Ok(None) };
        match understand::<Record>(&text) {
            Ok(there) => Ok((there.key == record.key).then_some(there)),
            Err(newer @ Misread::Newer(_)) => Err(newer.into_error::<Record>(self.place(&path))),
            Err(Misread::Broken(_)) => Ok(None),
        }
    }

    /// Tells whether there was anything to send.
    fn push_object(&self, store: &Store, output: &Output, again: bool) -> Result<bool> {
        let there = self.sizes(output)?;
        let files = self.files(&store.object_path(&output.digest), output)?;
        let is_whole = there.len() == files.len()
            && files.iter().all(|file| there.get(&file.to) == Some(&file.bytes));
        if is_whole && !again {
            return Ok(false);
        }
        store.use_object(&output.digest)?;
        // A file too many makes it another tree.
        let wanted: HashSet<&RemotePath> = files.iter().map(|file| &file.to).collect();
        for path in there.keys().filter(|path| !wanted.contains(path)) {
            self.delete(path)?;
        }
        files.iter().try_for_each(|file| self.upload(&file.from, &file.to))?;
        Ok(true)
    }

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

    /// Fetches a finished stage if it is there and not here. A record of one's own stays, even if
    /// its objects are lost: those are fetched, if the record there names the same ones.
    pub fn pull(&self, store: &Store, kind: &PlainName, key: &StageKey) -> Fetched<Transferred> {
        let mut fetched = Transferred::default();
        if store.record_head(kind, key).map_err(NotFetched::Refused)?.is_some() {
            return Ok(fetched);
        }
        let Some(record) = self.record(kind, key)? else { return Ok(fetched) };
        let own = store.own_record(kind, key).map_err(NotFetched::Refused)?;
        if own.as_ref().is_some_and(|own| own.outputs != record.outputs) {
            return Ok(Transferred { differing: 1, ..fetched });
        }
        for output in record.outputs.values() {
            if !store.object_path(&output.digest).exists() {
                self.pull_object(store, output)?;
                fetched.objects += 1;
                fetched.bytes = fetched.bytes.saturating_add(output.bytes);
            } else if !store.is_as_told(output)? {
                let error = Error::failure(format!(
                    "this record tells another size of the object {} than it has here",
                    output.digest
                ));
                return Err(NotFetched::Refused(
                    error.at(self.place(&self.record_path(kind, key))),
                ));
            }
        }
        if own.is_none() && store.add_record(&record)? {
            fetched.records = 1;
        }
        Ok(fetched)
    }

    /// The record of a stage there: its key is the one asked for, and that of its parts.
    fn record(&self, kind: &PlainName, key: &StageKey) -> Fetched<Option<Record>> {
        let path = self.record_path(kind, key);
        let Some(text) = self.read(&path, LONGEST_RECORD)? else { return Ok(None) };
        let record: Record = understand(&text).map_err(|misread| {
            NotFetched::Refused(misread.into_error::<Record>(self.place(&path)))
        })?;
        if record.key != *key || record.parts.kind != *kind {
            let error = Error::failure(format!(
                "this record is of another stage than its name says, of {} {}",
                record.parts.kind, record.key
            ));
            return Err(NotFetched::Refused(error.at(self.place(&path))));
        }
        Ok(Some(record))
    }

    fn pull_object(&self, store: &Store, output: &Output) -> Fetched<()> {
        let work =
            tempfile::tempdir_in(store.tmp()).at_path("create a working folder", store.root())?;
        let target = work.path().join("object");
        let whole = self.object_parts(&output.digest, None);
        match output.form {
            Form::File => self.download(&whole, &target, output.bytes).map(|_| ())?,
            Form::Tree => self.download_tree(&whole, &target, output.bytes)?,
        }
        let found = tree::digest_of(&target)?;
        if found != (output.digest, output.bytes, output.form) {
            let (digest, bytes, _) = found;
            let error = Error::failure(format!(
                "what came is not the object {}: its digest is {digest}, of {bytes} bytes",
                output.digest
            ));
            return Err(NotFetched::Refused(
                error
                    .at(self.place(&whole))
                    .hint("the copy there is broken or incomplete; push it again from a good store: `surgcam store push --again`"),
            ));
        }
        Ok(store.take_in(&target, &output.digest)?)
    }

    /// Fetches the files of a folder, at most so many bytes in all.
    fn download_tree(&self, folder: &RemotePath, target: &Path, bytes: u64) -> Fetched<()> {
        fs::create_dir(target).at_path("create", target)?;
        let mut left = bytes;
        for file in self.list(folder)?.into_iter().map(|(location, _)| location) {
            let inner = path_below(folder, &file).ok_or_else(|| {
                NotFetched::Refused(
                    Error::failure("this cannot be a file of an object").at(self.place(&file)),
                )
            })?;
            left -= self.download(&file, &target.join(inner), left)?;
        }
        Ok(())
    }

    /// Kind and key of every record there, by the names of their files; an error for each whose
    /// name is none of a record, and for each that is no file.
    pub fn records(&self) -> Result<Vec<Result<(PlainName, StageKey)>>> {
        let folder = self.at(&["records"]);
        let files = self.list(&folder)?.into_iter().map(|(location, _)| location);
        let named = files.filter(|file| file.extension() == Some("json"));
        let named = named
            .map(|file| kind_and_key(&folder, &file).map_err(|error| error.at(self.place(&file))));
        Ok(named.chain(self.not_files(&folder).into_iter().map(Err)).collect())
    }
}

fn kind_and_key(folder: &RemotePath, file: &RemotePath) -> Result<(PlainName, StageKey)> {
    let parts: Vec<String> = file
        .prefix_match(folder)
        .into_iter()
        .flatten()
        .map(|part| part.as_ref().to_string())
        .collect();
    let [kind, name] = parts.as_slice() else {
        return Err(Error::failure("a record lies in the folder of its kind, not here"));
    };
    let key = format!("sha256:{}", name.strip_suffix(".json").unwrap_or(name)).parse()?;
    Ok((PlainName::try_from(kind.clone())?, StageKey(key)))
}

#[cfg(test)]
mod tests {
    use surgcam_engine::store::key::KeyParts;
    use surgcam_engine::store::record::{Environment, RECORD_FORMAT};

    use super::*;

    fn pack() -> PlainName {
        PlainName::literal("pack")
    }

    /// Of a stage that wrote a file and a folder; its objects are stored, itself is not.
    fn record_of(store: &Store, content: &str) -> Record {
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
        let (started, machine) = (String::new(), Environment::default());
        Record {
            format: RECORD_FORMAT,
            key,
            name: "pack sample".into(),
            parts,
            outputs,
            started,
            seconds: 0.0,
            machine,
        }
    }

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
        // Half a tree, and a file too many.
        fs::remove_file(place("folder").join("one")).unwrap();
        fs::write(place("folder").join("two"), "2").unwrap();
        let sent = push(false);
        assert_eq!((sent.records, sent.objects), (0, 1));
        assert!(place("folder").join("one").exists() && !place("folder").join("two").exists());
        // Of the right size only.
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

    /// A place with one stage pushed to it, and the record's file there.
    fn pushed(folder: &Path) -> (Remote, Record, PathBuf) {
        let store = Store::open(&folder.join("store"), None).unwrap();
        let remote = Remote::target(folder.join("there").to_str().unwrap()).unwrap();
        let record = record_of(&store, "abc");
        remote.push(&store, &record, false).unwrap();
        let path = folder.join(format!("there/records/pack/{}.json", record.key.hex()));
        (remote, record, path)
    }

    fn refusal(pulled: Fetched<Transferred>) -> String {
        match pulled {
            Err(NotFetched::Refused(error)) => error.to_string(),
            other => panic!("it is not refused: {other:?}"),
        }
    }

    #[test]
    fn a_record_that_is_not_what_its_name_says_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (remote, record, path) = pushed(folder.path());
        let store = Store::open(&folder.path().join("elsewhere"), None).unwrap();
        let sound = fs::read_to_string(&path).unwrap();
        let other_key = StageKey(Digest::of_bytes(b"other"));
        let other_path = path.with_file_name(format!("{}.json", other_key.hex()));
        fs::write(&other_path, &sound).unwrap();
        assert!(refusal(remote.pull(&store, &pack(), &other_key)).contains("of another stage"));
        let changes = [
            (r#""version":1"#, r#""version":2"#, "that of its parts is"),
            (r#""kind":"pack""#, r#""kind":"../../PWN""#, "cannot be a name"),
            (r#""frames":"#, r#""../frames":"#, "cannot be a name"),
            (r#""format":1"#, r#""format":99"#, "made by a newer surgcam"),
            (r#""bytes":3"#, r#""bytes":2"#, "longer than the 2 bytes"),
            (r#""bytes":3"#, r#""bytes":4"#, "is not the object"),
        ];
        for (old, new, problem) in changes {
            let changed = sound.replacen(old, new, 1);
            assert_ne!(changed, sound, "{old}");
            fs::write(&path, changed).unwrap();
            let refused = refusal(remote.pull(&store, &pack(), &record.key));
            assert!(refused.contains(problem), "{new}: {refused}");
            assert!(store.records().unwrap().is_empty());
        }
        fs::write(&path, sound).unwrap();
        assert_eq!(remote.pull(&store, &pack(), &record.key).unwrap().records, 1);
    }

    #[test]
    fn ones_own_record_stays_though_its_objects_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (remote, record, path) = pushed(folder.path());
        let store = Store::open(&folder.path().join("store"), None).unwrap();
        store.write_record(&record).unwrap();
        fs::remove_file(store.object_path(&record.outputs["frames"].digest)).unwrap();
        let sound = fs::read_to_string(&path).unwrap();
        fs::write(&path, sound.replacen("pack sample", "from elsewhere", 1)).unwrap();
        let pulled = remote.pull(&store, &pack(), &record.key).unwrap();
        assert_eq!((pulled.records, pulled.objects), (0, 1), "the object is brought back");
        let own = store.record(&pack(), &record.key).unwrap().unwrap();
        assert_eq!(own.name, "pack sample");
        // With other outputs than one's own it is left where it is.
        fs::remove_file(store.object_path(&record.outputs["frames"].digest)).unwrap();
        let other = Digest::of_bytes(b"other").to_string();
        fs::write(&path, sound.replacen(&record.outputs["frames"].digest.to_string(), &other, 1))
            .unwrap();
        assert_eq!(
            remote.pull(&store, &pack(), &record.key).unwrap(),
            Transferred { differing: 1, ..Transferred::default() }
        );
        assert_eq!(
            store.own_record(&pack(), &record.key).unwrap().unwrap().outputs,
            record.outputs
        );
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
