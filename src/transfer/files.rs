//! Single files of another place: reading them within a limit, writing and removing them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use futures_util::StreamExt;
use object_store::path::Path as RemotePath;
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};

use super::listing::path_below;
use super::remote::Remote;
use surgcam_engine::error::{AtPath, Error, Result};

/// The reason why something was not fetched.
#[derive(Debug)]
pub enum NotFetched {
    /// The file or record there is not what it should be. Others there may be good.
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

/// Files above this size are sent in parts, which limits the memory that is needed.
const PART: usize = 8 << 20;

impl Remote {
    /// The size of a file, if it is there.
    pub(super) fn size(&self, path: &RemotePath) -> Result<Option<u64>> {
        match self.runtime.block_on(self.store.head(path)) {
            Ok(entry) => Ok(Some(entry.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look for", path, &error)),
        }
    }

    /// Passes a file of at most `limit` bytes to `take` piece by piece. Returns the number of
    /// bytes, or `None` if there is no file.
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

    /// Whether this is a pipe or a device, which could block its reader forever, or a link, which
    /// could lead out of the store.
    fn is_no_file(&self, path: &RemotePath) -> bool {
        let inner = path_below(&self.prefix, path);
        let local = self.folder.as_ref().zip(inner).map(|(folder, inner)| folder.join(inner));
        local
            .and_then(|path| path.symlink_metadata().ok())
            .is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir())
    }

    /// Reads a file of at most `limit` bytes. Returns `None` if there is no file.
    pub(super) fn read(&self, path: &RemotePath, limit: u64) -> Fetched<Option<Vec<u8>>> {
        let mut text = Vec::new();
        let found = self.fetch(path, limit, |piece| {
            text.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(found.map(|_| text))
    }

    /// Downloads a file of at most `limit` bytes to a path on this machine and creates its folder.
    /// Returns the number of bytes.
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
