//! The locks of a store: one for each stage while it is made, and one that tells whether anybody
//! uses the store at all.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Store;
use super::key::StageKey;
use crate::error::{AtPath, Error, Result};
use crate::machine::this_process;

/// Held while a stage is made. It is released when dropped, or by the system when the process dies.
#[derive(Debug)]
pub struct StageLock {
    _file: File,
    path: PathBuf,
}

impl Drop for StageLock {
    fn drop(&mut self) {
        // The lock is still held here, so a process that waits for this file finds that the name is
        // gone and starts over.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Waits for the right to make this stage. Call [`Store::record`] again once the lock is held,
    /// because another process may have made the stage. `on_wait` is called once if somebody else
    /// holds the lock.
    pub fn lock(&self, key: &StageKey, on_wait: impl FnOnce(&str)) -> Result<StageLock> {
        let path = self.root().join("locks").join(format!("{}.lock", key.hex()));
        let mut on_wait = Some(on_wait);
        loop {
            let file = open_lock_file(&path)?;
            if file.try_lock().is_err() {
                if let Some(on_wait) = on_wait.take() {
                    on_wait(fs::read_to_string(&path).unwrap_or_default().trim());
                }
                file.lock().at_path("wait for the lock", &path)?;
            }
            if !is_named(&file, &path) {
                continue;
            }
            // Tells waiting processes who holds the lock.
            file.set_len(0).at_path("write the lock", &path)?;
            (&file).write_all(this_process().as_bytes()).at_path("write the lock", &path)?;
            return Ok(StageLock { _file: file, path });
        }
    }

    /// Waits for a limited time until nobody else uses the store, and keeps others out, so that
    /// garbage can be removed. `on_wait` is called once if somebody uses the store.
    pub fn use_alone(&mut self, on_wait: impl FnOnce()) -> Result<AloneLock> {
        let path = self.root().join(USE_LOCK);
        self.give_up_use();
        let file =
            File::options().read(true).write(true).open(&path).at_path("open the lock", &path)?;
        let begun = Instant::now();
        let mut on_wait = Some(on_wait);
        while file.try_lock().is_err() {
            if let Some(on_wait) = on_wait.take() {
                on_wait();
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::failure("other runs use the store just now")
                    .at_path(self.root())
                    .hint("wait until they are done, then run the same command again"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(AloneLock { _file: file })
    }
}

/// Every process that uses the store holds this lock shared; a process that removes from the store
/// holds it exclusively.
pub(super) const USE_LOCK: &str = "use.lock";
/// A worker whose runner was killed takes some seconds to end.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct AloneLock {
    _file: File,
}

/// Opens the file of a lock, and makes it if it does not exist. What it contains stays.
pub fn open_lock_file(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .at_path("open the lock", path)
}

/// Marks the store as used by this process, as long as the file is kept open.
pub(super) fn announce_use(root: &Path) -> Result<File> {
    let path = root.join(USE_LOCK);
    let file = open_lock_file(&path)?;
    file.lock_shared().at_path("wait for the store", &path)?;
    Ok(file)
}

/// Whether the path still names the open file. The holder may have removed it while this process
/// waited.
fn is_named(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(named)) => ours.ino() == named.ino() && ours.dev() == named.dev(),
        _ => false,
    }
}
