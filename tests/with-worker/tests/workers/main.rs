//! Workers that cannot start, hang, say what nobody understands, or run where nothing can be
//! written; and what `doctor` says of them. No run waits for such a worker without end, and the
//! message names the cause.

mod by_hand;
mod doctor;
mod fuzz;
mod hangs;

use surgcam_testkit as common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Place, Said};

/// Three stages that make nothing.
const EMPTY_PLAN: [&str; 4] = ["bench", "empty-plan", "--stages", "3"];

/// A program in the worker's place.
fn script(place: &Place, text: &str) -> PathBuf {
    let path = place.write("worker", &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn run_with(place: &Place, worker: &Path, arguments: &[&str]) -> Said {
    run_with_silence(place, worker, arguments, 1)
}

/// As [`run_with`], where silence of so many seconds is a hang.
fn run_with_silence(place: &Place, worker: &Path, arguments: &[&str], seconds: u32) -> Said {
    let mut command = place.surgcam(arguments);
    command.env("SURGCAM_WORKER", worker).env("SURGCAM_SILENCE_SECONDS", seconds.to_string());
    Said::from(command.output().unwrap())
}
