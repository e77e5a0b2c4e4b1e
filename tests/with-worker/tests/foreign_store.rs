//! Stores that somebody else made: another lab, a newer program, an attacker. Nothing of one's own
//! is lost to them, and nothing is written beside the store.

use surgcam_testkit as common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Place;
use common::experiments::small;
use common::fuzzing::in_limited_process;
use serde_json::{Value, json};
use surgcam_engine::runner::journal;
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::inventory;
use surgcam_engine::store::key::{KeyParts, StageKey, key_of};
use surgcam_engine::store::name::PlainName;
use surgcam_engine::store::record::{Environment, PeakMemory, RECORD_FORMAT, Record};
use surgcam_engine::store::runs::EVENTS_FILE;
use surgcam_transfer::remote::Remote;

const PACK: PlainName = PlainName::literal("pack");

/// A finished stage in the store of this folder, which nobody has open afterwards.
fn finished(root: &Path, content: &str) -> Record {
    let store = Store::open(root, None).unwrap();
    let parts = KeyParts {
        kind: PACK,
        version: 1,
        parameters: json!({"content": content}),
        inputs: Default::default(),
    };
    let key = parts.key();
    let workspace = store.workspace(&key).unwrap();
    fs::write(workspace.path().join("frames"), content).unwrap();
    let outputs = store.store_outputs(workspace.path()).unwrap();
    let (started, machine) = (String::new(), Environment::default());
    let record = Record {
        format: RECORD_FORMAT,
        key,
        name: "pack a".into(),
        parts,
        outputs,
        started,
        seconds: 0.0,
        machine,
        peak_memory: PeakMemory::default(),
    };
    store.write_record(&record).unwrap();
    record
}

fn record_path(root: &Path, key: &StageKey) -> PathBuf {
    root.join(format!("records/pack/{}.json", key.hex()))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Writes a record for a stage of this kind, sound but for its kind, into the place of one of a
/// pack.
fn write_record_of_kind(root: &Path, sound: &Value, kind: &str) -> PathBuf {
    let key = key_of(kind, 1, "{}", std::iter::empty());
    let mut record = sound.clone();
    record["key"] = json!(key);
    record["parts"]["kind"] = json!(kind);
    record["parts"]["parameters"] = json!({});
    let path = record_path(root, &key);
    fs::write(&path, record.to_string()).unwrap();
    path
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_pull_takes_what_is_sound_refuses_the_rest_and_leaves_ones_own() {
    let place = Place::new();
    let (store, remote) = (place.path("store"), place.path("remote"));
    let own = finished(&store, "own");
    let sound = finished(&remote, "sound");
    let own_before = fs::read(record_path(&store, &own.key)).unwrap();
    let text = read(&record_path(&remote, &sound.key));
    let beside = place.path("ABS");
    let mut bad: Vec<PathBuf> = ["../../PWN", beside.to_str().unwrap()]
        .map(|kind| write_record_of_kind(&remote, &text, kind))
        .into();
    // Under another name it claims the key of one's own stage.
    let other = StageKey(Digest::of_bytes(b"other"));
    let claiming = Record {
        name: "claims another's key".into(),
        outputs: sound.outputs.clone(),
        ..own.clone()
    };
    fs::write(record_path(&remote, &other), serde_json::to_string(&claiming).unwrap()).unwrap();
    bad.push(record_path(&remote, &other));
    // Under the right name, but its parts are others.
    let mut changed = read(&record_path(&store, &own.key));
    changed["parts"]["parameters"]["content"] = json!("not mine");
    changed["key"] = json!(StageKey(Digest::of_bytes(b"changed")));
    bad.push(record_path(&remote, &StageKey(Digest::of_bytes(b"changed"))));
    fs::write(bad.last().unwrap(), changed.to_string()).unwrap();
    // A kind that no experiment has.
    fs::create_dir(remote.join("records/surprise")).unwrap();
    let surprise = write_record_of_kind(&remote, &text, "surprise");
    bad.push(remote.join("records/surprise").join(surprise.file_name().unwrap()));
    fs::rename(&surprise, bad.last().unwrap()).unwrap();

    let said = place.run(&["store", "pull", remote.to_str().unwrap()], 1);
    assert!(said.out.contains("pulled 1 stages, 1 objects"), "{}", said.out);
    assert!(said.err.contains("5 stages there were refused"), "{}", said.err);
    for path in bad {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(said.err.contains(name), "{name} is not named: {}", said.err);
    }
    assert_eq!(
        names_in(place.folder.path()),
        ["remote", "store"],
        "nothing is written beside them"
    );
    assert_eq!(fs::read(record_path(&store, &own.key)).unwrap(), own_before);
    assert_eq!(names_in(&store.join("records/pack")).len(), 2);
    place.run(&["store", "verify"], 0);
}

/// A folder's digest is that of a list, and a file may have that list for content.
#[test]
fn a_file_cannot_take_the_place_of_a_folder_that_one_will_make() {
    let place = Place::new();
    let (store, remote) = (place.path("store"), place.path("remote"));
    let sound = finished(&remote, "sound");
    let listing = format!("tree 1\n{} 3 seq_1.txt\n", Digest::of_bytes(b"abc"));
    let folder = Digest::of_bytes(listing.as_bytes());
    let object = remote.join("objects").join(&folder.hex()[..2]).join(folder.hex());
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(object, &listing).unwrap();
    let mut record = read(&record_path(&remote, &sound.key));
    record["outputs"]["listing"] =
        json!({"digest": folder, "form": "file", "bytes": listing.len()});
    fs::write(record_path(&remote, &sound.key), record.to_string()).unwrap();
    let said = place.run(&["store", "pull", remote.to_str().unwrap()], 1);
    assert!(said.err.contains("what came is not the object"), "{}", said.err);
    // A hint stands on a line of its own.
    assert!(said.err.contains("\n  hint: ") && !said.err.contains("\\n"), "{}", said.err);
    assert!(!store.join("objects").join(&folder.hex()[..2]).join(folder.hex()).exists());
}

#[test]
fn links_in_a_place_that_is_pulled_from_are_not_followed() {
    let place = Place::new();
    let remote = place.path("remote");
    finished(&remote, "sound");
    std::os::unix::fs::symlink("/", remote.join("records/root")).unwrap();
    std::os::unix::fs::symlink(".", remote.join("records/loop")).unwrap();
    let pipe = remote.join("records/pack/pipe.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = place.run(&["store", "pull", remote.to_str().unwrap()], 1);
    assert!(said.out.contains("pulled 1 stages, 1 objects"), "{}", said.out);
    for path in [remote.join("records/root"), remote.join("records/loop"), pipe] {
        assert!(
            said.err.contains(&format!("{}: it is not a regular file", path.display())),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_pull_from_a_place_that_is_no_store_is_an_error_and_makes_nothing() {
    let place = Place::new();
    let pull = |name: &str, code: i32| {
        place.run(&["store", "pull", place.path(name).to_str().unwrap()], code)
    };
    assert!(pull("typo/there", 2).err.contains("there is no store here"));
    assert!(!place.path("typo").exists());
    place.write("thesis/chapter", "");
    assert!(pull("thesis", 2).err.contains("there is no store here"));
    assert_eq!(names_in(&place.path("thesis")), ["chapter"]);
    place.write("newer/FORMAT", "surgcam-store 99");
    assert!(pull("newer", 2).err.contains("made by a newer surgcam"));
    // Copied without its FORMAT, and only to be read.
    let remote = place.path("remote");
    finished(&remote, "sound");
    fs::remove_file(remote.join("FORMAT")).unwrap();
    let change_mode = |mode: &str| {
        assert!(Command::new("chmod").args(["-R", mode]).arg(&remote).status().unwrap().success())
    };
    change_mode("a-w");
    let before = names_in(&remote);
    assert!(pull("remote", 0).out.contains("pulled 1 stages"));
    assert_eq!(names_in(&remote), before);
    change_mode("u+w");
}

/// The one record of this kind.
fn record_of_kind(place: &Place, kind: &str) -> PathBuf {
    let paths = place.entries(&format!("records/{kind}"));
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths[0].clone()
}

/// Gives a file of the store the format 99; what it was before.
fn make_newer(path: &Path) -> String {
    let before = fs::read_to_string(path).unwrap();
    let newer = before.replacen("\"format\":1", "\"format\":99", 1);
    assert_ne!(newer, before);
    fs::write(path, newer).unwrap();
    before
}

const NEWER: &str = "made by a newer surgcam";

#[test]
fn records_runs_and_plans_of_a_newer_program_are_refused_and_stay() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    let record = record_of_kind(&place, "evaluate");
    let before = make_newer(&record);
    let newer = fs::read(&record).unwrap();
    for arguments in [&["run", &file][..], &["plan", &file], &["store", "gc"]] {
        let said = place.run(arguments, 1);
        assert!(
            said.err.contains(NEWER) && said.err.contains(record.to_str().unwrap()),
            "{arguments:?}: {}",
            said.err
        );
    }
    let said = place.run(&["store", "verify"], 1);
    assert!(
        said.out.contains(NEWER) && !said.out.contains("all match their digests"),
        "{}",
        said.out
    );
    assert!(place.run(&["store", "ls"], 0).err.contains(NEWER));
    assert_eq!(fs::read(&record).unwrap(), newer);
    fs::write(&record, before).unwrap();

    let mut runs = place.entries("runs");
    runs.sort();
    let run = runs.last().unwrap().join("run.json");
    let before = make_newer(&run);
    assert!(place.run(&["runs"], 0).err.contains(NEWER));
    assert!(place.run(&["show", "latest"], 1).err.contains(NEWER));
    assert!(place.run(&["store", "gc"], 1).err.contains(NEWER));
    fs::write(&run, before).unwrap();
    let digest = read(&run)["plan"].as_str().unwrap()["sha256:".len()..].to_string();
    let plan = place.path("store/plans").join(format!("{digest}.json"));
    let before = make_newer(&plan);
    for arguments in [&["show", "latest"][..], &["diff", "latest", "latest"], &["store", "gc"]] {
        let said = place.run(arguments, 1);
        assert!(said.err.contains(NEWER), "{arguments:?}: {}", said.err);
    }
    fs::write(&plan, before).unwrap();
    place.run(&["store", "verify"], 0);
    assert!(place.run(&["run", &file], 0).err.contains("nothing to run"));
}

#[test]
fn a_folder_in_the_place_of_a_record_is_named_and_replaced() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    let record = record_of_kind(&place, "evaluate");
    let put_folder = || {
        fs::remove_file(&record).unwrap();
        fs::create_dir_all(record.join("inner")).unwrap();
    };
    put_folder();
    place.run(&["run", &file], 0);
    assert_eq!(place.executed_kinds("small"), ["evaluate"]);
    put_folder();
    place.run(&["store", "gc"], 0);
    let said = place.run(&["store", "verify"], 1);
    assert!(said.out.contains(&format!("bad record: {}", record.display())), "{}", said.out);
    place.run(&["store", "verify"], 0);
    place.run(&["run", &file], 0);
    assert!(place.run(&["run", &file], 0).err.contains("nothing to run"));
}

#[test]
fn gc_empties_no_folder_that_tmp_is_a_link_to() {
    let place = Place::new();
    place.run(&["store", "ls"], 0);
    let chapter = place.write("thesis/chapter", "");
    let tmp = place.path("store/tmp");
    fs::remove_dir(&tmp).unwrap();
    std::os::unix::fs::symlink(place.path("thesis"), &tmp).unwrap();
    place.run(&["store", "gc"], 0);
    assert!(chapter.exists());
}

#[test]
fn fuzz_records_of_a_foreign_store() {
    let place = Place::new();
    let (own, below, foreign) = (place.path("own"), place.path("below"), place.path("foreign"));
    let record = finished(&foreign, "abc");
    let path = record_path(&foreign, &record.key);
    let nested = Record {
        name: "a\u{1b}[31m".into(),
        machine: Environment { threads: 8, ..Environment::default() },
        ..record.clone()
    };
    let seeds = [fs::read(&path).unwrap(), serde_json::to_vec_pretty(&nested).unwrap()];
    let remote = Remote::source(foreign.to_str().unwrap()).unwrap();
    let puller = Store::open(&own, None).unwrap();
    let reader = Store::open(&below, Some(&foreign)).unwrap();
    in_limited_process("fuzz_records_of_a_foreign_store", &seeds, |input| {
        fs::write(&path, input).unwrap();
        let _ = (
            reader.record_head(&PACK, &record.key),
            reader.record(&PACK, &record.key),
            reader.all_records(),
        );
        let _ = remote.pull(&puller, &PACK, &record.key);
        for stored in puller.records().unwrap() {
            // What was taken is the stage that was asked for. The next input finds it gone.
            assert_eq!(stored.record.unwrap().key, record.key);
            fs::remove_file(stored.path).unwrap();
        }
        assert_eq!(names_in(place.folder.path()), ["below", "foreign", "own"]);
    });
}

#[test]
fn fuzz_runs_and_plans_of_the_history() {
    let place = Place::new();
    let mut store = Store::open(&place.path("store"), None).unwrap();
    let record = finished(&place.path("store"), "abc");
    let plan = Digest::of_bytes(b"plan");
    let stage = json!({"stage": "pack a", "kind": "pack", "key": record.key, "seconds": 1.5});
    let run = json!({
        "format": 1, "id": "one", "experiment": "a", "command": ["surgcam", "run", "a"],
        "scope": "whole", "started": "2026-01-31T00:00:00Z",
        "seconds": 1.5, "state": "running", "plan": plan, "executed": [stage], "cached": 1,
        "failed": [{"stage": "train", "problem": "no room", "blocked": false}],
        "surgcam": "0.1.0", "host": "here",
    });
    let outputs = json!({"frames": Digest::of_bytes(b"abc")});
    let stage = json!({
        "name": "pack a", "kind": "pack", "key": record.key, "seconds": 1.5, "outputs": outputs
    });
    let snapshot = json!({
        "format": 1, "experiment": {"name": "a"}, "recipes": [{"values": {"a": 1}}],
        "cells": [], "stages": [stage]
    });
    let event = json!({
        "time": "", "stage": "pack a", "event": "finished", "key": record.key, "seconds": 1.5
    });
    let seeds = [run.to_string(), snapshot.to_string(), format!("{event}\n{event}\n")]
        .map(String::into_bytes);
    let folder = store.open_run("one").unwrap().folder;
    let plan_path = store.root().join(format!("plans/{}.json", plan.hex()));
    let alone = store.use_alone(|| ()).unwrap();
    in_limited_process("fuzz_runs_and_plans_of_the_history", &seeds, |input| {
        // The others are sound, so that the one that is not is reached.
        for (path, sound) in [
            (folder.join("run.json"), &seeds[0]),
            (plan_path.clone(), &seeds[1]),
            (folder.join(EVENTS_FILE), &seeds[2]),
        ] {
            fs::write(&path, input).unwrap();
            let read = store
                .runs()
                .filter_map(Result::ok)
                .filter(|run| run.command_line().contains("surgcam") && run.failures() > 0);
            let _ = (
                read.count(),
                store.run("latest"),
                store.plan_snapshot(&plan),
                journal::read(&folder),
            );
            let earlier = EarlierRuns::of(&store, "a");
            let _ = (earlier.last_made("pack a"), earlier.was_made(&record.key));
            let _ = inventory::take(&store, &alone);
            fs::write(&path, sound).unwrap();
        }
    });
}
