//! Files that somebody names are read only where they are regular files: a FIFO would be waited for, a device may never end.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{AtPath, Error, Result};

/// Opens a regular file, or what a link to one leads to, for reading. It never waits for whatever else lies there.
pub fn open(path: &Path) -> Result<File> {
    // Asked first, for opening alone does something to some devices.
    only_regular(path, &std::fs::metadata(path).at_path("open", path)?)?;
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).at_path("open", path)?;
    // Something else may have been put there meanwhile.
    only_regular(path, &file.metadata().at_path("open", path)?)?;
    Ok(file)
}

/// The content of a regular file that has at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata().at_path("read", path)?.len();
    if length > limit {
        return Err(too_large(path, limit));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // The file may grow while it is read.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).at_path("read", path)?;
    if bytes.len() as u64 > limit { Err(too_large(path, limit)) } else { Ok(bytes) }
}

/// As [`read`], of a text in UTF-8.
pub fn read_to_string(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|_| Error::failure("the file is no text in UTF-8").at_path(path))
}

fn only_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "is a folder, not a regular file" } else { "is not a regular file" };
    Err(Error::failure(what).at_path(path).hint("name a file on a disk; folders, pipes and devices are not read"))
}

fn too_large(path: &Path, limit: u64) -> Error {
    Error::failure(format!("the file is larger than {limit} bytes, the most that is read of such a file")).at_path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_a_device_and_a_folder_are_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = open(path).unwrap_err().to_string();
            assert!(error.contains("not a regular file") && error.contains(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&path, "12345").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link, 5).unwrap(), b"12345");
        assert_eq!(read_to_string(&path, u64::MAX).unwrap(), "12345");
        assert!(read(&path, 4).unwrap_err().to_string().contains("larger than 4 bytes"));
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(read_to_string(&path, 5).unwrap_err().to_string().contains("no text in UTF-8"));
        assert!(open(&folder.path().join("absent")).is_err());
    }
}
