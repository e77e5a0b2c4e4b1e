//! A worker process: started, spoken to, and stopped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::transport::{Heard, Transport, Worker, WorkerId, WorkerMessage};
use super::worker_command::WorkerCommand;
use crate::error::{AtPath, Error, Result};
use crate::protocol::{FromWorker, Job, LONGEST_LINE, PROTOCOL_VERSION};
use crate::store::Store;

/// The folder of a worker's log, and whether the log is kept after the run.
#[derive(Debug, Clone, Copy)]
pub enum LogFolder<'a> {
    Kept(&'a Path),
    Temporary(&'a Path),
}

/// Workers as processes of this machine.
pub struct LocalProcesses<'a> {
    pub command: WorkerCommand,
    pub logs: LogFolder<'a>,
}

impl Transport for LocalProcesses<'_> {
    fn start(
        &self,
        slot: usize,
        store: &Store,
        heard: Sender<WorkerMessage>,
    ) -> Result<Box<dyn Worker>> {
        Ok(Box::new(WorkerProcess::start(&self.command, store, self.logs, slot, heard)?))
    }

    fn silence(&self) -> Duration {
        self.command.silence
    }
}

pub struct WorkerProcess {
    id: WorkerId,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
    keeps_log: bool,
    memory_hint: &'static str,
    /// Whether it has sent a hello: from then on it may have something to clean up.
    has_greeted: bool,
    /// When its stdin was closed.
    closed: Option<Instant>,
}

/// How long a worker may take to clean up once it is told to stop.
const GRACE: Duration = Duration::from_secs(5);

impl WorkerProcess {
    /// Starts a worker. Its messages come with the number `slot`, and the first is a hello.
    pub fn start(
        command: &WorkerCommand,
        store: &Store,
        logs: LogFolder,
        slot: usize,
        heard: Sender<WorkerMessage>,
    ) -> Result<Self> {
        let id = WorkerId::next();
        let (log_folder, keeps_log) = match logs {
            LogFolder::Kept(folder) => (folder, true),
            LogFolder::Temporary(folder) => (folder, false),
        };
        let log = log_folder.join(format!("worker-{slot}.log"));
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .at_path("create the worker's log", &log)?;
        let mut process = command.process()?;
        process.arg("--store").arg(store.root());
        if let Some(shared) = store.shared() {
            process.arg("--shared").arg(shared);
        }
        let mut child = process
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C must reach only the runner, which then tells its workers.
            .process_group(0)
            .spawn()
            .at_path("start the worker", &command.program)?;
        let stdin = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            let program = command.program.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stdout);
                loop {
                    let message = next_line(&mut lines)
                        .map_or(Heard::Gone, |line| understand(&line, &program));
                    let goes_on = matches!(message, Heard::Message(_));
                    if heard.send(WorkerMessage { slot, worker: id, heard: message }).is_err()
                        || !goes_on
                    {
                        return;
                    }
                }
            });
        }
        Ok(WorkerProcess {
            id,
            child,
            stdin,
            log,
            keeps_log,
            memory_hint: command.memory_hint,
            has_greeted: false,
            closed: None,
        })
    }

    /// The last lines that the worker wrote to its log.
    fn end_of_log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last: Vec<&str> =
            text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// Kills the worker, if it still runs, and every process that it has started. A script that
    /// stands for the worker would leave its children behind, which may continue to write to the
    /// log.
    fn kill_its_group(&self) {
        // SAFETY: a plain signal to the process group that was made for this worker.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
    }

    /// Closes the worker's stdin, waits for it to end, and kills it after a while. Gives its exit
    /// status if it ended by itself.
    fn end(&mut self) -> Option<ExitStatus> {
        self.close();
        let closed = self.closed.unwrap_or_else(Instant::now);
        // A worker that never sent a hello has nothing to clean up. If it is already ending, its
        // exit code is waited for.
        let grace = if self.has_greeted { GRACE } else { GRACE / 5 };
        loop {
            match self.child.try_wait() {
                Ok(None) if closed.elapsed() < grace => {
                    std::thread::sleep(Duration::from_millis(5))
                }
                Ok(None) => break,
                Ok(status) => {
                    self.kill_its_group();
                    return status;
                }
                Err(_) => return None,
            }
        }
        self.kill();
        None
    }
}

impl Worker for WorkerProcess {
    fn id(&self) -> WorkerId {
        self.id
    }

    fn send(&mut self, job: &Job) -> Result<()> {
        let gone = || Error::failure("the worker does not listen any more");
        let mut line = serde_json::to_string(job).map_err(|_| gone())?;
        line.push('\n');
        self.stdin.as_mut().ok_or_else(gone)?.write_all(line.as_bytes()).map_err(|_| gone())
    }

    fn greeted(&mut self) {
        self.has_greeted = true;
    }

    fn reason_of_its_end(&mut self) -> Error {
        let status = self.end();
        let what = match status.map(|status| (status.signal(), status.code())) {
            Some((Some(9), _)) => {
                "the worker was killed by the system or by somebody (signal 9)".to_string()
            }
            Some((Some(signal), _)) => format!("the worker was ended by signal {signal}"),
            Some((None, Some(code))) => format!("the worker ended with exit code {code}"),
            Some((None, None)) => "the worker is gone".to_string(),
            None => "the worker fell silent and did not end by itself".to_string(),
        };
        let last = self.end_of_log();
        let said =
            if last.is_empty() { String::new() } else { format!("; its log ends with: {last}") };
        let was_killed = status.is_some_and(|status| status.signal() == Some(9));
        let memory = was_killed.then(|| self.memory_hint.to_string());
        let hints: Vec<String> = memory.into_iter().chain(self.hint_at_log()).collect();
        let error = Error::failure(format!("{what}{said}"));
        if hints.is_empty() { error } else { error.hint(hints.join("; ")) }
    }

    fn hint_at_log(&self) -> Option<String> {
        let has_text = self.log.metadata().is_ok_and(|metadata| metadata.len() > 0);
        (self.keeps_log && has_text).then(|| format!("its log is {}", self.log.display()))
    }

    fn close(&mut self) {
        drop(self.stdin.take());
        self.closed.get_or_insert_with(Instant::now);
    }

    fn kill(&mut self) {
        self.kill_its_group();
        let _ = self.child.wait();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.end();
        // Nobody needs an empty log.
        if self.log.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// The next whole line, or the start of a line that is longer than any message. `None` at the end
/// of the stream, which may come within a line.
fn next_line(lines: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    lines.take(LONGEST_LINE).read_until(b'\n', &mut line).ok()?;
    (line.ends_with(b"\n") || line.len() as u64 == LONGEST_LINE).then_some(line)
}

/// Reads one line from the worker.
fn understand(line: &[u8], program: &Path) -> Heard {
    #[derive(Deserialize)]
    struct AnyHello {
        protocol: u32,
    }
    match serde_json::from_slice(line) {
        Ok(FromWorker::Hello(hello)) if hello.protocol != PROTOCOL_VERSION => {
            Heard::OtherBuild(other_protocol(hello.protocol, program))
        }
        Ok(message) => Heard::Message(Box::new(message)),
        Err(_) => match serde_json::from_slice(line) {
            Ok(AnyHello { protocol }) if protocol != PROTOCOL_VERSION => {
                Heard::OtherBuild(other_protocol(protocol, program))
            }
            _ => Heard::Nonsense(nonsense(line, program)),
        },
    }
}

const BUILD_AGAIN: &str = "build both programs again: `make build`";

fn other_protocol(protocol: u32, program: &Path) -> Error {
    Error::failure(format!(
        "the worker speaks protocol {protocol}, this program {PROTOCOL_VERSION}"
    ))
    .at_path(program)
    .hint(BUILD_AGAIN)
}

fn nonsense(line: &[u8], program: &Path) -> Error {
    if line.len() as u64 >= LONGEST_LINE {
        return Error::failure(format!(
            "the worker wrote a line of more than {} MB",
            LONGEST_LINE >> 20
        ))
        .at_path(program)
        .hint(BUILD_AGAIN);
    }
    let start: String = String::from_utf8_lossy(line).trim().chars().take(80).collect();
    Error::failure(format!("the worker said what this program does not understand: {start}"))
        .at_path(program)
        .hint(BUILD_AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_another_build_is_told_from_nonsense() {
        let heard = |line: &str| understand(line.as_bytes(), Path::new("worker"));
        assert!(matches!(heard("{\"message\":\"job-done\"}\n"), Heard::Message(_)));
        let Heard::OtherBuild(error) = heard("{\"message\":\"hello\",\"protocol\":1,\"gpu\":0}\n")
        else {
            panic!("another build")
        };
        assert!(error.what().contains("speaks protocol 1"));
        let same = format!("{{\"message\":\"hello\",\"protocol\":{PROTOCOL_VERSION}}}");
        assert!(matches!(heard(&same), Heard::Nonsense(_)));
        let Heard::Nonsense(error) = heard("warning: something\n") else { panic!("nonsense") };
        assert!(error.what().ends_with("does not understand: warning: something"));
    }

    #[test]
    fn an_endless_line_is_read_up_to_a_limit() {
        let mut endless = BufReader::new(std::io::repeat(b'x'));
        let line = next_line(&mut endless).unwrap();
        assert_eq!(line.len() as u64, LONGEST_LINE);
        let Heard::Nonsense(error) = understand(&line, Path::new("worker")) else {
            panic!("nonsense")
        };
        assert!(error.what().contains("a line of more than 64 MB"), "{error}");
    }
}
