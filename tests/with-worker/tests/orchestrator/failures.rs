//! Stages that fail: limits, second attempts, and workers that die or are of another build.

use surgcam_testkit as common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{
    CLASSIFICATION, CLASSIFICATION_ONLY, journal, newest_worker_of, trained, wait_for_journal,
};
use common::Place;
use common::experiments::{small, sweep};

#[test]
fn limits_end_a_stage_and_try_it_again() {
    let place = Place::new();
    let file = sweep(
        &place,
        "slow",
        "tables = [\"classification\"]\nlimits = { train = { timeout_seconds = 5, retries = 1 } }",
        "[matrix]\nmodel = [\"tiny\"]\n[set]\nmodel.epochs = 100000",
    );
    let said = place.run(&["run", &file], 1);
    assert!(
        said.err
            .contains("again   train tiny (attempt 2) after: it took longer than its limit of 5 s"),
        "{}",
        said.err
    );
    assert!(
        said.err.contains("goes on after epoch"),
        "a second attempt goes on where the first was: {}",
        said.err
    );
    assert!(said.err.contains("FAILED  train tiny: it took longer"), "{}", said.err);
    for command in ["check", "plan"] {
        let said = place.run(&[command, &file, "--set", "experiment.limits.trian.retries=1"], 2);
        assert!(
            said.err.contains("slow.toml: experiment.limits names")
                && said.err.contains("did you mean `train`?"),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_killed_worker_is_told_from_a_stage_that_failed() {
    let place = Place::new();
    let file = small(&place, "");
    let child = place.spawn(&["run", &file, "--set", "model.epochs=100000"], Stdio::piped);
    wait_for_journal(&place, "epoch 2/");
    let worker = newest_worker_of(child.id()).unwrap();
    Command::new("kill").args(["-KILL", &worker.to_string()]).status().unwrap();
    let said = common::Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("the worker was killed by the system or by somebody (signal 9)"),
        "{}",
        said.err
    );
    let said = place.run(&["logs", "train tiny"], 0);
    assert!(
        said.out.contains("train tiny  failed: the worker was killed")
            && said.out.contains("epoch 1/"),
        "{}",
        said.out
    );
}

/// Changes an object behind the store's back, so that it is found only by use.
fn change_unseen(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let time = path.metadata().unwrap().modified().unwrap();
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_pass_that_fails_is_tried_again_once_for_each_cell_whatever_slot_is_free() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]\n\
        \"extraction.roi_threshold\" = [0.2, 0.4]";
    let file = sweep(&place, "again", "limits = { extract = { retries = 1 } }", matrix);
    place.run(&["run", &file, CLASSIFICATION[0], CLASSIFICATION[1]], 0);
    let digest = trained(&place)[0].as_str().unwrap().strip_prefix("sha256:").unwrap().to_string();
    change_unseen(&place.path("store/objects").join(&digest[..2]).join(&digest));

    let only_extraction = ["--set", "experiment.tables=[\"extraction\"]"];
    let said = place.run(
        &[
            "run",
            &file,
            "--threads",
            "1",
            "--devices",
            "cpu,cpu",
            only_extraction[0],
            only_extraction[1],
        ],
        1,
    );
    let journal = journal(&place);
    let count = |event: &str| {
        journal
            .iter()
            .filter(|(found, stage, _)| found == event && stage.starts_with("extract"))
            .count()
    };
    assert_eq!(
        (count("started"), count("retrying"), count("failed"), count("finished")),
        (8, 4, 4, 0),
        "{}",
        said.err
    );
    let failures = journal.iter().filter(|(event, _, _)| event == "retrying" || event == "failed");
    for (_, stage, text) in failures {
        assert!(text.contains("has changed since it was written"), "{stage}: {text}");
    }
}

#[test]
fn a_worker_of_another_build_is_not_waited_for() {
    let place = Place::new();
    let worker = place.path("worker");
    let hello = r#"{"message":"hello","protocol":1,"device":"cpu"}"#;
    for (says, expected) in
        [(hello, "the worker speaks protocol 1"), ("Welcome!", "does not understand: Welcome!")]
    {
        std::fs::write(&worker, format!("#!/bin/sh\necho '{says}'\ncat > /dev/null\n")).unwrap();
        std::fs::set_permissions(&worker, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Asked who it is while planning; then told to make a stage.
        for (file, code) in [
            (small(&place, ""), 2),
            (sweep(&place, "plain", CLASSIFICATION_ONLY, "[matrix]\nmodel = [\"tiny\"]"), 1),
        ] {
            let output =
                place.surgcam(&["run", &file]).env("SURGCAM_WORKER", &worker).output().unwrap();
            let said = common::Said::from(output);
            assert_eq!(said.code, Some(code), "{}", said.err);
            assert!(said.err.contains(expected), "{}", said.err);
        }
    }
}
