//! Files that are complete or absent: they are written under another name and then renamed, and
//! removed by way of a rename.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;
use walkdir::{DirEntry, WalkDir};

use crate::error::{AtPath, Result};
use crate::regular_file;

/// Whether a file must survive a power failure, or may be lost because it can be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The file is on the disk under its name before the call returns.
    Synced,
    /// Every process finds the file complete or absent, but a power failure may lose it.
    Remade,
}

/// The result of work that took this long is synced to the disk at once. Syncing after each piece
/// of shorter work would take longer than the work itself.
pub const WORTH_SYNCING: Duration = Duration::from_secs(30);

/// The start of the names of files that are being written.
const BEING_WRITTEN: &str = ".tmp";

/// Whether a file of this name is being written, or was when its writer was killed.
pub fn is_being_written(name: &str) -> bool {
    name.starts_with(BEING_WRITTEN)
}

/// Writes a file so that a reader sees the old content or the new content, never a part.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, bytes, Durability::Synced)
}

pub fn write_with(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let file = written_aside(path, bytes, durability)?;
    file.persist(path).at_path("write", path)?;
    if durability == Durability::Synced { sync_folder(folder_of(path)) } else { Ok(()) }
}

/// Writes a file that survives a power failure, unless a file of this name exists, and tells
/// whether it was written.
pub fn write_if_absent(path: &Path, bytes: &[u8]) -> Result<bool> {
    match written_aside(path, bytes, Durability::Synced)?.persist_noclobber(path) {
        Ok(_) => sync_folder(folder_of(path)).map(|()| true),
        Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(refused) => Err(refused.error).at_path("write", path),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The content of the file, under a temporary name beside its final one.
fn written_aside(path: &Path, bytes: &[u8], durability: Durability) -> Result<NamedTempFile> {
    let folder = folder_of(path);
    let new = || {
        tempfile::Builder::new()
            .prefix(BEING_WRITTEN)
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(folder)
    };
    let mut file = match new() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder).at_path("create the folder", folder)?;
            new()
        }
        made => made,
    }
    .at_path("write into", folder)?;
    file.write_all(bytes).at_path("write", path)?;
    if durability == Durability::Synced {
        file.as_file().sync_all().at_path("write", path)?;
    }
    Ok(file)
}

pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).at_path("write", path)?;
    text.push(b'\n');
    write_atomically(path, &text)
}

/// In bytes. Larger than any JSON file of the store or of an export, and smaller than the memory of
/// a machine.
const LARGEST_JSON: u64 = 1 << 30;

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = regular_file::read(path, LARGEST_JSON)?;
    serde_json::from_slice(&text).at_path("understand", path)
}

/// Syncs a folder's entries to the disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).at_path("open", folder)?.sync_all().at_path("write", folder)
}

/// Makes a folder, if it does not exist, so that it survives a power failure.
pub fn create_synced_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).at_path("create the folder", folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Removes a file or a folder, if it exists. A process that is killed meanwhile leaves it complete
/// or absent: a folder is first moved into `aside`, on the same disk, and emptied there.
pub fn remove_whole(path: &Path, aside: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() && path.parent() == Some(aside) => {
            fs::remove_dir_all(path)
        }
        Ok(metadata) if metadata.is_dir() => {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |time| time.as_nanos());
            let moved = aside.join(format!("removed-{}-{now}", std::process::id()));
            fs::rename(path, &moved).and_then(|()| fs::remove_dir_all(&moved))
        }
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    unless_absent(removed).at_path("remove", path)
}

/// Removes a file, if it exists.
pub fn remove_if_there(path: &Path) -> Result<()> {
    unless_absent(fs::remove_file(path)).at_path("remove", path)
}

/// What does not exist counts as removed.
fn unless_absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The entries of a walk. Entries that vanish meanwhile, or a folder that does not exist, are left
/// out. A folder that cannot be read is an error: it must not look empty.
pub fn walked(walk: WalkDir) -> impl Iterator<Item = Result<DirEntry>> {
    walk.into_iter().filter_map(|entry| match entry {
        Err(error) if error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound) => {
            None
        }
        Err(error) => {
            let path = error.path().unwrap_or(Path::new("")).to_path_buf();
            Some(Err(error).at_path("list", &path))
        }
        Ok(entry) => Some(Ok(entry)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_removed_whole_and_leaves_nothing_aside() {
        let place = tempfile::tempdir().unwrap();
        let (aside, folder) = (place.path().join("tmp"), place.path().join("object"));
        fs::create_dir(&aside).unwrap();
        write_atomically(&folder.join("inner/file"), b"x").unwrap();
        remove_whole(&folder, &aside).unwrap();
        remove_whole(&folder, &aside).unwrap();
        assert!(!folder.exists());
        write_atomically(&aside.join("left-over/file"), b"x").unwrap();
        remove_whole(&aside.join("left-over"), &aside).unwrap();
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced_where_that_is_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("folder/file");
        assert!(write_if_absent(&path, b"one").unwrap());
        assert!(!write_if_absent(&path, b"two").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(place.path().join("folder")).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_entries_and_one_that_cannot_be_read_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(walked(WalkDir::new(place.path().join("absent"))).count(), 0);
        // A loop of links cannot be read, even with all access rights.
        std::os::unix::fs::symlink("loop", place.path().join("loop")).unwrap();
        assert!(walked(WalkDir::new(place.path()).follow_links(true)).any(|entry| entry.is_err()));
    }
}
