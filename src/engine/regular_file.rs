//! Opens files that somebody else made: only regular ones, and without ever waiting.
//!
//! A pipe without a writer would block its reader for ever, and a device such as `/dev/zero` never
//! ends. A caller that reads a whole file says how large it may be.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Error, Result};

/// Opens a regular file, or what a link to one leads to, for reading. Anything else is an error at
/// once.
pub fn open(path: &Path) -> Result<File> {
    try_open(path).map_err(|error| named(error, "open", path))
}

/// Reads the whole file. A file of more than `limit` bytes is an error and is not read.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    try_read(path, limit).map_err(|error| named(error, "read", path))
}

/// Like [`open`], for callers that distinguish causes of failure. A file that is not regular gives
/// the kind `InvalidInput`.
pub fn try_open(path: &Path) -> io::Result<File> {
    opened(path).map(|(file, _)| file)
}

/// The open file and its metadata. Planning reads the length of every record, which saves a second
/// call to the system.
fn opened(path: &Path) -> io::Result<(File, Metadata)> {
    // The type is checked first, because opening some devices has effects.
    only_regular(&path.metadata()?)?;
    // With these flags, opening a pipe does not wait for its writer, and a terminal does not become
    // this process's controlling terminal.
    let file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    // The file may have been replaced meanwhile.
    let metadata = file.metadata()?;
    only_regular(&metadata)?;
    Ok((file, metadata))
}

/// Like [`read`], for callers that distinguish causes of failure. A file that is too large gives
/// the kind `FileTooLarge`.
pub fn try_read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        io::Error::new(
            ErrorKind::FileTooLarge,
            format!("is larger than {limit} bytes, more than such a file may have"),
        )
    };
    let (file, metadata) = opened(path)?;
    let length = metadata.len();
    if length > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    // The file may grow while it is read.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

fn only_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "is not a regular file"))
    }
}

/// Errors of this module are whole sentences about the file. Errors of the system need the action
/// that failed.
fn named(error: io::Error, action: &str, path: &Path) -> Error {
    match error.kind() {
        ErrorKind::InvalidInput if error.get_ref().is_some() => Error::failure(error)
            .at_path(path)
            .hint("a file is expected here, not a folder, a pipe or a device"),
        ErrorKind::FileTooLarge if error.get_ref().is_some() => Error::failure(error).at_path(path),
        _ => Error::failure(format!("cannot {action}: {error}")).at_path(path),
    }
}

/// Reads the whole file as text. An error names the line that is not UTF-8.
pub fn read_to_string(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Error::failure("this line is not valid UTF-8")
            .at(format!("{}:{line}", path.display()))
            .hint("save the file with the encoding UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_none_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = UnixListener::bind(&socket).unwrap();
        for path in [pipe.as_path(), socket.as_path(), folder.path(), Path::new("/dev/zero")] {
            let error = open(path).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{}: is not a regular file", path.display())),
                "{error}"
            );
            assert_eq!(try_open(path).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert!(
            open(&folder.path().join("absent")).unwrap_err().to_string().contains("cannot open")
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        File::create(&path).unwrap().set_len(1 << 32).unwrap();
        assert!(
            read(&path, 1 << 20).unwrap_err().to_string().contains("is larger than 1048576 bytes")
        );
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        assert_eq!(try_read(&path, 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn text_that_is_not_utf_8_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, b"one\ntwo\n\xFFthree\n").unwrap();
        let error = read_to_string(&path, 100).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}:3: this line is not valid UTF-8", path.display())),
            "{error}"
        );
        std::fs::write(&path, "é\n").unwrap();
        assert_eq!(read_to_string(&path, 100).unwrap(), "é\n");
    }
}
