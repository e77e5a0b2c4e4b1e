//! Fuzz tests: mutated inputs, tried in a process of their own whose memory and time are limited.
//!
//! A fuzz test calls [`in_limited_process`] with a closure that tries one input. The closure runs
//! in a child process that may take one GB more than it has at its start, and at most
//! [`SECONDS_A_CASE`] for one input. Where an input makes the child panic, abort, run out of memory
//! or hang, the test fails and keeps that input in a file that its message names.
//!
//! Inputs are drawn from named random streams, so that a failure comes again. `SURGCAM_FUZZ_CASES`
//! says how many each test tries; `make fuzz` sets it to many. `SURGCAM_FUZZ_SEED` draws others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::RngExt;
use surgcam_frames::random::{Stream, stream};

/// How many inputs each test tries in `make test`.
const CASES: usize = 300;
/// How many seconds a single input may take.
const SECONDS_A_CASE: u64 = 5;
/// How much memory the child may take beyond what it has at its start.
const MEMORY: u64 = 1 << 30;
/// Names the file in which the child keeps the input that it is trying.
const CHILD: &str = "SURGCAM_FUZZ_CURRENT_INPUT";

/// Tries mutations of `seeds` in a child process. `test` is the full name of the calling test, as
/// `cargo test` prints it.
///
/// # Panics
/// Where an input breaks the child.
pub fn in_limited_process(test: &str, seeds: &[Vec<u8>], try_input: impl Fn(&[u8])) {
    match std::env::var_os(CHILD) {
        Some(current) => try_all(test, seeds, Path::new(&current), try_input),
        None => start_child(test),
    }
}

fn start_child(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let current = folder.path().join("input");
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, &current)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("running 0 tests"), "there is no test called {test}");
    if !output.status.success() {
        let kept = std::env::temp_dir().join(format!("surgcam-fuzz-{}", test.replace("::", "-")));
        let _ = std::fs::copy(&current, &kept);
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!(
            "an input broke {test} ({}); it is kept in {}\n{said}\n{errors}",
            output.status,
            kept.display()
        );
    }
}

fn try_all(test: &str, seeds: &[Vec<u8>], current: &Path, try_input: impl Fn(&[u8])) {
    limit_memory();
    let begun = std::sync::Arc::new(Mutex::new(Instant::now()));
    let watched = begun.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            if watched.lock().unwrap().elapsed() > Duration::from_secs(SECONDS_A_CASE) {
                eprintln!("the input takes longer than {SECONDS_A_CASE} s");
                std::process::abort();
            }
        }
    });
    let cases = std::env::var("SURGCAM_FUZZ_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let seed = std::env::var("SURGCAM_FUZZ_SEED").unwrap_or_default();
    for case in 0..cases {
        let mut random = stream(&format!("fuzz/{test}/{seed}/{case}"));
        let input = mutated(seeds, &mut random);
        std::fs::write(current, &input).unwrap();
        *begun.lock().unwrap() = Instant::now();
        try_input(&input);
    }
    println!("{cases} inputs tried");
}

/// One of the seeds with one to eight changes.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Stream) -> Vec<u8> {
    let mut input = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..=8) {
        change(&mut input, seeds, random);
    }
    input
}

/// Texts that parsers trip over: extreme numbers, names that are paths, control characters,
/// openings without an end.
const NASTY: [&str; 24] = [
    "-1",
    "0",
    "99999999999999999999",
    "1e308",
    "-1e308",
    "nan",
    "inf",
    "-inf",
    "4294967296",
    "../../x",
    "/x",
    "\u{1b}[31m",
    "\0",
    "\u{feff}",
    "\r\n",
    "\t",
    ",",
    "\"",
    "[[",
    "{{",
    "]]",
    "}}",
    "é😀",
    "=1+1",
];

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Stream) {
    let place = random.random_range(0..=input.len());
    let end = (place + random.random_range(0..=32)).min(input.len());
    match random.random_range(0..8) {
        0 if place < input.len() => input[place] ^= 1 << random.random_range(0..8),
        1 if place < input.len() => input[place] = random.random(),
        2 => drop(input.drain(place..end)),
        3 => input.truncate(place),
        4 => {
            let nasty = NASTY[random.random_range(0..NASTY.len())];
            drop(input.splice(place..end, nasty.bytes()));
        }
        5 => {
            let part = input[place..end].to_vec();
            let times = random.random_range(1..64);
            drop(input.splice(end..end, part.repeat(times)));
        }
        6 => {
            let other = &seeds[random.random_range(0..seeds.len())];
            let start = random.random_range(0..=other.len());
            let part = &other[start..(start + 64).min(other.len())];
            drop(input.splice(place..end, part.iter().copied()));
        }
        _ => {
            let bytes: [u8; 8] = random.random();
            drop(input.splice(place..end, bytes));
        }
    }
}

/// What the process may take from here on. Address space cannot be limited: libtorch maps several
/// GB that it never touches.
fn limit_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = kilobytes * 1024 + MEMORY;
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the call only reads the structure that it is given.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) }, 0);
}

/// Every file below a folder, as seeds.
pub fn files_below(folder: &Path) -> Vec<Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    assert!(!files.is_empty(), "there are no seeds below {}", folder.display());
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}
