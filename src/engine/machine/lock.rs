//! The lock on the machine. A stage that measures speed has the machine alone; all other stages
//! share it, whichever user runs them.
//!
//! No stage fails because of the lock. Where it cannot be taken, or not within the set time, work
//! continues without it, and a speed that is measured then is marked "not alone".

use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::lock_file::{ATTEMPTS, MARK, is_named, leave_word, open, read, users, write};
use super::this_process;
use crate::error::{Error, Result};

const NAME: &str = "surgcam-machine.lock";
/// How often a waiting stage checks whether the run was stopped.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// To measure speed.
    Alone,
    Shared,
}

/// The lock as a worker sees it.
#[derive(Debug)]
pub struct MachineLock {
    path: PathBuf,
    /// How long a stage may wait for it.
    patience: Duration,
    /// After a stage has waited in vain, later ones do not wait until one of them has got the lock.
    waited_in_vain: Cell<bool>,
    /// Stages that share the machine report only once that they continue without the lock.
    has_told: Cell<bool>,
}

/// A stage's hold on the machine. It is released when dropped.
#[derive(Debug)]
pub struct MachineHold {
    /// Absent where the stage continues without the lock.
    lock: Option<File>,
    want: Want,
    /// The text that a stage that has the machine alone wrote into the file.
    mark: Option<String>,
    /// Holds a lock that is granted after the stage has continued without it.
    _late: Option<Receiver<File>>,
    /// Why the stage continues without the lock, if the user should know.
    pub note: Option<String>,
}

impl MachineLock {
    /// `folder` is the one for temporary files.
    pub fn new(folder: &Path, patience: Duration) -> Self {
        MachineLock {
            path: folder.join(NAME),
            patience,
            waited_in_vain: Cell::new(false),
            has_told: Cell::new(false),
        }
    }

    /// Takes the lock. `on_wait` is called once with what is waited for. The only error is that
    /// `is_stopping` tells that the run was stopped.
    pub fn take(
        &self,
        want: Want,
        on_wait: impl FnOnce(&str),
        is_stopping: impl Fn() -> bool,
    ) -> Result<MachineHold> {
        let mut on_wait = Some(on_wait);
        for _ in 0..ATTEMPTS {
            let file = match open(&self.path) {
                Ok(file) => file,
                Err(error) => {
                    return Ok(self.without(
                        want,
                        &format!("{}: {error}", self.path.display()),
                        None,
                    ));
                }
            };
            let file = match try_lock(&file, want) {
                Ok(()) => file,
                Err(TryLockError::Error(error)) => {
                    return Ok(self.without(
                        want,
                        &format!("{} cannot be locked: {error}", self.path.display()),
                        None,
                    ));
                }
                Err(TryLockError::WouldBlock) => {
                    match self.wait(file, want, on_wait.take(), &is_stopping)? {
                        Waited::Granted(file) => file,
                        Waited::InVain { why, late } => {
                            leave_word(&self.path);
                            return Ok(self.without(want, &why, late));
                        }
                    }
                }
            };
            if is_named(&file, &self.path) {
                self.waited_in_vain.set(false);
                return Ok(MachineHold::with(file, want));
            }
        }
        Ok(self.without(
            want,
            &format!("somebody replaces {} again and again", self.path.display()),
            None,
        ))
    }

    /// Waits at most the set time. A thread waits for the lock, because the system wakes it as soon
    /// as the lock is free, which may be for a moment only. The thread is left behind if that comes
    /// too late.
    fn wait(
        &self,
        file: File,
        want: Want,
        on_wait: Option<impl FnOnce(&str)>,
        is_stopping: &impl Fn() -> bool,
    ) -> Result<Waited> {
        let users = users(&file);
        if self.waited_in_vain.get() {
            return Ok(Waited::InVain {
                why: format!("the machine is in use by {users}"),
                late: None,
            });
        }
        let seconds = self.patience.as_secs_f64();
        if let Some(on_wait) = on_wait {
            on_wait(&format!("the machine, in use by {users}, for at most {seconds} s"));
        }
        let (sender, receiver) = channel();
        let waiting = move || {
            let granted = if want == Want::Alone { file.lock() } else { file.lock_shared() };
            if granted.is_ok() {
                // Nobody listens any more if the stage is made already. The lock is then released
                // at once.
                let _ = sender.send(file);
            }
        };
        if let Err(error) = std::thread::Builder::new().spawn(waiting) {
            return Ok(Waited::InVain {
                why: format!("cannot wait for the machine: {error}"),
                late: None,
            });
        }
        let begun = Instant::now();
        loop {
            let left = self.patience.saturating_sub(begun.elapsed());
            match receiver.recv_timeout(LOOK.min(left)) {
                Ok(file) => return Ok(Waited::Granted(file)),
                Err(RecvTimeoutError::Timeout) if is_stopping() => {
                    return Err(Error::interrupted("interrupted"));
                }
                Err(RecvTimeoutError::Timeout) if begun.elapsed() < self.patience => {}
                Err(_) => {
                    self.waited_in_vain.set(true);
                    return Ok(Waited::InVain {
                        why: format!("for {seconds} s the machine was in use by {users}"),
                        late: Some(receiver),
                    });
                }
            }
        }
    }

    fn without(&self, want: Want, why: &str, late: Option<Receiver<File>>) -> MachineHold {
        let note = match want {
            Want::Alone => Some(format!("not alone, and marked so: {why}")),
            Want::Shared if self.has_told.replace(true) => None,
            Want::Shared => Some(format!("goes on without the machine's lock: {why}")),
        };
        MachineHold { lock: None, want, mark: None, _late: late, note }
    }
}

/// How waiting ended.
enum Waited {
    Granted(File),
    InVain { why: String, late: Option<Receiver<File>> },
}

impl MachineHold {
    fn with(file: File, want: Want) -> Self {
        // A user who may only read the file holds the lock without a name in the file.
        let mark = (want == Want::Alone)
            .then(|| format!("{MARK}{}", this_process()))
            .filter(|mark| write(&file, mark).is_ok());
        MachineHold { lock: Some(file), want, mark, _late: None, note: None }
    }

    /// Whether nobody else has used the machine so far, as far as others take the lock or leave a
    /// note in it.
    pub fn is_alone(&self) -> bool {
        let is_untouched = |file: &File| {
            self.mark.as_ref().is_none_or(|mark| read(file).is_ok_and(|text| text == *mark))
        };
        self.want == Want::Alone && self.lock.as_ref().is_some_and(is_untouched)
    }
}

impl Drop for MachineHold {
    fn drop(&mut self) {
        if let (Some(file), Some(_)) = (&self.lock, &self.mark) {
            // An old name would only mislead waiting processes.
            let _ = file.set_len(0);
        }
    }
}

fn try_lock(file: &File, want: Want) -> std::result::Result<(), TryLockError> {
    if want == Want::Alone { file.try_lock() } else { file.try_lock_shared() }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::super::lock_file::FOR_ALL;
    use super::*;

    fn lock_in(folder: &Path) -> MachineLock {
        MachineLock::new(folder, Duration::from_millis(30))
    }

    /// Longer than any thread of these tests holds the lock.
    fn patient(folder: &Path) -> MachineLock {
        MachineLock::new(folder, Duration::from_secs(60))
    }

    /// Takes the lock and tells what was waited for.
    fn taken(lock: &MachineLock, want: Want) -> (MachineHold, Option<String>) {
        let mut waited = None;
        let hold = lock.take(want, |what| waited = Some(what.to_string()), || false).unwrap();
        (hold, waited)
    }

    #[test]
    fn everybody_may_use_the_file_and_the_rights_of_an_old_one_are_widened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let mode = || path.metadata().unwrap().mode() & 0o777;
        drop(taken(&lock_in(folder.path()), Want::Shared));
        assert_eq!(mode(), FOR_ALL);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        drop(taken(&lock_in(folder.path()), Want::Shared));
        assert_eq!(mode(), FOR_ALL);
        // Read access is enough to lock it.
        let reading = File::open(&path).unwrap();
        reading.lock().unwrap();
        assert!(taken(&lock_in(folder.path()), Want::Shared).0.lock.is_none());
    }

    #[test]
    fn sharing_goes_with_sharing_and_not_with_being_alone() {
        let folder = tempfile::tempdir().unwrap();
        let lock = lock_in(folder.path());
        let (shared, also) = (taken(&lock, Want::Shared), taken(&lock, Want::Shared));
        assert!(shared.0.lock.is_some() && also.0.lock.is_some() && also.1.is_none());
        let (hold, waited) = taken(&lock, Want::Alone);
        assert!(waited.unwrap().starts_with("the machine, in use by "));
        assert!(
            !hold.is_alone() && hold.note.as_ref().unwrap().starts_with("not alone"),
            "{:?}",
            hold.note
        );
        // The next stage does not wait in vain again.
        assert!(taken(&lock, Want::Alone).1.is_none());
        drop((shared, also, hold));
        let (hold, _) = taken(&patient(folder.path()), Want::Alone);
        assert!(hold.is_alone() && hold.note.is_none());
        assert_eq!(
            fs::read_to_string(folder.path().join(NAME)).unwrap(),
            format!("{MARK}{}", this_process())
        );
        drop(hold);
        assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), "");
    }

    #[test]
    fn whoever_goes_on_without_the_lock_spoils_the_measurement_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (measuring, _) = taken(&lock_in(folder.path()), Want::Alone);
        assert!(measuring.is_alone());
        let impatient = lock_in(folder.path());
        let (working, waited) = taken(&impatient, Want::Shared);
        let holder = format!("process {} ", std::process::id());
        assert!(waited.unwrap().contains(&holder), "the holder is named");
        assert!(working.note.is_some());
        assert!(taken(&impatient, Want::Shared).0.note.is_none(), "it is said once");
        assert!(!measuring.is_alone());
        // A lock that comes late is held until the stage is made.
        drop(measuring);
        let is_free = || File::open(folder.path().join(NAME)).unwrap().try_lock().is_ok();
        let begun = Instant::now();
        while is_free() && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!is_free());
        drop(working);
        assert!(taken(&patient(folder.path()), Want::Alone).0.is_alone());
    }

    #[test]
    fn nothing_that_was_planted_is_followed_or_changed() {
        let place = tempfile::tempdir().unwrap();
        let secret = place.path().join("secret");
        fs::write(&secret, "").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let text = place.path().join("text");
        fs::write(&text, "a user's own").unwrap();
        type Plant<'a> = &'a dyn Fn(&Path);
        let plants: [(&str, Plant); 5] = [
            ("it is a symbolic link", &|path| {
                symlink(place.path().join("elsewhere"), path).unwrap()
            }),
            ("it is a symbolic link", &|path| symlink(&secret, path).unwrap()),
            ("it is not a lock of surgcam", &|path| fs::hard_link(&secret, path).unwrap()),
            ("it is not a lock of surgcam", &|path| assert!(fs::copy(&text, path).unwrap() > 0)),
            ("", &|path| fs::create_dir(path).unwrap()),
        ];
        for (why, plant) in plants {
            let folder = tempfile::tempdir().unwrap();
            plant(&folder.path().join(NAME));
            let (hold, waited) = taken(&lock_in(folder.path()), Want::Alone);
            assert!(waited.is_none() && !hold.is_alone());
            assert!(hold.note.as_ref().unwrap().contains(why), "{:?}", hold.note);
        }
        assert!(!place.path().join("elsewhere").exists());
        assert_eq!(secret.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            (fs::read(&secret).unwrap(), fs::read_to_string(&text).unwrap()),
            (Vec::new(), "a user's own".to_string())
        );
    }

    #[test]
    fn a_run_that_is_stopped_waits_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let _holder = taken(&lock_in(folder.path()), Want::Alone);
        assert_eq!(
            patient(folder.path()).take(Want::Shared, |_| {}, || true).unwrap_err().class(),
            crate::error::Class::Interrupted
        );
    }
}
