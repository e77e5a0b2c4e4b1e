//! Files that are whole or absent: written beside their place and renamed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{AtPath, Result};

/// Whether a file must outlast a power failure, or may be lost with it because it can be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk before the call returns.
    Synced,
    /// Whole or absent for every process from now on; a power failure may take it.
    Remade,
}

/// Writes a file so that a reader sees the old content or the new, never a part.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, bytes, Durability::Synced)
}

pub fn write_with(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let new = || tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder);
    let mut file = match new() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
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
    file.persist(path).at_path("write", path)?;
    Ok(())
}

pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).at_path("write", path)?;
    text.push(b'\n');
    write_atomically(path, &text)
}

pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).at_path("read", path)?;
    serde_json::from_slice(&text).at_path("understand", path)
}

/// Puts a folder's entries on the disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).at_path("open", folder)?.sync_all().at_path("write", folder)
}
