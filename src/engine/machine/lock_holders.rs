//! Who holds a lock on a file, as Linux lists it in `/proc/locks`. Locks from within other
//! containers are not in the list.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The processes that hold a lock on the file, each with its program and its user. The list is
/// empty where the system does not tell.
pub(super) fn holders(file: &Metadata) -> Vec<String> {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let place =
        format!("{:02x}:{:02x}:{}", libc::major(file.dev()), libc::minor(file.dev()), file.ino());
    processes(&locks, &place).into_iter().map(described).collect()
}

/// Reads lines like `1: FLOCK  ADVISORY  WRITE 708 fe:00:1234 0 EOF`. Lines about waiting processes
/// begin with `1: -> FLOCK`.
fn processes<'a>(locks: &'a str, place: &str) -> Vec<&'a str> {
    let process = |line: &'a str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, _, process, of, ..] if *of == place => Some(*process),
            _ => None,
        }
    };
    let mut processes: Vec<&str> = locks.lines().filter_map(process).collect();
    processes.sort_unstable();
    processes.dedup();
    processes
}

fn described(process: &str) -> String {
    let folder = Path::new("/proc").join(process);
    let program = fs::read_to_string(folder.join("comm"))
        .map(|name| format!(" ({})", name.trim()))
        .unwrap_or_default();
    let user = fs::metadata(&folder)
        .map(|metadata| format!(" of user {}", metadata.uid()))
        .unwrap_or_default();
    format!("process {process}{program}{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_told_from_those_who_wait_and_from_holders_of_other_files() {
        let locks = "1: FLOCK  ADVISORY  READ 708 fe:00:1234 0 EOF\n\
            1: -> FLOCK  ADVISORY  WRITE 709 fe:00:1234 0 EOF\n\
            2: FLOCK  ADVISORY  WRITE 710 fe:00:123 0 EOF\n\
            3: POSIX  ADVISORY  WRITE 711 fe:00:1234 0 EOF\n\
            4: FLOCK  ADVISORY  READ 65 fe:00:1234 0 EOF\n\
            5: FLOCK  ADVISORY  READ 708 fe:00:1234 0 EOF\n";
        assert_eq!(processes(locks, "fe:00:1234"), ["65", "708"]);
    }

    #[test]
    fn a_process_is_described_by_its_program_and_its_user() {
        let own = std::process::id().to_string();
        assert!(described(&own).starts_with(&format!("process {own}")));
        assert_eq!(described("0"), "process 0");
    }
}
