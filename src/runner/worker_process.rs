//! A worker process: started, spoken to, and stopped.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::error::{AtPath, Error, Result};
use crate::protocol::{FromWorker, Hello, Job, PROTOCOL_VERSION};
use crate::recipe::settings::Settings;
use crate::store::{Store, read_json, write_json};

/// What the runner hears from a worker: a message, or that it is gone.
#[derive(Debug)]
pub enum Heard {
    Message(Box<FromWorker>),
    Gone,
}

/// Tells a slot's worker from those that it had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId(u64);

#[derive(Debug)]
pub struct WorkerMessage {
    pub slot: usize,
    pub worker: WorkerId,
    pub heard: Heard,
}

/// How workers are started.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    pub program: PathBuf,
    /// As the worker sees it.
    pub device: String,
    pub threads: usize,
    /// The one GPU that the worker shall see: an entry of CUDA_VISIBLE_DEVICES.
    pub visible_gpu: Option<String>,
}

impl WorkerCommand {
    /// One for each device of the settings. The program is that of the settings, or the one beside this program.
    pub fn for_devices(settings: &Settings) -> Result<Vec<Self>> {
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
        let threads = settings.threads.unwrap_or(cores).max(1);
        let names: Vec<&str> = settings.device.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err(Error::usage("no device is named").hint("write auto, cpu, cuda:0, or several as in cuda:0,cuda:1"));
        }
        let preset = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let command = |name: &&str| {
            let visible_gpu = visible_gpu(name, preset.as_deref())?;
            let device = if visible_gpu.is_some() { "cuda:0".to_string() } else { name.to_string() };
            Ok(WorkerCommand { program: program.clone(), device, threads, visible_gpu })
        };
        names.iter().map(command).collect()
    }

    /// For stages that need no device.
    pub fn without_device(&self) -> Self {
        WorkerCommand { device: "cpu".into(), visible_gpu: None, ..self.clone() }
    }

    fn process(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--device", &self.device, "--threads", &self.threads.to_string()]);
        if let Some(gpu) = &self.visible_gpu {
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        if [WAITING_TURNS, "OMP_WAIT_POLICY"].iter().all(|name| std::env::var_os(name).is_none()) {
            command.env(WAITING_TURNS, "20000");
        }
        command.env(TENSOR_FLOAT_32, "0");
        command
    }
}

/// Which GPU `cuda:N` is: the Nth of those that the user left visible.
fn visible_gpu(device: &str, preset: Option<&str>) -> Result<Option<String>> {
    let Some(number) = device.strip_prefix("cuda:") else { return Ok(None) };
    let position: usize = number.parse().map_err(|_| Error::usage(format!("`{device}` is no device: auto, cpu or cuda:N is expected")))?;
    match preset.filter(|preset| !preset.is_empty()) {
        None => Ok(Some(position.to_string())),
        Some(preset) => match preset.split(',').nth(position) {
            Some(gpu) => Ok(Some(gpu.trim().to_string())),
            None => Err(Error::usage(format!("there is no device {device}: CUDA_VISIBLE_DEVICES is `{preset}`"))),
        },
    }
}

/// How long libtorch's threads keep their cores busy after a forward pass, in case there is another. By default for milliseconds,
/// in which the threads that look for boxes want those cores.
const WAITING_TURNS: &str = "GOMP_SPINCOUNT";

/// Whether CUDA's libraries may round factors to 19 bits: results shall be those of f32.
const TENSOR_FLOAT_32: &str = "NVIDIA_TF32_OVERRIDE";

pub struct WorkerProcess {
    pub id: WorkerId,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

/// How long a worker may take to clean up once it is told to stop.
const GRACE: Duration = Duration::from_secs(5);

static STARTED_WORKERS: AtomicU64 = AtomicU64::new(0);

impl WorkerProcess {
    /// Starts a worker; `slot` is given back with whatever it says. The first message is a hello.
    pub fn start(command: &WorkerCommand, store: &Store, log_folder: &Path, slot: usize, heard: Sender<WorkerMessage>) -> Result<Self> {
        let id = WorkerId(STARTED_WORKERS.fetch_add(1, Ordering::Relaxed));
        let log = log_folder.join(format!("worker-{slot}.log"));
        let stderr = File::options().create(true).append(true).open(&log).at_path("create the worker's log", &log)?;
        let mut process = command.process();
        process.arg("--store").arg(store.root());
        if let Some(shared) = store.shared() {
            process.arg("--shared").arg(shared);
        }
        let mut child = process
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
                    if heard.send(WorkerMessage { slot, worker: id, heard: Heard::Message(message) }).is_err() {
                        return;
                    }
                }
                let _ = heard.send(WorkerMessage { slot, worker: id, heard: Heard::Gone });
            });
        }
        Ok(WorkerProcess { id, child, stdin, log })
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

    /// Closes its stdin, on which it ends.
    pub fn close(&mut self) {
        drop(self.stdin.take());
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes its stdin and waits; after a while it is killed.
    fn end(&mut self) {
        self.close();
        let begun = Instant::now();
        while begun.elapsed() < GRACE {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.end();
        // An empty log says nothing that anybody needs.
        if self.log.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// What a device said of itself, remembered in the store, so that planning need not load libtorch each time.
pub fn remembered_identity(command: &WorkerCommand, store: &Store) -> Result<Option<Hello>> {
    let remembered: Option<Remembered> = read_json(&identity_path(command, store)).ok();
    let worker = build_of(command)?;
    Ok(remembered.filter(|remembered| remembered.worker == worker).map(|remembered| remembered.hello))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    /// Of the worker program: another build may be linked to another libtorch.
    worker: String,
    hello: Hello,
}

fn identity_path(command: &WorkerCommand, store: &Store) -> PathBuf {
    let gpu = command.visible_gpu.as_deref().unwrap_or("any");
    store.device_path(&format!("{}-{}-{gpu}-{}", host(), command.device, command.threads))
}

fn build_of(command: &WorkerCommand) -> Result<String> {
    let metadata = command.program.metadata().at_path("read", &command.program)?;
    Ok(format!("{} {} {:?}", command.program.display(), metadata.len(), metadata.modified().ok()))
}

/// What a device says of itself, asked if it is not remembered.
pub fn identity(command: &WorkerCommand, store: &Store) -> Result<Hello> {
    if let Some(hello) = remembered_identity(command, store)? {
        return Ok(hello);
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let log_folder = tempfile::tempdir_in(store.root().join("tmp")).at_path("create a working folder", store.root())?;
    let mut process = WorkerProcess::start(command, store, log_folder.path(), 0, sender)?;
    match receiver.recv().map(|message| message.heard) {
        Ok(Heard::Message(message)) => match *message {
            FromWorker::Hello(hello) => {
                check_protocol(&hello, &command.program)?;
                write_json(&identity_path(command, store), &Remembered { worker: build_of(command)?, hello: hello.clone() })?;
                Ok(hello)
            }
            _ => Err(process.obituary()),
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_counted_among_those_that_the_user_left_visible() {
        let gpu = |device: &str, preset: Option<&str>| visible_gpu(device, preset).map_err(|error| error.to_string());
        assert_eq!(gpu("cuda:1", None).unwrap().as_deref(), Some("1"));
        assert_eq!(gpu("cuda:1", Some("4, 7")).unwrap().as_deref(), Some("7"));
        assert_eq!(gpu("cuda:0", Some("GPU-5ae3")).unwrap().as_deref(), Some("GPU-5ae3"));
        assert_eq!(gpu("cpu", Some("0")).unwrap(), None);
        assert!(gpu("cuda:2", Some("4,7")).unwrap_err().contains("CUDA_VISIBLE_DEVICES is `4,7`"));
        assert!(gpu("cuda:x", None).unwrap_err().contains("is no device"));
    }
}
