//! What earlier versions wrote is read by this one, or refused with what to do about it. The stores
//! of earlier versions are in tests/stores.

use surgcam_testkit as common;

use std::fs;
use std::path::{Path, PathBuf};

use common::Place;
use walkdir::WalkDir;

const FIRST_RUN: &str = "20261128T003622686-10120";
const SECOND_RUN: &str = "20261128T003637247-10288";

fn first_version() -> PathBuf {
    common::project_folder().join("tests/stores/v1")
}

fn copy(from: &Path, to: &Path) {
    for entry in WalkDir::new(from) {
        let path = entry.unwrap().into_path();
        let copied = to.join(path.strip_prefix(from).unwrap());
        if path.is_dir() {
            fs::create_dir_all(copied).unwrap();
        } else {
            fs::copy(&path, copied).unwrap();
        }
    }
}

/// A place with the store of the first version.
fn place_of_the_first_version() -> Place {
    let place = Place::new();
    for folder in ["records", "runs", "plans"] {
        copy(&first_version().join(folder), &place.path("store").join(folder));
    }
    fs::copy(first_version().join("FORMAT"), place.path("store/FORMAT")).unwrap();
    place
}

#[test]
fn runs_of_the_first_version_are_listed_shown_and_compared() {
    let place = place_of_the_first_version();
    let runs = place.run(&["runs"], 0).out;
    let lines: Vec<&str> = runs.lines().collect();
    assert!(lines[0].starts_with(SECOND_RUN) && lines[0].contains("12 cached"), "{runs}");
    assert!(lines[1].starts_with(FIRST_RUN) && lines[1].contains("12 run"), "{runs}");
    let shown = place.run(&["show", FIRST_RUN], 0).out;
    for expected in ["surgcam run small --device cpu", "12 run, 0 cached", "batch_size = 3"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let json = place.run(&["show", "run", "latest", "--json"], 0).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["id"], SECOND_RUN);
    assert_eq!(json["asked"], serde_json::json!({"experiment": "small", "set": []}));
    let compared = place.run(&["diff", FIRST_RUN, SECOND_RUN], 0).out;
    assert!(compared.contains("no difference"), "{compared}");
    let completed = place
        .surgcam(&["--", "surgcam", "show", "run", "20261128T003622"])
        .env("SURGCAM_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "3")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(completed.stdout).unwrap(), FIRST_RUN);
    let logs = place.run(&["logs", "train"], 0).out;
    assert!(logs.contains("train tiny  finished in 3.1 s"), "{logs}");
}

#[test]
fn records_of_the_first_version_are_those_of_todays_stages() {
    let place = place_of_the_first_version();
    let listed = place.run(&["store", "ls"], 0).out;
    assert!(listed.contains("train tiny") && listed.lines().count() == 12, "{listed}");
    let experiment = first_version().join("small.toml");
    let planned = place.run(&["plan", experiment.to_str().unwrap()], 0).out;
    // The record under today's key is found. Only its output, which is not kept here, is not.
    let sample = planned.lines().next().unwrap();
    assert!(sample.ends_with("will run: output missing from the store"), "{planned}");
    assert!(planned.contains("stage version 1 -> 2"), "{planned}");
}

#[test]
fn settings_of_the_first_version_are_in_force() {
    let place = Place::new();
    let project = place.path("project");
    place.run(&["init", project.to_str().unwrap()], 0);
    fs::copy(first_version().join("surgcam.toml"), project.join("surgcam.toml")).unwrap();
    let output = place.surgcam(&["show", "recipe", "gc-d"]).current_dir(&project).output().unwrap();
    let said = common::Said::from(output);
    let epochs = said.out.lines().find(|line| line.starts_with("epochs")).unwrap();
    assert!(epochs.contains("= 1 ") && epochs.contains("surgcam.toml"), "{epochs}");
}

#[test]
fn a_store_of_a_newer_version_is_refused_with_what_to_do_and_stays_as_it_is() {
    let place = place_of_the_first_version();
    let newer = "surgcam-store 2";
    fs::write(place.path("store/FORMAT"), newer).unwrap();
    let said = place.run(&["runs"], 2);
    for expected in ["made by a newer surgcam", "hint: ", "use the program that made this one"] {
        assert!(said.err.contains(expected), "{expected}: {}", said.err);
    }
    assert_eq!(fs::read_to_string(place.path("store/FORMAT")).unwrap(), newer);
}
