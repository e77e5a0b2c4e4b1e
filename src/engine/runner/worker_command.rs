//! How workers are started: which program, on which device, with which libtorch.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::machine::libtorch::{self, Libtorch};
use crate::machine::visible_gpus;

/// The settings of workers.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The program; `surgcam-worker` beside this one where absent.
    pub program: Option<PathBuf>,
    /// auto, cpu, cuda:N, several of them, or all.
    pub device: String,
    /// Threads of a stage on the CPU; all cores where absent.
    pub threads: Option<NonZeroUsize>,
    pub libtorch: LibtorchChoice,
    pub silence: Duration,
    pub machine_wait_seconds: u64,
    /// What to do about a worker that the system killed.
    pub memory_hint: &'static str,
}

/// How one slot's workers are started.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    pub program: PathBuf,
    /// The device as the worker sees it.
    pub device: String,
    pub threads: usize,
    /// The only GPU that the worker sees: an entry of CUDA_VISIBLE_DEVICES.
    pub visible_gpu: Option<String>,
    /// Shared by all slots, so that it is searched for once; absent for a worker that does not need
    /// it.
    pub libtorch: Option<Arc<LibtorchChoice>>,
    /// A worker that is silent for this long is considered to hang.
    pub silence: Duration,
    /// How long its stages wait for the lock on the machine.
    pub machine_wait_seconds: u64,
    pub memory_hint: &'static str,
}

/// The libtorch of all workers. It is searched for when the first worker is started, because asking
/// Python takes longer than planning.
#[derive(Debug, Clone, Default)]
pub struct LibtorchChoice {
    setting: Option<PathBuf>,
    built_with: Option<PathBuf>,
    found: OnceLock<Result<Libtorch>>,
}

impl LibtorchChoice {
    /// The folder that the user set, and the one that workers were built with.
    pub fn new(setting: Option<PathBuf>, built_with: Option<PathBuf>) -> Self {
        LibtorchChoice { setting, built_with, found: OnceLock::new() }
    }

    /// # Errors
    /// The same as those of [`libtorch::find`].
    pub fn find(&self) -> Result<&Libtorch> {
        self.found
            .get_or_init(|| libtorch::find(self.setting.as_deref(), self.built_with.as_deref()))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The text of [`libtorch::circumstances`].
    pub fn circumstances(&self) -> String {
        libtorch::circumstances(self.setting.as_deref())
    }
}

impl WorkerCommand {
    /// One for each device of the settings. The program is that of the settings, or the one beside
    /// this program.
    pub fn for_devices(settings: &WorkerSettings) -> Result<Vec<Self>> {
        let program = match &settings.program {
            Some(program) => program.clone(),
            None => {
                let own = std::env::current_exe().map_err(|error| {
                    Error::failure(format!("cannot find this program: {error}"))
                })?;
                own.with_file_name("surgcam-worker")
            }
        };
        if !program.is_file() {
            return Err(Error::usage("the program that runs stages does not exist")
                .at_path(&program)
                .hint("build it with `make build`"));
        }
        let threads = settings.threads.map_or_else(cores, NonZeroUsize::get);
        let libtorch = Some(Arc::new(settings.libtorch.clone()));
        let preset = visible_gpus::preset();
        let names = devices(&settings.device, preset.as_deref())?;
        let command = |name: String| {
            let visible_gpu = visible_gpu(&name, preset.as_deref())?;
            let device = if visible_gpu.is_some() { "cuda:0".to_string() } else { name };
            let (program, libtorch) = (program.clone(), libtorch.clone());
            let WorkerSettings { silence, machine_wait_seconds, memory_hint, .. } = *settings;
            Ok(WorkerCommand {
                program,
                device,
                threads,
                visible_gpu,
                libtorch,
                silence,
                machine_wait_seconds,
                memory_hint,
            })
        };
        names.into_iter().map(command).collect()
    }

    /// For stages that need no device.
    pub fn without_device(&self) -> Self {
        WorkerCommand { device: "cpu".into(), visible_gpu: None, ..self.clone() }
    }

    /// A text that changes when the worker would run with another libtorch.
    pub(super) fn circumstances(&self) -> String {
        self.libtorch.as_ref().map(|libtorch| libtorch.circumstances()).unwrap_or_default()
    }

    /// The process, not yet started.
    ///
    /// # Errors
    /// If libtorch is not found.
    pub(super) fn process(&self) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(["--device", &self.device, "--threads", &self.threads.to_string()]);
        command.args(["--machine-wait-seconds", &self.machine_wait_seconds.to_string()]);
        if let Some(libtorch) = &self.libtorch {
            command.env(LIBRARY_PATH, library_path(&libtorch.find()?.folder)?);
        }
        if let Some(gpu) = &self.visible_gpu {
            command.env(visible_gpus::VARIABLE, gpu);
            // A number that the user set is in CUDA's order; numbers of this program are in the
            // driver's order.
            if [visible_gpus::VARIABLE, visible_gpus::ORDER]
                .iter()
                .all(|name| std::env::var_os(name).is_none())
            {
                command.env(visible_gpus::ORDER, visible_gpus::DRIVERS_ORDER);
            }
        }
        if [WAITING_TURNS, "OMP_WAIT_POLICY"].iter().all(|name| std::env::var_os(name).is_none()) {
            command.env(WAITING_TURNS, "20000");
        }
        command.env(TENSOR_FLOAT_32, "0");
        Ok(command)
    }
}

/// Where the system looks for shared libraries first.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// How long libtorch's threads keep their cores busy after their work, in case there is more. The
/// default is milliseconds, during which other threads of the worker need those cores.
const WAITING_TURNS: &str = "GOMP_SPINCOUNT";

/// Whether CUDA's libraries may round factors to 19 bits. They must not, because results shall be
/// those of f32.
const TENSOR_FLOAT_32: &str = "NVIDIA_TF32_OVERRIDE";

/// The libraries of this libtorch, followed by the user's own folders.
fn library_path(libtorch: &Path) -> Result<std::ffi::OsString> {
    let of_user = std::env::var_os(LIBRARY_PATH).unwrap_or_default();
    let of_user = std::env::split_paths(&of_user).filter(|folder| !folder.as_os_str().is_empty());
    std::env::join_paths(std::iter::once(libtorch.join("lib")).chain(of_user)).map_err(|_| {
        Error::usage(
            "the path of libtorch contains a colon, which separates paths in LD_LIBRARY_PATH",
        )
        .at_path(libtorch)
    })
}

/// The number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The devices that the setting names, one slot each. `all` is every visible GPU, or the processor
/// where there is none.
fn devices(setting: &str, preset: Option<&str>) -> Result<Vec<String>> {
    const KNOWN: &str = "write auto, cpu, cuda:0, several as in cuda:0,cuda:1, or all";
    let mut devices: Vec<String> = Vec::new();
    for name in setting.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let is_gpu =
            name.strip_prefix("cuda:").is_some_and(|number| number.parse::<usize>().is_ok());
        let named = match name {
            "all" => Some(visible_gpus::all(preset))
                .filter(|gpus| !gpus.is_empty())
                .unwrap_or_else(|| vec!["auto".into()]),
            _ if is_gpu || ["auto", "cpu"].contains(&name) => vec![name.to_string()],
            _ => return Err(Error::usage(format!("`{name}` is not a device")).hint(KNOWN)),
        };
        devices.extend(named);
    }
    if devices.is_empty() {
        Err(Error::usage("no device is given").hint(KNOWN))
    } else {
        Ok(devices)
    }
}

/// Checks that a setting names devices. Only workers know whether the devices exist.
pub fn check_devices(setting: &str) -> Result<()> {
    devices(setting, visible_gpus::preset().as_deref()).map(drop)
}

/// The GPU that `cuda:N` means: the Nth of those that the user left visible.
fn visible_gpu(device: &str, preset: Option<&str>) -> Result<Option<String>> {
    let Some(number) = device.strip_prefix("cuda:") else { return Ok(None) };
    let position = number.parse().map_err(|_| {
        Error::usage(format!("`{device}` is not a device: auto, cpu, cuda:N or all is expected"))
    })?;
    visible_gpus::entry(position, preset).map(Some).ok_or_else(|| {
        Error::usage(format!(
            "there is no device {device}: {} is `{}`",
            visible_gpus::VARIABLE,
            preset.unwrap_or_default()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_the_user_left_visible_is_pinned_and_no_other() {
        let gpu = |device: &str, preset: Option<&str>| {
            visible_gpu(device, preset).map_err(|error| error.to_string())
        };
        assert_eq!(gpu("cuda:1", None).unwrap().as_deref(), Some("1"));
        assert_eq!(gpu("cuda:1", Some("4, 7")).unwrap().as_deref(), Some("7"));
        assert_eq!(gpu("cpu", Some("0")).unwrap(), None);
        assert!(gpu("cuda:2", Some("4,7")).unwrap_err().contains("CUDA_VISIBLE_DEVICES is `4,7`"));
        assert!(gpu("cuda:0", Some("")).unwrap_err().contains("CUDA_VISIBLE_DEVICES is ``"));
        assert!(gpu("cuda:x", None).unwrap_err().contains("is not a device"));
    }

    #[test]
    fn all_is_every_visible_gpu_or_the_processor() {
        let devices = |setting, preset| {
            devices(setting, preset).unwrap_or_else(|error| vec![error.to_string()])
        };
        assert_eq!(devices("all", Some("4,7")), ["cuda:0", "cuda:1"]);
        assert_eq!(devices("cpu, cpu", Some("4,7")), ["cpu", "cpu"]);
        assert_eq!(devices("all", Some("")), ["auto"]);
        assert!(devices(" ,", None)[0].contains("no device is given"));
        assert!(devices("cpu,gpu", None)[0].contains("`gpu` is not a device"));
    }
}
