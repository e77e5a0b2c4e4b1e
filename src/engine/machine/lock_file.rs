//! The file of the machine's lock: how it is opened and created, who may use it, and what is
//! written into it.
//!
//! It is in the folder for temporary files, where every user may create files. So symbolic links
//! are not followed, and only a plain file with a single name is used that is empty or that
//! surgcam wrote. The file is created so that every user may use it, whatever the umask of its
//! creator. Read access is enough to lock it.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::lock_holders::holders;
use super::this_process;

/// The start of everything that surgcam writes into the file.
pub(super) const MARK: &str = "surgcam: ";
/// The most bytes of the file that are read.
const LONGEST_MARK: usize = 120;
/// How often somebody may remove or replace the file just while it is opened and locked.
pub(super) const ATTEMPTS: usize = 10;

/// Opens the lock's file, and creates it where it does not exist.
pub(super) fn open(path: &Path) -> io::Result<File> {
    for _ in 0..ATTEMPTS {
        match open_existing(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match create(path) {
                // Another process has created it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => return made,
            },
            opened => return checked(opened?),
        }
    }
    Err(io::Error::other("somebody removes it again and again"))
}

/// Opens the file for reading and writing, or only for reading, which is enough to lock it. It is
/// never opened with permission to create it, because in a shared folder the system refuses that
/// for another user's file (`fs.protected_regular`).
fn open_existing(path: &Path) -> io::Result<File> {
    // Opening a pipe of that name would wait for its other end.
    let open = |write: bool| {
        File::options()
            .read(true)
            .write(write)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
    };
    let opened = match open(true) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            open(false)
        }
        opened => opened,
    };
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a symbolic link, which is not followed"),
        _ => error,
    })
}

/// Creates the file under another name and renames it, so that nobody finds it before every user
/// may use it. An existing file is never replaced.
fn create(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".surgcam-machine-").tempfile_in(folder)?;
    made.as_file().set_permissions(Permissions::from_mode(FOR_ALL))?;
    made.persist_noclobber(path).map_err(|error| error.error)
}

pub(super) const FOR_ALL: u32 = 0o666;

/// Accepts the file only if it can be surgcam's. Somebody may have linked a user's own file there,
/// so that this program writes into it or opens it to everybody.
fn checked(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    let is_ours = || read(&file).is_ok_and(|text| text.is_empty() || text.starts_with(MARK));
    if !metadata.is_file() || metadata.nlink() > 1 || !is_ours() {
        return Err(io::Error::other("it is not a lock of surgcam"));
    }
    if metadata.mode() & FOR_ALL != FOR_ALL {
        // It was made by an earlier surgcam under a strict umask. Only its owner can change its
        // rights.
        let _ = file.set_permissions(Permissions::from_mode(FOR_ALL));
    }
    Ok(file)
}

/// Whether the open file is still the one that the path names.
pub(super) fn is_named(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

pub(super) fn read(file: &File) -> io::Result<String> {
    let mut bytes = [0; LONGEST_MARK];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

pub(super) fn write(file: &File, mark: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all_at(mark.as_bytes(), 0)
}

/// Leaves a note for a stage that is measuring speed: it no longer has the machine alone.
pub(super) fn leave_word(path: &Path) {
    if let Ok(file) = open(path) {
        // Where the file may not be written, no note can be left.
        let _ = write(&file, &format!("{MARK}gone on without the lock: {}", this_process()));
    }
}

/// Who holds the lock: by the system's list, or else by the text in the file.
pub(super) fn users(file: &File) -> String {
    let users = file.metadata().map(|metadata| holders(&metadata)).unwrap_or_default();
    let written = read(file).ok().and_then(|text| text.strip_prefix(MARK).map(String::from));
    match (users.len(), written.filter(|written| written.starts_with("process "))) {
        (0, Some(written)) => written,
        (0, None) => "other stages".into(),
        (1..=3, _) => users.join(", "),
        (several, _) => format!("{} and {} more", users[..2].join(", "), several - 2),
    }
}
