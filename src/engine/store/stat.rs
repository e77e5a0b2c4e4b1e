//! Digests of the user's data files. Each file is hashed once, and its digest is remembered by
//! size, modification time and inode.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::{Store, read_json, write_json};
use crate::error::{AtPath, Result};

const FORMAT: u32 = 1;
/// A file younger than this may change again within the resolution of the clock, so its digest is
/// not remembered.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    bytes: u64,
    modified_ns: i128,
    inode: u64,
    digest: Digest,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct StatFile {
    format: u32,
    /// Not sorted, because comparing paths part by part would take longer than asking for the
    /// files' times.
    files: HashMap<PathBuf, Remembered>,
}

fn same_file(remembered: &Remembered, metadata: &Metadata) -> bool {
    remembered.bytes == metadata.len()
        && remembered.modified_ns == modified_ns(metadata)
        && remembered.inode == metadata.ino()
}

fn modified_ns(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

/// Digests of many files below one folder, in the order given. New files are hashed on all cores.
pub fn digests(store: &Store, folder: &Path, relative: &[PathBuf]) -> Result<Vec<Digest>> {
    let canonical = folder.canonicalize().at_path("find", folder)?;
    let name = Digest::of_bytes(canonical.to_string_lossy().as_bytes()).short();
    let cache_path = store.root().join("stat").join(format!("{name}.json"));
    let mut known: StatFile = read_json(&cache_path)
        .ok()
        .filter(|file: &StatFile| file.format == FORMAT)
        .unwrap_or_default();
    let now = SystemTime::now();
    let found: Vec<(Digest, Option<Remembered>)> = relative
        .par_iter()
        .map(|relative| {
            let path = folder.join(relative);
            let metadata = path.metadata().at_path("read", &path)?;
            if let Some(remembered) = known.files.get(relative)
                && same_file(remembered, &metadata)
            {
                return Ok((remembered.digest, None));
            }
            let digest = Digest::of_file(&path)?;
            let age = metadata.modified().ok().and_then(|time| now.duration_since(time).ok());
            let remembered = age.is_some_and(|age| age > SETTLED_AFTER).then(|| Remembered {
                bytes: metadata.len(),
                modified_ns: modified_ns(&metadata),
                inode: metadata.ino(),
                digest,
            });
            Ok((digest, remembered))
        })
        .collect::<Result<_>>()?;
    let mut changed = false;
    for (relative, (_, remembered)) in relative.iter().zip(&found) {
        if let Some(remembered) = remembered {
            known.files.insert(relative.clone(), remembered.clone());
            changed = true;
        }
    }
    if changed {
        known.format = FORMAT;
        write_json(&cache_path, &known)?;
    }
    Ok(found.into_iter().map(|(digest, _)| digest).collect())
}

/// The digest of a single data file.
pub fn digest(store: &Store, path: &Path) -> Result<Digest> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = PathBuf::from(path.file_name().unwrap_or_default());
    Ok(digests(store, folder, &[name])?[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_changed_file_is_hashed_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), None).unwrap();
        let path = folder.path().join("picture");
        fs::write(&path, "one").unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(digest(&store, &path).unwrap(), Digest::of_bytes(b"one"));
        assert_eq!(digest(&store, &path).unwrap(), Digest::of_bytes(b"one"));
        fs::write(&path, "two").unwrap();
        assert_eq!(digest(&store, &path).unwrap(), Digest::of_bytes(b"two"));
    }
}
