//! What a machine has, for the runner and for workers: its name, its GPUs, its libtorch, and the lock on all of it.

pub mod libtorch;
pub mod lock;
mod lock_holders;
pub mod visible_gpus;

/// The machine's name.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "unknown".into(), |name| name.trim().to_string())
}

/// Lets writing beyond a limit of file sizes fail as an error with a cause, where the system would end the process. Processes that this
/// one starts inherit it.
pub fn fail_writes_beyond_a_limit() {
    // SAFETY: a signal is ignored from now on; no handler runs.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
