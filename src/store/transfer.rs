//! Records and objects to and from another place: a folder, or a bucket that speaks S3.
//!
//! The other place is laid out like a store. Objects go before the records that name them, so that whoever reads there sees
//! whole results or none. What comes from there is compared with its name before it becomes an object here.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use object_store::path::Path as RemotePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use url::Url;
use walkdir::WalkDir;

use super::digest::Digest;
use super::file::{Durability, write_with};
use super::key::StageKey;
use super::record::{Form, Output, Record};
use super::{Store, tree};
use crate::error::{AtPath, Error, Result};

/// A place that stores are pushed to and pulled from.
pub struct Remote {
    store: Box<dyn ObjectStore>,
    prefix: RemotePath,
    name: String,
    runtime: tokio::runtime::Runtime,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
    /// Records that are there already with other outputs.
    pub differing: usize,
}

/// A file of an object here, and its place there.
struct ObjectFile {
    from: PathBuf,
    to: RemotePath,
    bytes: u64,
}

/// Files above this size go in parts, which bounds memory.
const PART: usize = 8 << 20;

impl Remote {
    /// A folder, a `file://` address, or `s3://bucket/prefix` with the usual AWS_* variables.
    pub fn open(address: &str) -> Result<Self> {
        let url = match Url::parse(address) {
            Ok(url) if url.has_host() || url.scheme() == "file" => url,
            _ => folder_url(address)?,
        };
        let variables = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).map(|(name, value)| (name.to_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(&url, variables)
            .map_err(|error| Error::usage(format!("cannot use `{address}`: {error}")).hint("name a folder, or s3://bucket/prefix"))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::failure(format!("cannot start the transfer: {error}")))?;
        Ok(Remote { store, prefix, name: address.to_string(), runtime })
    }

    fn at(&self, parts: &[&str]) -> RemotePath {
        let all = self.prefix.parts().map(|part| part.as_ref().to_string()).chain(parts.iter().map(|part| part.to_string()));
        RemotePath::from_iter(all)
    }

    fn record_path(&self, kind: &str, key: &StageKey) -> RemotePath {
        self.at(&["records", kind, &format!("{}.json", key.hex())])
    }

    fn object_parts(&self, digest: &Digest, within: Option<&Path>) -> RemotePath {
        let hex = digest.hex();
        let inner: Vec<String> =
            within.into_iter().flat_map(Path::components).map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let mut parts = vec!["objects", &hex[..2], &hex];
        parts.extend(inner.iter().map(String::as_str));
        self.at(&parts)
    }

    fn failed(&self, action: &str, path: &RemotePath, error: &object_store::Error) -> Error {
        Error::failure(format!("cannot {action}: {error}"))
            .at(format!("{} ({path})", self.name))
            .hint("check the address, the AWS_* variables and the connection; what was transferred stays, the same command goes on")
    }

    /// The files of an object that are there, and their sizes.
    fn sizes(&self, output: &Output) -> Result<BTreeMap<RemotePath, u64>> {
        let place = self.object_parts(&output.digest, None);
        match output.form {
            Form::Tree => Ok(self.list(&place)?.into_iter().map(|entry| (entry.location, entry.size)).collect()),
            Form::File => match self.runtime.block_on(self.store.head(&place)) {
                Ok(entry) => Ok(BTreeMap::from([(entry.location, entry.size)])),
                Err(object_store::Error::NotFound { .. }) => Ok(BTreeMap::new()),
                Err(error) => Err(self.failed("look for", &place, &error)),
            },
        }
    }

    fn read(&self, path: &RemotePath) -> Result<Option<Vec<u8>>> {
        let read = self.runtime.block_on(async { self.store.get(path).await?.bytes().await });
        match read {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path, &error)),
        }
    }

    fn upload(&self, from: &Path, to: &RemotePath) -> Result<()> {
        let mut file = File::open(from).at_path("open", from)?;
        let mut part = vec![0; PART];
        let mut read_part = move || -> Result<Vec<u8>> {
            let mut filled = 0;
            while filled < part.len() {
                match file.read(&mut part[filled..]).at_path("read", from)? {
                    0 => break,
                    count => filled += count,
                }
            }
            Ok(part[..filled].to_vec())
        };
        let failed = |error: object_store::Error| self.failed("write", to, &error);
        self.runtime.block_on(async {
            let first = read_part()?;
            if first.len() < PART {
                return self.store.put(to, PutPayload::from(first)).await.map(|_| ()).map_err(failed);
            }
            let mut writer = WriteMultipart::new(self.store.put_multipart(to).await.map_err(failed)?);
            let mut next = first;
            while !next.is_empty() {
                writer.wait_for_capacity(2).await.map_err(failed)?;
                writer.write(&next);
                next = read_part()?;
            }
            writer.finish().await.map(|_| ()).map_err(failed)
        })
    }

    fn download(&self, from: &RemotePath, to: &Path) -> Result<()> {
        let failed = |error: object_store::Error| self.failed("read", from, &error);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).at_path("create the folder", folder)?;
        }
        let mut file = File::create(to).at_path("create", to)?;
        self.runtime.block_on(async {
            let mut chunks = self.store.get(from).await.map_err(failed)?.into_stream();
            while let Some(chunk) = chunks.next().await {
                file.write_all(&chunk.map_err(failed)?).at_path("write", to)?;
            }
            Ok(())
        })
    }

    fn list(&self, prefix: &RemotePath) -> Result<Vec<ObjectMeta>> {
        let found: Vec<_> = self.runtime.block_on(self.store.list(Some(prefix)).collect());
        found.into_iter().map(|entry| entry.map_err(|error| self.failed("list", prefix, &error))).collect()
    }

    /// Sends what of a finished stage is not there, or is there in another size; all of it where it shall be sent `again`.
    pub fn push(&self, store: &Store, record: &Record, again: bool) -> Result<Transferred> {
        let record_path = self.record_path(&record.parts.kind, &record.key);
        let mut sent = Transferred::default();
        let text = if again { None } else { self.read(&record_path)? };
        let there: Option<Record> = text.and_then(|text| serde_json::from_slice(&text).ok());
        if there.as_ref().is_some_and(|there| there.outputs != record.outputs) {
            return Ok(Transferred { differing: 1, ..sent });
        }
        for output in record.outputs.values() {
            if self.push_object(store, output, again)? {
                sent.objects += 1;
                sent.bytes += output.bytes;
            }
        }
        if there.is_none() {
            let text = serde_json::to_vec(record).map_err(|error| Error::failure(format!("cannot write the record: {error}")))?;
            let put = self.runtime.block_on(self.store.put(&record_path, PutPayload::from(text)));
            put.map_err(|error| self.failed("write", &record_path, &error))?;
            sent.records = 1;
        }
        Ok(sent)
    }

    /// Tells whether there was anything to send.
    fn push_object(&self, store: &Store, output: &Output, again: bool) -> Result<bool> {
        let there = self.sizes(output)?;
        let files = self.files(&store.object_path(&output.digest), output)?;
        let is_whole = there.len() == files.len() && files.iter().all(|file| there.get(&file.to) == Some(&file.bytes));
        if is_whole && !again {
            return Ok(false);
        }
        store.use_object(&output.digest)?;
        // A file too many makes it another tree.
        let wanted: HashSet<&RemotePath> = files.iter().map(|file| &file.to).collect();
        for path in there.keys().filter(|path| !wanted.contains(path)) {
            self.runtime.block_on(self.store.delete(path)).map_err(|error| self.failed("remove", path, &error))?;
        }
        files.iter().try_for_each(|file| self.upload(&file.from, &file.to))?;
        Ok(true)
    }

    fn files(&self, object: &Path, output: &Output) -> Result<Vec<ObjectFile>> {
        let mut files = Vec::new();
        for entry in WalkDir::new(object).sort_by_file_name() {
            let entry = entry.at_path("list", object)?;
            if entry.file_type().is_file() {
                let inner = (output.form == Form::Tree).then(|| entry.path().strip_prefix(object).unwrap_or(entry.path()));
                let to = self.object_parts(&output.digest, inner);
                let bytes = entry.metadata().at_path("read", entry.path())?.len();
                files.push(ObjectFile { to, bytes, from: entry.into_path() });
            }
        }
        Ok(files)
    }

    /// Fetches a finished stage if it is there and not here.
    pub fn pull(&self, store: &Store, kind: &str, key: &StageKey) -> Result<Transferred> {
        let mut fetched = Transferred::default();
        if store.record_head(kind, key).is_some() {
            return Ok(fetched);
        }
        let path = self.record_path(kind, key);
        let Some(text) = self.read(&path)? else { return Ok(fetched) };
        let record: Record = serde_json::from_slice(&text)
            .map_err(|error| Error::failure(format!("cannot understand the record: {error}")).at(format!("{} ({path})", self.name)))?;
        for output in record.outputs.values().filter(|output| !store.object_path(&output.digest).exists()) {
            self.pull_object(store, output)?;
            fetched.objects += 1;
            fetched.bytes += output.bytes;
        }
        store.write_record(&record)?;
        fetched.records = 1;
        Ok(fetched)
    }

    fn pull_object(&self, store: &Store, output: &Output) -> Result<()> {
        let work = tempfile::tempdir_in(store.tmp()).at_path("create a working folder", store.root())?;
        let target = work.path().join("object");
        let whole = self.object_parts(&output.digest, None);
        match output.form {
            Form::File => self.download(&whole, &target)?,
            Form::Tree => {
                fs::create_dir(&target).at_path("create", &target)?;
                for file in self.list(&whole)?.into_iter().map(|entry| entry.location) {
                    let inner: PathBuf = file.prefix_match(&whole).into_iter().flatten().map(|part| part.as_ref().to_string()).collect();
                    self.download(&file, &target.join(inner))?;
                }
            }
        }
        let (found, _, _) = tree::digest_of(&target)?;
        if found != output.digest {
            return Err(Error::failure(format!("what came is not the object {}: its digest is {found}", output.digest))
                .at(&self.name)
                .hint("the copy there is broken or incomplete; push it again from a good store: `surgcam store push --again`"));
        }
        store.take_in(&target, &output.digest)
    }

    /// Kind and key of every record there.
    pub fn records(&self) -> Result<Vec<(String, StageKey)>> {
        let files = self.list(&self.at(&["records"]))?;
        let parsed = files.iter().filter_map(|file| {
            let parts: Vec<String> = file.location.parts().map(|part| part.as_ref().to_string()).collect();
            let [.., kind, name] = parts.as_slice() else { return None };
            let digest = format!("sha256:{}", name.strip_suffix(".json")?).parse().ok()?;
            Some((kind.clone(), StageKey(digest)))
        });
        Ok(parsed.collect())
    }
}

fn folder_url(folder: &str) -> Result<Url> {
    let path = Path::new(folder);
    fs::create_dir_all(path).at_path("create the folder", path).map_err(Error::as_usage)?;
    write_probe(path)?;
    let absolute = path.canonicalize().at_path("find", path).map_err(Error::as_usage)?;
    Url::from_directory_path(&absolute).map_err(|()| Error::usage("this folder cannot be an address").at_path(&absolute))
}

/// A folder laid out like a store can be used as a common store in front of one's own, so it says what it is.
fn write_probe(folder: &Path) -> Result<()> {
    let format = folder.join("FORMAT");
    if format.exists() { Ok(()) } else { write_with(&format, super::LAYOUT.as_bytes(), Durability::Synced) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record_of;
    use super::*;

    #[test]
    fn what_is_missing_there_is_sent_and_what_is_broken_is_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), None).unwrap();
        let there = folder.path().join("there");
        let remote = Remote::open(there.to_str().unwrap()).unwrap();
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
        assert_eq!(remote.pull(&elsewhere, "pack", &record.key).unwrap().objects, 2);
        assert!(elsewhere.record("pack", &record.key).is_some());
    }

    #[test]
    fn another_record_of_the_same_key_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), None).unwrap();
        let remote = Remote::open(folder.path().join("there").to_str().unwrap()).unwrap();
        let first = record_of(&store, "abc");
        remote.push(&store, &first, false).unwrap();
        let remade = Record { outputs: record_of(&store, "abd").outputs, ..first.clone() };
        assert_eq!(remote.push(&store, &remade, false).unwrap(), Transferred { differing: 1, ..Transferred::default() });
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
        let remote = Remote::open(folder.path().join("there").to_str().unwrap()).unwrap();
        let records = store.all_records().unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(remote.push(&store, &records[0], false).unwrap().objects, 2);
    }
}
