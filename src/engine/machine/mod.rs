//! The machine that this process runs on: its name, its GPUs, its libtorch, and the lock on it.

mod environment;
pub mod libtorch;
pub mod lock;
mod lock_file;
mod lock_holders;
pub mod visible_gpus;

/// The machine's name.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".into(), |name| name.trim().to_string())
}

/// Whether a wheel installed this program into a Python environment. Such a program has nothing to
/// do with the folder that it was built in.
pub fn is_installed_by_a_wheel() -> bool {
    environment::Environment::of_this_program().is_some()
}

/// This process, as processes of this machine and of others are told who holds a lock.
pub fn this_process() -> String {
    let job = std::env::var("SLURM_JOB_ID").ok();
    let is_number = |job: &String| {
        (1..=20).contains(&job.len()) && job.bytes().all(|byte| byte.is_ascii_digit())
    };
    let job = job.filter(is_number).map(|job| format!(", job {job}")).unwrap_or_default();
    format!("process {} on {}{job}", std::process::id(), host())
}

/// Makes writing beyond a file size limit an error with a cause; by default the system would end
/// the process. Child processes inherit this.
pub fn fail_writes_beyond_a_limit() {
    // SAFETY: a signal is ignored from now on; no handler runs.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
