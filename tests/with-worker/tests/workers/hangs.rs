//! Workers that say nothing, too little or too much, and how they are ended.

use surgcam_testkit as common;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::{EMPTY_PLAN, run_with, run_with_silence, script};
use common::experiments::sweep;
use common::{Place, Said};

#[test]
fn a_worker_that_says_nothing_is_a_hang_and_is_named_so() {
    let place = Place::new();
    for text in ["exec sleep 600", "echo '{\"message\":\"alive\"}'; exec sleep 600"] {
        let said = run_with(&place, &script(&place, text), &EMPTY_PLAN);
        assert_eq!(said.code, Some(1));
        assert!(
            said.err.contains("the worker hangs: it has said nothing for 1 s and was ended"),
            "{}",
            said.err
        );
        assert!(said.err.contains("raise silence_seconds"), "{}", said.err);
    }
    let said = run_with(&place, &script(&place, "exec sleep 600"), &["doctor"]);
    assert!(said.code == Some(1) && said.err.contains("the worker hangs"), "{}", said.err);
}

#[test]
fn a_worker_that_is_slow_but_alive_is_waited_for() {
    let place = Place::new();
    let real = common::worker().display().to_string();
    // Longer than the silence that is a hang. That one is long enough for a real worker to load
    // libtorch on a busy machine, which it does before it can say anything.
    let slow = format!(
        "for turn in 1 2 3 4 5 6 7; do echo '{{\"message\":\"alive\"}}'; sleep 1; done\n\
         exec {real} \"$@\""
    );
    let said = run_with_silence(&place, &script(&place, &slow), &EMPTY_PLAN, 5);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn an_endless_line_ends_its_worker_and_not_the_run() {
    let place = Place::new();
    let said = run_with(&place, &script(&place, "exec cat /dev/zero"), &EMPTY_PLAN);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("the worker wrote a line of more than 64 MB"), "{}", said.err);
}

#[test]
fn an_interruption_ends_a_worker_that_hangs() {
    let place = Place::new();
    let worker = script(&place, "trap '' TERM\nexec sleep 600");
    let experiment =
        sweep(&place, "hangs", "", "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]");
    let mut command = place.surgcam(&["run", &experiment]);
    let child = command
        .env("SURGCAM_WORKER", &worker)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let hanging = worker_of(&child);
    // SAFETY: a plain signal to a child of ours.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    // Whoever waited for the worker would wait for ten minutes.
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(130), "{}", said.err);
    assert!(!Path::new(&format!("/proc/{hanging}")).exists(), "the worker is left behind");
}

#[test]
fn what_a_worker_has_started_ends_with_it() {
    let place = Place::new();
    let pid = place.path("pid");
    let said = run_with(
        &place,
        &script(&place, &format!("sleep 600 &\necho $! > {}\nwait", pid.display())),
        &EMPTY_PLAN,
    );
    assert!(said.err.contains("the worker hangs"), "{}", said.err);
    let child = std::fs::read_to_string(&pid).unwrap();
    // It was killed, and needs a moment to be gone. One that lives would need ten minutes.
    for _ in 0..3000 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.trim())).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the worker's child lives on");
}

/// The process of the first worker that a run starts.
fn worker_of(run: &Child) -> String {
    let children = PathBuf::from(format!("/proc/{0}/task/{0}/children", run.id()));
    loop {
        let found = std::fs::read_to_string(&children).unwrap();
        for child in found.split_whitespace() {
            let command = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if command.starts_with(b"sleep\x00600") {
                return child.to_string();
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
