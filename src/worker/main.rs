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
mod job;
mod model;
mod one_thread;
mod perception;
mod ridge;
mod seen;
mod stages;
mod timing;
mod training;

use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clap::Parser;
use surgcam::error::{Error, Result};
use surgcam::protocol::{FromWorker, Hello, Job, PROTOCOL_VERSION};
use surgcam::runner::identity::host;
use surgcam::runner::machine_lock::MachineLock;
use surgcam::runner::visible_gpus;
use surgcam::store::Store;
use tch::Device;

use stages::Worker;

/// Makes stages of surgcam; started by surgcam, not by hand.
#[derive(Parser)]
struct Arguments {
    /// auto, cpu or cuda:N
    #[arg(long)]
    device: String,
    #[arg(long)]
    threads: usize,
    /// How long a stage waits for the machine
    #[arg(long)]
    machine_wait_seconds: u64,
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
    allow_many_open_files();
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
    let machine = MachineLock::new(&std::env::temp_dir(), Duration::from_secs(arguments.machine_wait_seconds));
    let worker = Worker { store: &store, device, stopping: &STOPPING, say: &say, machine };
    for job in listen() {
        job::make(&worker, &hello, job);
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

/// A wide pass holds hundreds of files open. The limit that a process starts with is often far below what it may have.
fn allow_many_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or fill the structure that they are given.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            // Without it a job still fits into the usual limit.
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
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
        Device::Cuda(number) => (format!("cuda:{number}"), visible_gpus::name(number)),
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
