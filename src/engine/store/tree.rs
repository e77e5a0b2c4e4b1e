//! Digests of objects: for a file, of its bytes; for a folder, of the sorted list of its files.

use std::fs::{File, Metadata, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::digest::Digest;
use super::file::sync_folder;
use super::record::Form;
use crate::error::{AtPath, Error, Result};
use crate::regular_file;

/// Digest, size in bytes and form of a file or folder.
pub fn digest_of(path: &Path) -> Result<(Digest, u64, Form)> {
    let metadata = path.metadata().at_path("read", path)?;
    if metadata.is_dir() {
        let (digest, bytes) = tree_digest(path)?;
        Ok((digest, bytes, Form::Tree))
    } else {
        Ok((file_digest(path)?, metadata.len(), Form::File))
    }
}

/// The first line of the list that a folder's digest is computed from.
const LISTING: &[u8] = b"tree 1\n";

/// The digest of an object that is a file. A file that looks like the list of a folder gets a
/// different digest, because otherwise it could replace that folder.
pub(super) fn digest_of_bytes(bytes: &[u8]) -> Digest {
    if bytes.starts_with(LISTING) {
        apart_from_folders(Digest::of_bytes(bytes))
    } else {
        Digest::of_bytes(bytes)
    }
}

fn file_digest(path: &Path) -> Result<Digest> {
    let mut start = Vec::new();
    regular_file::open(path)?
        .take(LISTING.len() as u64)
        .read_to_end(&mut start)
        .at_path("read", path)?;
    let digest = Digest::of_file(path)?;
    Ok(if start == LISTING { apart_from_folders(digest) } else { digest })
}

fn apart_from_folders(digest: Digest) -> Digest {
    Digest::of_bytes(format!("file 1\n{digest}").as_bytes())
}

/// The digest of a folder: that of the sorted list of its files' paths, digests and sizes. Files
/// are hashed on all cores.
fn tree_digest(folder: &Path) -> Result<(Digest, u64)> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.at_path("list", folder)?;
        if entry.file_type().is_file() {
            files.push((entry.metadata().at_path("read", entry.path())?.len(), entry.into_path()));
        } else if entry.depth() > 0 && !entry.file_type().is_dir() {
            // The digest would not cover it.
            return Err(Error::failure("a link or a device cannot be a part of an object")
                .at_path(entry.path())
                .hint(
                    "`surgcam store verify` moves such an object of your own store to quarantine/",
                ));
        }
    }
    let digests: Vec<Digest> = match files.as_slice() {
        [(_, only)] => vec![Digest::of_file(only)?],
        files => files.par_iter().map(|(_, path)| Digest::of_file(path)).collect::<Result<_>>()?,
    };
    let mut listing = String::from("tree 1\n");
    for ((bytes, path), digest) in files.iter().zip(digests) {
        let relative = path
            .strip_prefix(folder)
            .unwrap_or(path)
            .to_str()
            .filter(|relative| !relative.contains('\n'));
        // Such names could make the lists of two folders equal.
        let relative = relative.ok_or_else(|| {
            Error::failure("an object cannot contain a file of this name").at_path(path)
        })?;
        listing.push_str(&format!("{digest} {bytes} {relative}\n"));
    }
    Ok((Digest::of_bytes(listing.as_bytes()), files.iter().map(|(bytes, _)| bytes).sum()))
}

/// The size of a file, or of all files in a folder, without reading them.
pub(super) fn size_of(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in WalkDir::new(path) {
        let metadata = entry.and_then(|entry| entry.metadata()).at_path("list", path)?;
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    Ok(bytes)
}

/// The modification time of every stored file. Writing to a file changes it.
fn untouched_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1)
}

pub(super) fn is_untouched(metadata: &Metadata) -> bool {
    metadata.modified().is_ok_and(|time| time == untouched_time())
}

pub(super) fn mark_untouched(path: &Path) -> std::io::Result<()> {
    File::open(path)?.set_modified(untouched_time())
}

/// Makes an object's files read-only and syncs them and their names to the disk. Users who may read
/// `store`, the folder of the store, may read the files, whatever rights they had before.
pub(super) fn settle(path: &Path, store: &Path) -> Result<()> {
    let readable = store.metadata().at_path("read", store)?.permissions().mode() & 0o444;
    for entry in WalkDir::new(path).contents_first(true) {
        let entry = entry.at_path("list", path)?;
        if entry.file_type().is_dir() {
            sync_folder(entry.path())?;
        } else if entry.file_type().is_file() {
            let file = regular_file::open(entry.path())?;
            file.set_modified(untouched_time()).at_path("mark", entry.path())?;
            file.set_permissions(Permissions::from_mode(readable | 0o400))
                .at_path("protect", entry.path())?;
            file.sync_all().at_path("write", entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_lists_a_folder_is_not_taken_for_it() {
        let place = tempfile::tempdir().unwrap();
        let (folder, listing) = (place.path().join("tree"), place.path().join("file"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("one"), "1").unwrap();
        let text = format!("tree 1\n{} 1 one\n", Digest::of_bytes(b"1"));
        fs::write(&listing, &text).unwrap();
        let of_folder = digest_of(&folder).unwrap().0;
        assert_eq!(
            of_folder,
            Digest::of_bytes(text.as_bytes()),
            "the attack would work on plain digests"
        );
        assert_ne!(of_folder, digest_of(&listing).unwrap().0);
        assert_eq!(digest_of(&listing).unwrap().0, digest_of_bytes(text.as_bytes()));
    }

    #[test]
    fn stored_files_are_read_by_whoever_reads_the_store() {
        let place = tempfile::tempdir().unwrap();
        let (store, object) = (place.path().join("store"), place.path().join("object"));
        fs::create_dir(&store).unwrap();
        for (folder, file) in [(0o755, 0o444), (0o750, 0o440), (0o700, 0o400)] {
            fs::set_permissions(&store, Permissions::from_mode(folder)).unwrap();
            fs::write(&object, "").unwrap();
            fs::set_permissions(&object, Permissions::from_mode(0o600)).unwrap();
            settle(&object, &store).unwrap();
            assert_eq!(object.metadata().unwrap().permissions().mode() & 0o777, file);
            fs::remove_file(&object).unwrap();
        }
    }

    #[test]
    fn a_folder_with_what_its_digest_cannot_tell_is_no_tree() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("tree");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("one"), "1").unwrap();
        let (digest, bytes, form) = digest_of(&folder).unwrap();
        assert_eq!((bytes, form, size_of(&folder).unwrap()), (1, Form::Tree, 1));
        std::os::unix::fs::symlink("/etc/passwd", folder.join("two")).unwrap();
        assert!(
            digest_of(&folder).unwrap_err().to_string().contains("cannot be a part of an object")
        );
        fs::remove_file(folder.join("two")).unwrap();
        assert_eq!(digest_of(&folder).unwrap().0, digest);
        fs::write(folder.join("two\nlines"), "").unwrap();
        assert!(
            digest_of(&folder)
                .unwrap_err()
                .to_string()
                .contains("cannot contain a file of this name")
        );
    }
}
