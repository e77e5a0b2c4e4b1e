//! Another place that is laid out like a store: a folder, or a bucket that speaks S3. Its files, by
//! their names there.
//!
//! Whoever can write to such a place is not trusted: what is read has a limit to its length, and
//! names become paths here only as plain parts below a folder that the reader chose. A place that
//! is pulled from is never written to.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use futures_util::StreamExt;
use object_store::path::Path as RemotePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use url::Url;
use walkdir::WalkDir;

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::store::{FORMAT_FILE, LAYOUT, LONGEST_FORMAT, check_layout};

/// A place that stores are pushed to or pulled from.
pub struct Remote {
    store: Box<dyn ObjectStore>,
    prefix: RemotePath,
    /// Where it is on this machine, if it is a folder.
    folder: Option<PathBuf>,
    name: String,
    runtime: tokio::runtime::Runtime,
}

/// Why something was not fetched.
#[derive(Debug)]
pub enum NotFetched {
    /// What is there is not what it should be; other things there may be good.
    Refused(Error),
    /// The place cannot be read, or the store here cannot be written.
    Failed(Error),
}

impl From<Error> for NotFetched {
    fn from(error: Error) -> Self {
        NotFetched::Failed(error)
    }
}

impl From<NotFetched> for Error {
    fn from(not_fetched: NotFetched) -> Self {
        match not_fetched {
            NotFetched::Refused(error) | NotFetched::Failed(error) => error,
        }
    }
}

pub type Fetched<T> = std::result::Result<T, NotFetched>;

/// Files above this size go in parts, which bounds memory.
const PART: usize = 8 << 20;

enum Address {
    Folder(PathBuf),
    Bucket(Url),
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => {
                url.to_file_path().map(Address::Folder).map_err(|()| {
                    Error::usage("this address names no folder of this machine")
                        .at(text)
                        .hint("name it as in file:///folder")
                })
            }
            Ok(url) if url.has_host() => Ok(Address::Bucket(url)),
            _ => Ok(Address::Folder(PathBuf::from(text))),
        }
    }
}

impl Remote {
    /// A place to pull from: a folder, a `file://` address, or `s3://bucket/prefix` with the usual
    /// AWS_* variables. It must have a store, or what is left of one: one that was copied without
    /// its FORMAT is known by its records.
    pub fn source(address: &str) -> Result<Self> {
        let parsed = Address::parse(address)?;
        if let Address::Folder(folder) = &parsed
            && !folder.is_dir()
        {
            return Err(no_store(address));
        }
        let remote = Self::connect(address, parsed)?;
        match remote.layout()? {
            Some(text) => check_layout(&text)
                .map_err(|error| error.at(address).hint("pull with the program that made it"))?,
            None if remote.has_any(&remote.at(&["records"]))? => {}
            None => return Err(no_store(address)),
        }
        Ok(remote)
    }

    /// A place to push to. A folder is made if it is not there. It says what it is, so that it can
    /// be pulled from, or be used as a common store in front of one's own.
    pub fn target(address: &str) -> Result<Self> {
        let parsed = Address::parse(address)?;
        if let Address::Folder(folder) = &parsed {
            fs::create_dir_all(folder)
                .at_path("create the folder", folder)
                .map_err(Error::as_usage)?;
        }
        let remote = Self::connect(address, parsed)?;
        match remote.layout()? {
            Some(text) => check_layout(&text)
                .map_err(|error| error.at(address).hint("push to another place"))?,
            None => remote.put(&remote.at(&[FORMAT_FILE]), LAYOUT.into())?,
        }
        Ok(remote)
    }

    fn connect(name: &str, address: Address) -> Result<Self> {
        if matches!(address, Address::Bucket(_)) && !cfg!(feature = "s3") {
            return Err(Error::usage("this surgcam was built without S3")
                .at(name)
                .hint("build it with `cargo build -p surgcam --features s3`, or name a folder"));
        }
        let (url, folder) = match address {
            Address::Bucket(url) => (url, None),
            Address::Folder(folder) => {
                let absolute =
                    folder.canonicalize().at_path("find", &folder).map_err(Error::as_usage)?;
                let url = Url::from_directory_path(&absolute);
                (
                    url.map_err(|()| {
                        Error::usage("this folder cannot be an address").at_path(&absolute)
                    })?,
                    Some(absolute),
                )
            }
        };
        // Those that are no text are none of AWS's.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let variables = variables
            .filter(|(name, _)| name.starts_with("AWS_"))
            .map(|(name, value)| (name.to_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(&url, variables).map_err(|error| {
            Error::usage(format!("cannot use `{name}`: {error}"))
                .hint("name a folder, or s3://bucket/prefix")
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::failure(format!("cannot start the transfer: {error}")))?;
        Ok(Remote { store, prefix, folder, name: name.to_string(), runtime })
    }

    /// The text of its file FORMAT.
    fn layout(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.read(&self.at(&[FORMAT_FILE]), LONGEST_FORMAT)?)
    }

    pub(super) fn at(&self, parts: &[&str]) -> RemotePath {
        parts.iter().fold(self.prefix.clone(), |path, part| path.join(*part))
    }

    /// The file, for a person.
    pub(super) fn place(&self, path: &RemotePath) -> String {
        format!("{} ({path})", self.name)
    }

    fn failed(&self, action: &str, path: &RemotePath, error: &object_store::Error) -> Error {
        Error::failure(format!("cannot {action}: {error}"))
            .at(self.place(path))
            .hint("check the address, the AWS_* variables and the connection; what was transferred stays, the same command goes on")
    }

    /// The size of a file, if it is there.
    pub(super) fn size(&self, path: &RemotePath) -> Result<Option<u64>> {
        match self.runtime.block_on(self.store.head(path)) {
            Ok(entry) => Ok(Some(entry.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look for", path, &error)),
        }
    }

    /// Gives a file to `take` piece by piece, at most so many bytes, and tells their number; `None`
    /// if there is no file.
    fn fetch(
        &self,
        path: &RemotePath,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Fetched<Option<u64>> {
        if self.is_no_file(path) {
            return Ok(None);
        }
        let failed =
            |error: object_store::Error| NotFetched::Failed(self.failed("read", path, &error));
        self.runtime.block_on(async {
            let mut pieces = match self.store.get(path).await {
                Ok(found) => found.into_stream(),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
            let mut bytes = 0;
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(failed)?;
                bytes += piece.len() as u64;
                if bytes > limit {
                    let error = Error::failure(format!(
                        "this file is longer than the {limit} bytes that it may have"
                    ));
                    return Err(NotFetched::Refused(error.at(self.place(path))));
                }
                take(&piece)?;
            }
            Ok(Some(bytes))
        })
    }

    /// Whether a pipe or a device lies there, which could keep its reader for ever, or a link,
    /// which could lead out of the store.
    fn is_no_file(&self, path: &RemotePath) -> bool {
        let inner = path_below(&self.prefix, path);
        let local = self.folder.as_ref().zip(inner).map(|(folder, inner)| folder.join(inner));
        local
            .and_then(|path| path.symlink_metadata().ok())
            .is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir())
    }

    /// A file of at most so many bytes; `None` if there is none.
    pub(super) fn read(&self, path: &RemotePath, limit: u64) -> Fetched<Option<Vec<u8>>> {
        let mut text = Vec::new();
        let found = self.fetch(path, limit, |piece| {
            text.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(found.map(|_| text))
    }

    /// Writes a file of at most so many bytes to a path here, making the folder that it lies in;
    /// their number.
    pub(super) fn download(&self, from: &RemotePath, to: &Path, limit: u64) -> Fetched<u64> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).at_path("create the folder", folder)?;
        }
        let mut file = File::create(to).at_path("create", to)?;
        let bytes = self.fetch(from, limit, |piece| file.write_all(piece).at_path("write", to))?;
        bytes.ok_or_else(|| {
            NotFetched::Refused(
                Error::failure("a record names this file, but it is not there")
                    .at(self.place(from)),
            )
        })
    }

    pub(super) fn put(&self, path: &RemotePath, bytes: Vec<u8>) -> Result<()> {
        let put = self.runtime.block_on(self.store.put(path, PutPayload::from(bytes)));
        put.map(|_| ()).map_err(|error| self.failed("write", path, &error))
    }

    pub(super) fn delete(&self, path: &RemotePath) -> Result<()> {
        self.runtime
            .block_on(self.store.delete(path))
            .map_err(|error| self.failed("remove", path, &error))
    }

    pub(super) fn upload(&self, from: &Path, to: &RemotePath) -> Result<()> {
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
                return self
                    .store
                    .put(to, PutPayload::from(first))
                    .await
                    .map(|_| ())
                    .map_err(failed);
            }
            let mut writer =
                WriteMultipart::new(self.store.put_multipart(to).await.map_err(failed)?);
            let mut next = first;
            while !next.is_empty() {
                writer.wait_for_capacity(2).await.map_err(failed)?;
                writer.write(&next);
                next = read_part()?;
            }
            writer.finish().await.map(|_| ()).map_err(failed)
        })
    }

    fn has_any(&self, prefix: &RemotePath) -> Result<bool> {
        if let Some(folder) = self.local_folder(prefix) {
            return Ok(WalkDir::new(folder)
                .into_iter()
                .flatten()
                .any(|entry| entry.file_type().is_file()));
        }
        let mut files = self.store.list(Some(prefix));
        let first = self.runtime.block_on(files.next());
        first
            .transpose()
            .map(|first| first.is_some())
            .map_err(|error| self.failed("list", prefix, &error))
    }

    /// The folder on this machine, if the place is one.
    fn local_folder(&self, prefix: &RemotePath) -> Option<PathBuf> {
        let inner: PathBuf =
            prefix.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_string()).collect();
        self.folder.as_ref().map(|folder| folder.join(inner))
    }

    /// The files below a place and their sizes. In a folder no link is followed: one could lead
    /// through the whole machine.
    pub(super) fn list(&self, prefix: &RemotePath) -> Result<Vec<(RemotePath, u64)>> {
        if let Some(folder) = self.local_folder(prefix) {
            return self.list_folder(prefix, &folder);
        }
        let found: Vec<_> = self.runtime.block_on(self.store.list(Some(prefix)).collect());
        let entry = |entry: object_store::Result<ObjectMeta>| {
            entry.map(|entry| (entry.location, entry.size))
        };
        found
            .into_iter()
            .map(|found| entry(found).map_err(|error| self.failed("list", prefix, &error)))
            .collect()
    }

    /// What lies below a place in a folder and is neither a file nor a folder. It is not read; an
    /// error names each.
    pub(super) fn not_files(&self, prefix: &RemotePath) -> Vec<Error> {
        let entries = self
            .local_folder(prefix)
            .into_iter()
            .flat_map(|folder| WalkDir::new(folder).sort_by_file_name())
            .flatten();
        let strange =
            entries.filter(|entry| !entry.file_type().is_file() && !entry.file_type().is_dir());
        strange
            .map(|entry| {
                Error::failure("it is not a regular file, and is not read").at_path(entry.path())
            })
            .collect()
    }

    fn list_folder(&self, prefix: &RemotePath, folder: &Path) -> Result<Vec<(RemotePath, u64)>> {
        let mut files = Vec::new();
        if !folder.exists() {
            return Ok(files);
        }
        for entry in WalkDir::new(folder).sort_by_file_name() {
            let entry = entry.at_path("list", folder)?;
            let inner = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            if entry.file_type().is_file()
                && let Some(inner) = inner.to_str()
            {
                let location = Path::new(inner)
                    .iter()
                    .filter_map(|part| part.to_str())
                    .fold(prefix.clone(), |path, part| path.join(part));
                files.push((location, entry.metadata().at_path("read", entry.path())?.len()));
            }
        }
        Ok(files)
    }
}

fn no_store(address: &str) -> Error {
    Error::usage("there is no store here")
        .at(address)
        .hint("check the address; `surgcam store push ADDRESS` makes a store there")
}

/// The path of a file below a folder: plain parts, at least one.
pub(super) fn path_below(folder: &RemotePath, file: &RemotePath) -> Option<PathBuf> {
    let inner: PathBuf = file.prefix_match(folder)?.map(|part| part.as_ref().to_string()).collect();
    let is_plain = inner.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && inner.file_name().is_some()).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_no_store_is_not_pulled_from_and_stays_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let problem =
            |folder: &Path| Remote::source(folder.to_str().unwrap()).err().unwrap().to_string();
        let absent = place.path().join("typo/there");
        assert!(problem(&absent).contains("there is no store here"));
        assert!(!absent.exists() && !place.path().join("typo").exists());
        fs::write(place.path().join("notes"), "").unwrap();
        assert!(problem(place.path()).contains("there is no store here"));
        fs::write(place.path().join(FORMAT_FILE), "surgcam-store 99").unwrap();
        assert!(problem(place.path()).contains("made by a newer surgcam"));
        assert!(Remote::target(place.path().to_str().unwrap()).is_err(), "nothing is pushed there");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_store_without_its_format_file_is_known_by_its_records() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("records/pack")).unwrap();
        fs::write(place.path().join("records/pack/one.json"), "{}").unwrap();
        assert!(Remote::source(place.path().to_str().unwrap()).is_ok());
        assert!(!place.path().join(FORMAT_FILE).exists());
    }

    #[test]
    fn a_folder_whose_name_needs_escapes_is_one_place() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a [b] 100%");
        let remote = Remote::target(folder.to_str().unwrap()).unwrap();
        remote.put(&remote.at(&["records", "x"]), b"y".to_vec()).unwrap();
        assert_eq!(fs::read_to_string(folder.join("records/x")).unwrap(), "y");
        assert_eq!(remote.list(&remote.at(&["records"])).unwrap().len(), 1);
        assert_eq!(remote.read(&remote.at(&["records", "x"]), 1).unwrap().unwrap(), b"y");
        assert!(
            matches!(remote.read(&remote.at(&["records", "x"]), 0), Err(NotFetched::Refused(_))),
            "longer than it may be"
        );
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_below_a_folder_stays_there() {
        let folder = RemotePath::from("objects/ab");
        let below = |file: &str| path_below(&folder, &RemotePath::parse(file).unwrap());
        assert_eq!(below("objects/ab/one/two"), Some(PathBuf::from("one/two")));
        assert_eq!(below("objects/ab"), None);
        assert_eq!(below("objects/abc/one"), None);
    }
}
