//! A worker process: started, spoken to, and stopped.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::error::{AtPath, Error, Result};
use crate::protocol::{FromWorker, Hello, Job, PROTOCOL_VERSION};
use crate::recipe::settings::Settings;
use crate::store::{Store, read_json, write_json};

/// What the runner hears from a worker: a message, or that it is gone.
#[derive(Debug)]
pub enum Heard {
    Message(FromWorker),
    Gone,
}

/// How workers are started.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    pub program: PathBuf,
    pub device: String,
    pub threads: usize,
}

impl WorkerCommand {
    /// The program of the settings, or the one beside this program.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let program = match &settings.worker {
            Some(program) => program.clone(),
            None => {
                let own = std::env::current_exe().map_err(|error| Error::failure(format!("cannot find this program: {error}")))?;
                own.with_file_name("surgcam-worker")
            }
        };
        if !program.is_file() {
            return Err(Error::usage("the program that runs stages is not there").at_path(&program).hint("build it with `make build`"));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(WorkerCommand { program, device: settings.device.clone(), threads: settings.threads.unwrap_or(cores).max(1) })
    }
}

pub struct WorkerProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

/// How long a worker may take to clean up once it is told to stop.
const GRACE: Duration = Duration::from_secs(5);

impl WorkerProcess {
    /// Starts a worker; `slot` is given back with whatever it says. The first message is a hello.
    pub fn start(command: &WorkerCommand, store: &Store, slot: usize, heard: Sender<(usize, Heard)>) -> Result<Self> {
        let log = store.root().join("logs").join(format!("worker-{}-{slot}.log", std::process::id()));
        let stderr = File::create(&log).at_path("create the worker's log", &log)?;
        let mut child = Command::new(&command.program)
            .args(["--device", &command.device, "--threads", &command.threads.to_string(), "--store"])
            .arg(store.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C is for the runner, which then tells its workers.
            .process_group(0)
            .spawn()
            .at_path("start the worker", &command.program)?;
        let stdin = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let Ok(line) = line else { break };
                    let Ok(message) = serde_json::from_str(&line) else { break };
                    if heard.send((slot, Heard::Message(message))).is_err() {
                        return;
                    }
                }
                let _ = heard.send((slot, Heard::Gone));
            });
        }
        Ok(WorkerProcess { child, stdin, log })
    }

    pub fn send(&mut self, job: &Job) -> Result<()> {
        let gone = || Error::failure("the worker does not listen any more");
        let mut line = serde_json::to_string(job).map_err(|_| gone())?;
        line.push('\n');
        self.stdin.as_mut().ok_or_else(gone)?.write_all(line.as_bytes()).map_err(|_| gone())
    }

    /// Why a worker that is gone is gone, with the last lines of its log.
    pub fn obituary(&mut self) -> Error {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.wait();
        let what = match status.as_ref().map(|status| (status.signal(), status.code())) {
            Ok((Some(9), _)) => "the worker was killed by the system or by somebody (signal 9)".to_string(),
            Ok((Some(signal), _)) => format!("the worker was ended by signal {signal}"),
            Ok((None, Some(code))) => format!("the worker ended with exit code {code}"),
            _ => "the worker is gone".to_string(),
        };
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let killed = matches!(status.as_ref().map(|status| status.signal()), Ok(Some(9)));
        let hint = if killed {
            format!("if memory ran out, lower model.batch_size; its log is {}", self.log.display())
        } else {
            format!("its log is {}", self.log.display())
        };
        let said = if last.is_empty() { String::new() } else { format!("; its last words: {}", last.join(" | ")) };
        Error::failure(format!("{what}{said}")).hint(hint)
    }

    /// Closes its stdin, on which it ends; after a while it is killed.
    fn end(&mut self) {
        drop(self.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < GRACE {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.end();
        // The log of a worker that ended well says nothing that anybody needs.
        if matches!(self.child.wait(), Ok(status) if status.success()) {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// What a device said of itself, remembered in the store, so that planning need not load libtorch each time.
pub fn identity(command: &WorkerCommand, store: &Store) -> Result<Hello> {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Remembered {
        /// Of the worker program: another build may be linked to another libtorch.
        worker: String,
        hello: Hello,
    }
    let metadata = command.program.metadata().at_path("read", &command.program)?;
    let worker = format!("{} {} {:?}", command.program.display(), metadata.len(), metadata.modified().ok());
    let path = store.device_path(&format!("{}-{}-{}", host(), command.device, command.threads));
    if let Ok(remembered) = read_json::<Remembered>(&path)
        && remembered.worker == worker
    {
        return Ok(remembered.hello);
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut process = WorkerProcess::start(command, store, 0, sender)?;
    match receiver.recv() {
        Ok((_, Heard::Message(FromWorker::Hello(hello)))) => {
            check_protocol(&hello, &command.program)?;
            write_json(&path, &Remembered { worker, hello: hello.clone() })?;
            Ok(hello)
        }
        _ => Err(process.obituary()),
    }
}

pub fn check_protocol(hello: &Hello, program: &Path) -> Result<()> {
    if hello.protocol == PROTOCOL_VERSION {
        return Ok(());
    }
    Err(Error::failure(format!("the worker speaks protocol {}, this program {PROTOCOL_VERSION}", hello.protocol))
        .at_path(program)
        .hint("build both programs anew: `make build`"))
}

/// The machine's name.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "unknown".into(), |name| name.trim().to_string())
}
