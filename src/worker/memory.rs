//! The most memory that a stage took, of the machine and of its card.
//!
//! A worker makes many stages, so what the system remembers is reset before each of them. Where it
//! cannot be reset, the peak is unknown, for an earlier stage may have made it.

use std::ffi::c_int;

use surgcam_engine::store::record::PeakMemory;
use tch::Device;

unsafe extern "C" {
    fn surgcam_memory_reset(device: c_int);
    fn surgcam_memory_peak(device: c_int) -> i64;
}

/// Linux forgets the peak of resident memory when this text is written to this file.
const RESET: (&str, &str) = ("/proc/self/clear_refs", "5");
const STATUS: &str = "/proc/self/status";
const PEAK: &str = "VmHWM:";

/// Counts from its beginning on.
pub struct Watch {
    device: Device,
    is_reset: bool,
}

impl Watch {
    pub fn begin(device: Device) -> Self {
        if let Device::Cuda(number) = device {
            // SAFETY: it takes a number, and answers for a device that does not exist, too.
            unsafe { surgcam_memory_reset(number as c_int) }
        }
        let (file, text) = RESET;
        Watch { device, is_reset: std::fs::write(file, text).is_ok() }
    }

    pub fn peak(&self) -> PeakMemory {
        PeakMemory {
            resident_bytes: self.is_reset.then(resident_peak).flatten(),
            device_bytes: device_peak(self.device),
        }
    }
}

fn resident_peak() -> Option<u64> {
    let status = std::fs::read_to_string(STATUS).ok()?;
    peak_in(&status)
}

/// Linux counts in units of 1,024 bytes.
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(PEAK))?;
    let units: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    units.checked_mul(1024)
}

fn device_peak(device: Device) -> Option<u64> {
    let Device::Cuda(number) = device else { return None };
    // SAFETY: it takes a number, and answers for a device that does not exist, too.
    u64::try_from(unsafe { surgcam_memory_peak(number as c_int) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_as_linux_writes_it() {
        let status = "Name:\tsurgcam-worker\nVmPeak:\t 900 kB\nVmHWM:\t  212048 kB\nThreads:\t2\n";
        assert_eq!(peak_in(status), Some(212_048 * 1024));
        assert_eq!(peak_in("VmHWM:\t many kB\n"), None);
        assert_eq!(peak_in("Name:\tother\n"), None);
    }

    #[test]
    fn memory_that_was_taken_while_it_watched_is_in_the_peak() {
        let watch = Watch::begin(Device::Cpu);
        let taken = std::hint::black_box(vec![1_u8; 64 << 20]);
        let peak = watch.peak();
        // Where the system does not let the peak be reset, it is unknown.
        assert!(peak.resident_bytes.is_none_or(|bytes| bytes >= taken.len() as u64));
        assert_eq!(peak.device_bytes, None);
    }
}
