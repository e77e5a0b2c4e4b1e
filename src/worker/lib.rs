//! `surgcam-worker`: makes stages on a device. The runner sends jobs over stdin, and the worker
//! answers over stdout (see `surgcam_engine::protocol`). Everything that touches a tensor is in
//! this program.
//!
//! It holds the lock of each stage that it makes, and it ends when its stdin is closed. So a runner
//! that dies leaves no worker and no lock behind.

mod activations;
mod cam;
mod crops;
mod cuda;
mod deletion_insertion;
mod feature_extractor;
mod features;
mod fetching;
mod frame_set;
mod generator;
#[cfg(test)]
mod golden;
mod heads;
mod heat_maps;
mod images;
mod job;
mod memory;
mod model;
mod modes;
mod one_thread;
mod predictions;
mod regions;
mod remembered;
mod ridge;
mod runner_link;
mod self_test;
mod stages;
mod timing;
mod training;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::machine::lock::MachineLock;
use surgcam_engine::machine::{host, libtorch, visible_gpus};
use surgcam_engine::protocol::{Cuda, FromWorker, Hello, PROTOCOL_VERSION};
use surgcam_engine::store::Store;
use tch::Device;

use runner_link::{RunnerLink, STOPPING};
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

/// Makes stages until the runner has no more.
pub fn main() -> ExitCode {
    keep_freed_memory();
    allow_many_open_files();
    // A log that cannot be written, on a full disk for example, must not end the worker: errors go
    // to the runner as messages.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    let arguments = Arguments::parse();
    let link = match RunnerLink::open() {
        Ok(link) => link,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (setup, hello) = match set_up(&arguments) {
        Ok(ready) => ready,
        Err(error) => {
            tracing::error!("{error}");
            link.say(&FromWorker::CannotStart { problem: (&error).into() });
            return ExitCode::FAILURE;
        }
    };
    link.say(&FromWorker::Hello(hello.clone()));
    match work(setup, &hello, &link) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What all jobs share.
struct Setup {
    store: Store,
    device: Device,
    machine: MachineLock,
}

fn set_up(arguments: &Arguments) -> Result<(Setup, Hello)> {
    // First of all: whoever asks libtorch for its version asks it about CUDA, too.
    let cuda = cuda::library::open(&arguments.device);
    let libtorch = libtorch_version()?;
    let device = choose_device(&arguments.device, cuda.as_ref())?;
    let threads = arguments.threads.max(1);
    tch::set_num_threads(threads as i32);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| Error::failure(format!("cannot start threads: {error}")))?;
    let store = Store::open(&arguments.store, arguments.shared.as_deref())?;
    let machine = MachineLock::new(
        &std::env::temp_dir(),
        Duration::from_secs(arguments.machine_wait_seconds),
    );
    Ok((Setup { store, device, machine }, hello(device, threads, libtorch, cuda)))
}

/// Makes jobs until the runner has no more.
fn work(setup: Setup, hello: &Hello, link: &RunnerLink) -> Result<()> {
    let say = |message: &FromWorker| link.say(message);
    let worker = Worker {
        store: &setup.store,
        device: setup.device,
        stopping: &STOPPING,
        say: &say,
        machine: setup.machine,
    };
    for job in link.listen() {
        job::make(&worker, hello, job?);
        say(&FromWorker::JobDone);
    }
    Ok(())
}

/// What the libtorch of this process says about itself.
fn libtorch_version() -> Result<String> {
    let version = model::libtorch_operators::libtorch_version();
    if libtorch::is_needed(&version) {
        return Ok(version);
    }
    let needed = libtorch::NEEDED_VERSION;
    Err(Error::failure(format!(
        "the worker was started with libtorch {version}, and {needed} is needed"
    ))
    .hint("SURGCAM_LIBTORCH names the folder of another torch"))
}

/// Keeps freed memory in the process. Each pass frees its activations, and the next one needs as
/// much memory again. If it were given back to the system in between, it would be mapped and zeroed
/// page by page again, which takes a third of the time of a pass over eight frames.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings of the C library's allocator, before any thread is started.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

/// A wide pass holds hundreds of files open. The limit that a process starts with is often far
/// below what it may have.
fn allow_many_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or fill the structure that they are given.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max
        {
            limit.rlim_cur = limit.rlim_max;
            // Without it a job still fits into the usual limit.
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

fn choose_device(name: &str, cuda: Option<&Cuda>) -> Result<Device> {
    let count = cuda.map_or(0, |cuda| cuda.devices);
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(if count > 0 { Device::Cuda(0) } else { Device::Cpu }),
        other => {
            let number: Option<usize> =
                other.strip_prefix("cuda:").and_then(|number| number.parse().ok());
            match number {
                Some(number) if number < count => Ok(Device::Cuda(number)),
                Some(_) => Err(no_such_device(other, count, cuda)),
                None => Err(Error::failure(format!(
                    "`{other}` is not a device: auto, cpu or cuda:N is expected"
                ))),
            }
        }
    }
}

fn no_such_device(name: &str, count: usize, cuda: Option<&Cuda>) -> Error {
    let missing = cuda.and_then(Cuda::missing);
    let why = missing.as_ref().map_or_else(
        || format!("{count} CUDA devices are seen"),
        |missing| missing.what().to_string(),
    );
    let error = Error::failure(format!("there is no device {name}: {why}"));
    match missing.as_ref().and_then(Error::hint_text) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hello(device: Device, threads: usize, libtorch: String, cuda: Option<Cuda>) -> Hello {
    let (device_text, device_name) = match device {
        Device::Cuda(number) => (format!("cuda:{number}"), visible_gpus::name(number)),
        _ => ("cpu".to_string(), "cpu".to_string()),
    };
    Hello {
        protocol: PROTOCOL_VERSION,
        surgcam: env!("CARGO_PKG_VERSION").into(),
        libtorch,
        host: host(),
        device: device_text,
        device_name,
        threads,
        cuda,
    }
}
