//! The worker's end of its connection to the runner: JSON lines over stdin and stdout
//! (`surgcam_engine::protocol`).
//!
//! Stdout carries only messages, because nothing else in this process can write to it. From the
//! start, this process tells the runner every few seconds that it is alive.

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use surgcam_engine::error::{Error, Result};
use surgcam_engine::protocol::{FromWorker, Job, LONGEST_LINE, SIGN_OF_LIFE};

/// Set when the runner wants no more results.
pub static STOPPING: AtomicBool = AtomicBool::new(false);
/// How long a stage may take to notice that it should stop.
const GRACE: Duration = Duration::from_secs(4);

/// Says messages from any thread.
#[derive(Clone)]
pub struct RunnerLink {
    stream: Arc<Mutex<File>>,
}

impl RunnerLink {
    /// Takes over stdout, and begins to say that this process is alive.
    ///
    /// # Errors
    /// Where stdout is closed.
    pub fn open() -> Result<Self> {
        let link = RunnerLink { stream: Arc::new(Mutex::new(take_over_stdout()?)) };
        let alive = link.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(SIGN_OF_LIFE);
                alive.say(&FromWorker::Alive);
            }
        });
        Ok(link)
    }

    pub fn say(&self, message: &FromWorker) {
        let Ok(mut line) = serde_json::to_string(message) else { return };
        line.push('\n');
        let mut stream = self.stream.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // A runner that is gone is noticed at stdin.
        let _ = stream.write_all(line.as_bytes()).and_then(|()| stream.flush());
    }

    /// Jobs as they come. For a line that is not a job there is an error, and nothing comes after
    /// it. When stdin closes, a running stage is asked to stop. A short time later the process
    /// ends, whether the stage has stopped or not.
    pub fn listen(&self) -> Receiver<Result<Job>> {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut lines = std::io::stdin().lock();
            while let Some(job) = next_job(&mut lines) {
                let goes_on = job.is_ok();
                if sender.send(job).is_err() || !goes_on {
                    break;
                }
            }
            STOPPING.store(true, Ordering::SeqCst);
            drop(sender);
            std::thread::sleep(GRACE);
            std::process::exit(1);
        });
        receiver
    }
}

/// `None` where stdin was closed.
fn next_job(lines: &mut impl BufRead) -> Option<Result<Job>> {
    let mut line = Vec::new();
    let read = lines.take(LONGEST_LINE).read_until(b'\n', &mut line);
    if !matches!(read, Ok(count) if count > 0) {
        return None;
    }
    let understood = serde_json::from_slice(&line);
    Some(understood.map_err(|problem| {
        let start: String = String::from_utf8_lossy(&line).trim().chars().take(80).collect();
        Error::failure(format!(
            "this worker does not understand what it was told: {start} ({problem})"
        ))
        .hint("it is started by surgcam, not by hand; build both programs again: `make build`")
    }))
}

/// Keeps stdout for the protocol and points descriptor 1 at stderr, because libraries may print.
fn take_over_stdout() -> Result<File> {
    // SAFETY: plain calls on descriptors that are open for the whole life of the process.
    let duplicate = unsafe {
        let duplicate = libc::dup(1);
        if duplicate >= 0 {
            libc::dup2(2, 1);
        }
        duplicate
    };
    if duplicate < 0 {
        return Err(Error::failure("cannot take over stdout"));
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(duplicate) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam_testkit::fuzzing;

    #[test]
    fn fuzz_jobs() {
        let key = format!("sha256:{}", "0".repeat(64));
        let parts =
            "{\"kind\":\"empty\",\"version\":1,\"parameters\":{\"number\":1},\"inputs\":{}}";
        let job = format!(
            "{{\"stages\":[{{\"key\":\"{key}\",\"name\":\"x\",\"parts\":{parts},\
             \"places\":{{}}}}]}}\n"
        );
        fuzzing::in_limited_process(
            "runner_link::tests::fuzz_jobs",
            &[job.into_bytes()],
            |input| {
                let mut lines = input;
                while next_job(&mut lines).is_some() {}
            },
        );
    }

    #[test]
    fn a_line_that_is_no_job_is_told_from_the_end() {
        let mut lines = &b"{\"stages\":[]}\nhello\n"[..];
        assert!(next_job(&mut lines).unwrap().unwrap().stages.is_empty());
        let error = next_job(&mut lines).unwrap().unwrap_err();
        assert!(error.what().contains("does not understand what it was told: hello"), "{error}");
        assert!(next_job(&mut lines).is_none());
    }
}
