//! CUDA's half of libtorch, opened at run time where it lies beside the half for the CPU.
//!
//! The worker is linked against libtorch's CPU library alone, so that one program runs with every
//! libtorch. It must be opened before anything asks libtorch about CUDA: the first such question
//! settles for the whole process whether there is a CUDA.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};

use surgcam_engine::protocol::{Cuda, Part};

/// Opens CUDA for a device that the user asked for: not for `cpu`; for `auto` only where there is a
/// driver, for opening it takes a second.
pub fn open(device: &str) -> Option<Cuda> {
    if device == "cpu" {
        return None;
    }
    let (driver, library) = (driver(), library());
    let is_worth_it = device != "auto" || matches!(driver, Part::Found(_));
    let library = match library {
        Part::Found(path) if is_worth_it => load(Path::new(&path)),
        other => other,
    };
    let can_count = matches!((&library, &driver), (Part::Found(_), Part::Found(_)));
    // Asked without a driver, libtorch says 0 and warns.
    let devices = if can_count { tch::Cuda::device_count().max(0) as usize } else { 0 };
    Some(Cuda { driver, library, devices })
}

/// libtorch's library for CUDA, if this libtorch has one.
fn library() -> Part {
    match folder_of_libtorch() {
        Some(folder) => {
            let path = folder.join("libtorch_cuda.so");
            if path.is_file() {
                Part::Found(path.display().to_string())
            } else {
                Part::Missing(format!(
                    "this libtorch is for the CPU alone: {} has no libtorch_cuda.so",
                    folder.display()
                ))
            }
        }
        None => Part::Missing("libtorch is linked into the program itself".into()),
    }
}

/// Where the libtorch lies that this process runs with.
fn folder_of_libtorch() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?;
    let path = &line[line.find('/')?..];
    Path::new(path).parent().map(Path::to_path_buf)
}

/// Opens it for good. Its kernels register themselves.
fn load(path: &Path) -> Part {
    match dynamic_library(&path.display().to_string(), libc::RTLD_NOW | libc::RTLD_GLOBAL) {
        Ok(()) => Part::Found(path.display().to_string()),
        Err(problem) => Part::Missing(format!("libtorch_cuda.so cannot be opened: {problem}")),
    }
}

/// The driver's own library, which comes with the driver and not with libtorch.
fn driver() -> Part {
    match dynamic_library("libcuda.so.1", libc::RTLD_LAZY) {
        Ok(()) => Part::Found(
            surgcam_engine::machine::visible_gpus::driver_version()
                .unwrap_or_else(|| "libcuda.so.1".into()),
        ),
        Err(_) => Part::Missing("the NVIDIA driver is missing: libcuda.so.1 is not found".into()),
    }
}

/// Opens a library and keeps it open.
fn dynamic_library(name: &str, flags: libc::c_int) -> Result<(), String> {
    let name = CString::new(name).map_err(|_| "its path has a 0 in it".to_string())?;
    // SAFETY: the name ends with a 0. Running a library's initialisers is what it is opened for;
    // other threads that would mind are not started yet.
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: after a failure it gives a text that lives until the next call, or null.
    let problem = unsafe { libc::dlerror() };
    if problem.is_null() {
        return Err("the system does not say why".into());
    }
    // SAFETY: it is not null and ends with a 0.
    Err(unsafe { CStr::from_ptr(problem) }.to_string_lossy().into_owned())
}
