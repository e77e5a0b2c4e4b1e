//! The GPUs that this process may use: those that CUDA_VISIBLE_DEVICES leaves, read as CUDA reads
//! it.

use std::path::Path;

/// Names the GPUs that a process sees, by number or UUID. The process counts them from 0.
pub const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// Sets the order in which CUDA numbers GPUs. By default the fastest comes first.
pub const ORDER: &str = "CUDA_DEVICE_ORDER";
/// The order in which the driver's own tool numbers them.
pub const DRIVERS_ORDER: &str = "PCI_BUS_ID";

/// The variable as the user set it.
pub fn preset() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// The entry of the GPU that a process with this preset sees as number `position`; `None` if it
/// does not see so many.
pub fn entry(position: usize, preset: Option<&str>) -> Option<String> {
    match preset {
        None => Some(position.to_string()),
        Some(preset) => entries(preset).nth(position).map(String::from),
    }
}

/// Every GPU that the user left visible, as `cuda:N`.
pub fn all(preset: Option<&str>) -> Vec<String> {
    let count = preset.map_or_else(installed, |preset| entries(preset).count());
    (0..count).map(|position| format!("cuda:{position}")).collect()
}

/// CUDA ignores everything after an entry that does not name a GPU.
fn entries(preset: &str) -> impl Iterator<Item = &str> {
    preset
        .split(',')
        .map(str::trim)
        .take_while(|entry| !entry.is_empty() && !entry.starts_with('-'))
}

/// How many GPUs the driver has. Asking the driver is cheaper than loading CUDA.
fn installed() -> usize {
    Path::new("/proc/driver/nvidia/gpus").read_dir().map_or(0, |folders| folders.count())
}

/// The driver's own text about its version; `None` on a machine without a driver.
pub fn driver() -> Option<String> {
    std::fs::read_to_string("/proc/driver/nvidia/version").ok()
}

/// The driver's version, for example `580.65.06`; `None` on a machine without a driver.
pub fn driver_version() -> Option<String> {
    let text = driver()?;
    let is_version =
        |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    text.split_whitespace().find(is_version).map(String::from)
}

/// The GPU's name and its driver's version, from the driver's own tool, because libtorch's C
/// interface does not tell them.
pub fn name(position: usize) -> String {
    let Some(entry) = entry(position, preset().as_deref()) else {
        return format!("cuda:{position}");
    };
    let output = std::process::Command::new("nvidia-smi")
        .args([
            "--query-gpu=name,driver_version",
            "--format=csv,noheader",
            &format!("--id={entry}"),
        ])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().replace(", ", ", driver ")
        }
        _ => format!("GPU {entry}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_counted_among_those_that_the_user_left_visible() {
        assert_eq!(entry(1, None).as_deref(), Some("1"));
        assert_eq!(entry(1, Some("4, 7")).as_deref(), Some("7"));
        assert_eq!(entry(0, Some("GPU-5ae3,GPU-77b1")).as_deref(), Some("GPU-5ae3"));
        assert_eq!(entry(2, Some("4,7")), None);
        assert_eq!(entry(0, Some("")), None, "none is visible");
        assert_eq!(entry(0, Some("-1")), None);
        assert_eq!(entry(1, Some("0,-1,1")), None, "CUDA stops at what is none");
    }

    #[test]
    fn all_are_those_that_the_user_left_visible() {
        assert_eq!(all(Some("GPU-5ae3, 7")), ["cuda:0", "cuda:1"]);
        assert!(all(Some("")).is_empty());
    }
}
