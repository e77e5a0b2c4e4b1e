//! Lists the files of another place.

use std::path::{Component, Path, PathBuf};

use futures_util::StreamExt;
use object_store::ObjectMeta;
use object_store::path::Path as RemotePath;
use walkdir::WalkDir;

use super::remote::Remote;
use surgcam_engine::error::{AtPath, Error, Result};

impl Remote {
    /// Whether there is any file below a path.
    pub(super) fn has_any(&self, prefix: &RemotePath) -> Result<bool> {
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

    /// The folder on this machine, if the place is a folder.
    fn local_folder(&self, prefix: &RemotePath) -> Option<PathBuf> {
        let inner: PathBuf =
            prefix.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_string()).collect();
        self.folder.as_ref().map(|folder| folder.join(inner))
    }

    /// The files below a path and their sizes. Links in a folder are not followed, because one
    /// could lead through the whole machine.
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

    /// An error for each thing below a path that is neither a file nor a folder. Such things are
    /// not read.
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

/// The path of a file relative to a folder. It has at least one part, and all parts are plain
/// names. Otherwise the result is `None`.
pub(super) fn path_below(folder: &RemotePath, file: &RemotePath) -> Option<PathBuf> {
    let inner: PathBuf = file.prefix_match(folder)?.map(|part| part.as_ref().to_string()).collect();
    let is_plain = inner.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && inner.file_name().is_some()).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_folder_stays_there() {
        let folder = RemotePath::from("objects/ab");
        let below = |file: &str| path_below(&folder, &RemotePath::parse(file).unwrap());
        assert_eq!(below("objects/ab/one/two"), Some(PathBuf::from("one/two")));
        assert_eq!(below("objects/ab"), None);
        assert_eq!(below("objects/abc/one"), None);
    }
}
