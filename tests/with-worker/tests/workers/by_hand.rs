//! The real worker, started without a runner.

use surgcam_testkit as common;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use common::{Place, Said};

/// The real worker, started by hand.
fn worker(place: &Place, device: &str) -> Command {
    let mut command = Command::new(common::worker());
    command
        .args(["--device", device, "--threads", "1", "--machine-wait-seconds", "1", "--store"])
        .arg(place.path("store"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn garbage_on_a_workers_stdin_is_a_failure_that_it_names() {
    let place = Place::new();
    let mut child = worker(&place, "cpu").spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"what is this?\n").unwrap();
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("does not understand what it was told: what is this?"),
        "{}",
        said.err
    );
}

#[test]
fn a_log_that_cannot_be_written_takes_no_cause_with_it() {
    let full = || File::options().write(true).open("/dev/full");
    if full().is_err() {
        eprintln!("skipped: this system has no /dev/full");
        return;
    }
    let place = Place::new();
    let mut child = worker(&place, "cpu").stderr(full().unwrap()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let key = format!("sha256:{}", "0".repeat(64));
    let parts = "{\"kind\":\"unheard-of\",\"version\":1,\"parameters\":{},\"inputs\":{}}";
    let job = format!(
        "{{\"stages\":[{{\"key\":\"{key}\",\"name\":\"x\",\"parts\":{parts},\"places\":{{}}}}]}}\n"
    );
    stdin.write_all(job.as_bytes()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let failed = lines
        .find(|line| line.contains("\"failed\""))
        .expect("the failure is told though the log is full");
    assert!(failed.contains("this worker knows no stage `unheard-of`"), "{failed}");
    drop(stdin);
    assert!(child.wait().unwrap().success(), "it goes on until the runner has no more");
}
