//! `surgcam-worker`: makes stages on a device, told by the runner over stdin, answering over stdout (see
//! `surgcam::protocol`). Everything that touches a tensor is in this program.
//!
//! It holds the lock of each stage that it makes, and ends when its stdin is closed: a runner that dies leaves no worker and
//! no lock behind.

mod cam;
mod features;
mod frames;
mod generator;
#[cfg(test)]
mod golden;
mod heads;
mod model;
mod perception;
mod ridge;
mod seen;
mod stages;
mod timing;
mod training;

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::FromRawFd;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clap::Parser;
use surgcam::error::{AtPath, Class, Error, Result};
use surgcam::protocol::{FromWorker, Hello, Job, PROTOCOL_VERSION, StageJob};
use surgcam::runner::worker_process::host;
use surgcam::store::Store;
use surgcam::store::lock::StageLock;
use surgcam::store::record::{Machine, RECORD_FORMAT, Record};
use tch::Device;

use stages::{StageRun, Worker};

/// Makes stages of surgcam; started by surgcam, not by hand.
#[derive(Parser)]
struct Arguments {
    /// auto, cpu or cuda:N
    #[arg(long)]
    device: String,
    #[arg(long)]
    threads: usize,
    #[arg(long)]
    store: PathBuf,
    /// A common store, only read
    #[arg(long)]
    shared: Option<PathBuf>,
}

static STOPPING: AtomicBool = AtomicBool::new(false);
/// How long a stage may take to notice that it should stop.
const GRACE: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    keep_freed_memory();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let arguments = Arguments::parse();
    let mut protocol = take_over_stdout()?;
    let device = choose_device(&arguments.device)?;
    let threads = arguments.threads.max(1);
    tch::set_num_threads(threads as i32);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::failure(format!("cannot start threads: {error}")))?;
    let store = Store::open(&arguments.store, arguments.shared.as_deref())?;
    let hello = hello(device, threads);
    send(&mut protocol, &FromWorker::Hello(hello.clone()));
    let protocol = Mutex::new(protocol);
    let say = |message: &FromWorker| send(&mut *protocol.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), message);
    let worker = Worker { store: &store, device, stopping: &STOPPING, say: &say };
    for job in listen() {
        make_job(&worker, &hello, job);
        say(&FromWorker::JobDone);
    }
    Ok(())
}

/// Each pass frees its activations and the next asks for as many: memory that is given back to the system between the two is
/// mapped and zeroed page by page again, a third of the time of a pass over eight frames.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings of the C library's allocator, before any thread is started.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

/// Keeps the protocol's stream for ourselves and points descriptor 1 at stderr: libraries print.
fn take_over_stdout() -> Result<File> {
    // SAFETY: plain calls on descriptors that are open for the whole life of the process.
    let duplicate = unsafe {
        let duplicate = libc::dup(1);
        if duplicate >= 0 {
            libc::dup2(2, 1)
        } else {
            -1
        };
        duplicate
    };
    if duplicate < 0 {
        return Err(Error::failure("cannot take over stdout"));
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(duplicate) })
}

fn send(stream: &mut impl Write, message: &FromWorker) {
    let Ok(mut line) = serde_json::to_string(message) else { return };
    line.push('\n');
    // A runner that is gone is noticed at stdin.
    let _ = stream.write_all(line.as_bytes()).and_then(|()| stream.flush());
}

/// Jobs as they come. When stdin closes, a running stage is asked to stop and then no longer waited for.
fn listen() -> Receiver<Job> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let job = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(job) = job else { break };
            if sender.send(job).is_err() {
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

fn choose_device(name: &str) -> Result<Device> {
    let count = tch::Cuda::device_count().max(0) as usize;
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(if count > 0 { Device::Cuda(0) } else { Device::Cpu }),
        other => {
            let number: Option<usize> = other.strip_prefix("cuda:").and_then(|number| number.parse().ok());
            match number {
                Some(number) if number < count => Ok(Device::Cuda(number)),
                Some(_) => Err(Error::failure(format!("there is no device {other}: {count} CUDA devices are seen"))),
                None => Err(Error::failure(format!("`{other}` is no device: auto, cpu or cuda:N is expected"))),
            }
        }
    }
}

fn hello(device: Device, threads: usize) -> Hello {
    let (device_text, device_name) = match device {
        Device::Cuda(number) => (format!("cuda:{number}"), gpu_name(number)),
        _ => ("cpu".to_string(), "cpu".to_string()),
    };
    Hello {
        protocol: PROTOCOL_VERSION,
        surgcam: env!("CARGO_PKG_VERSION").into(),
        libtorch: "2.11.0".into(),
        host: host(),
        device: device_text,
        device_name,
        threads,
        cuda_devices: tch::Cuda::device_count().max(0) as usize,
    }
}

/// From the driver's own tool; libtorch's C interface does not tell it.
fn gpu_name(number: usize) -> String {
    let output = std::process::Command::new("nvidia-smi")
        .args(["--query-gpu=name,driver_version", "--format=csv,noheader", &format!("--id={number}")])
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().replace(", ", ", driver "),
        _ => format!("cuda:{number}"),
    }
}

/// Makes what of a job is not in the store once its locks are held, and reports on each stage.
fn make_job(worker: &Worker, hello: &Hello, job: Job) {
    let mut held: Vec<(&StageJob, StageLock)> = Vec::new();
    for stage in &job.stages {
        let lock = worker.store.lock(&stage.key, |holder| (worker.say)(&FromWorker::Waiting { key: stage.key, holder: holder.into() }));
        match lock {
            Ok(lock) => match worker.store.record(&stage.parts.kind, &stage.key) {
                Some(record) => (worker.say)(&FromWorker::Finished { key: stage.key, record: Box::new(record), executed: false }),
                None => held.push((stage, lock)),
            },
            Err(error) => (worker.say)(&FromWorker::Failed { key: stage.key, problem: (&error).into() }),
        }
    }
    let stages: Vec<&StageJob> = held.iter().map(|(stage, _)| *stage).collect();
    if stages.is_empty() {
        return;
    }
    make_together(worker, hello, &stages);
}

/// Makes stages in one pass; if that fails, each by itself, so that one that cannot be made takes no other with it.
fn make_together(worker: &Worker, hello: &Hello, stages: &[&StageJob]) {
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| make_held(worker, hello, stages)));
    let made = made.unwrap_or_else(|panic| {
        Err(Error::failure(format!("it broke: {}", panic_text(&*panic))).hint("this is a defect of surgcam; please report it"))
    });
    match made {
        Ok(records) => {
            for record in records {
                (worker.say)(&FromWorker::Finished { key: record.key, record: Box::new(record), executed: true });
            }
        }
        Err(error) if stages.len() > 1 && error.class() != Class::Interrupted => {
            tracing::warn!("{} stages together failed, each is tried by itself: {error}", stages.len());
            stages.iter().for_each(|stage| make_together(worker, hello, &[stage]));
        }
        Err(error) => {
            tracing::error!("{}: {error}", stages[0].name);
            for stage in stages {
                (worker.say)(&FromWorker::Failed { key: stage.key, problem: (&error).into() });
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
    text.unwrap_or_default().lines().next().unwrap_or_default().to_string()
}

fn make_held(worker: &Worker, hello: &Hello, jobs: &[&StageJob]) -> Result<Vec<Record>> {
    let is_alone = jobs.iter().any(|job| stages::is_alone(&job.parts.kind));
    let _machine = machine_lock(is_alone)?;
    jobs.iter().for_each(|job| (worker.say)(&FromWorker::Begun { key: job.key }));
    let started = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let begun = Instant::now();
    let workspaces = jobs.iter().map(|job| worker.store.workspace(&job.key)).collect::<Result<Vec<_>>>()?;
    let runs: Vec<StageRun> = jobs.iter().zip(&workspaces).map(|(job, workspace)| StageRun::new(worker, job, workspace.path())).collect();
    stages::make(&runs)?;
    let seconds = begun.elapsed().as_secs_f64() / jobs.len() as f64;
    let mut records = Vec::new();
    for run in &runs {
        let record = Record {
            format: RECORD_FORMAT,
            key: run.job.key,
            name: run.job.name.clone(),
            parts: run.job.parts.clone(),
            outputs: worker.store.store_outputs(run.workspace)?,
            started: started.clone(),
            seconds,
            machine: Machine {
                host: hello.host.clone(),
                device: hello.device_name.clone(),
                threads: hello.threads,
                surgcam: hello.surgcam.clone(),
                libtorch: hello.libtorch.clone(),
            },
        };
        run.tell_difference(&record);
        worker.store.write_record(&record)?;
        run.forget_partial();
        records.push(record);
    }
    Ok(records)
}

/// Speed stages hold the machine for themselves; all others share it.
fn machine_lock(is_alone: bool) -> Result<File> {
    let path = std::env::temp_dir().join("surgcam-machine.lock");
    // Another user's file can be locked too, though not written.
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .open(&path)
        .or_else(|_| File::open(&path))
        .at_path("open the machine's lock", &path)?;
    if is_alone { file.lock() } else { file.lock_shared() }.at_path("wait for the machine", &path)?;
    Ok(file)
}
