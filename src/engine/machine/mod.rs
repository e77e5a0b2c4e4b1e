//! What a machine has, for the runner and for workers: its name, its GPUs, its libtorch, and the lock on all of it.

pub mod libtorch;
pub mod lock;
mod lock_holders;
pub mod visible_gpus;

/// The machine's name.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "unknown".into(), |name| name.trim().to_string())
}
