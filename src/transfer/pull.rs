//! Pulls finished stages from another place.
//!
//! What comes from there is compared with its name before it becomes an object or a record here,
//! because whoever can write to the place is not trusted.

use std::fs;
use std::path::Path;

use object_store::path::Path as RemotePath;

use super::files::{Fetched, NotFetched};
use super::listing::path_below;
use super::remote::Remote;
use super::transferred::Transferred;
use surgcam_engine::error::{AtPath, Error};
use surgcam_engine::store::format::understand;
use surgcam_engine::store::key::StageKey;
use surgcam_engine::store::name::PlainName;
use surgcam_engine::store::record::{Form, Output, Record};
use surgcam_engine::store::{LONGEST_RECORD, Store, tree};

impl Remote {
    /// Fetches a finished stage if it is there and not here. A record in this store is kept, even
    /// if its objects are lost. If the record there names the same objects, they are fetched.
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

    /// The record of a stage there. Its key is the one that was asked for, and matches its parts.
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
            return Err(NotFetched::Refused(error.at(self.place(&whole)).hint(
                "the copy there is broken or incomplete; push it again from a good store: \
                 `surgcam store push --again`",
            )));
        }
        Ok(store.take_in(&target, &output.digest)?)
    }

    /// Fetches the files of a folder, at most `bytes` bytes in all.
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
}

#[cfg(test)]
mod tests {
    use surgcam_engine::store::digest::Digest;

    use super::super::pushed_stage::{pack, pushed};
    use super::*;

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
}
