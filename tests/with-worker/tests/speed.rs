//! What speed rests on, tested without a clock: benchmarks say what they measured, memory stays
//! flat, precision is a setting.

use surgcam_testkit as common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use common::experiments::sweep;
use common::{Place, write_weights};

const SMALL: [&str; 10] = [
    "--backbone",
    "resnet10",
    "--image-size",
    "64",
    "80",
    "--rounds",
    "1",
    "--seconds",
    "0.01",
    "--threads",
];

#[test]
fn a_benchmark_names_what_it_measured() {
    let place = Place::new();
    let mut arguments = vec!["bench", "strategies", "--json"];
    arguments.extend(SMALL);
    arguments.push("1");
    let measured: serde_json::Value = serde_json::from_str(&place.run(&arguments, 0).out).unwrap();
    assert_eq!(
        (measured["threads"].as_u64(), measured["precision"].as_str()),
        (Some(1), Some("f32"))
    );
    let steps = measured["steps"].as_array().unwrap();
    let wanted = [
        ("forward", 1),
        ("sl-fe", 8),
        ("l-fe", 1),
        ("sl-fe, frame statistics", 1),
        ("l-fe, frame statistics", 8),
        ("ln-fe, 7 boxes", 1),
        ("decode and resize jpg to batches", 64),
        ("pack png", 64),
        ("boxes (7)", 1),
        ("crops (7)", 1),
        ("pooling (7 boxes, l-fe)", 1),
        ("training step", 8),
    ];
    for (step, batch) in wanted {
        let found = steps.iter().find(|found| found["step"] == step && found["batch"] == batch);
        let found = found.unwrap_or_else(|| panic!("no step {step} of batch {batch}: {measured}"));
        let (middle, late) = (
            found["p50_milliseconds_per_frame"].as_f64().unwrap(),
            found["p95_milliseconds_per_frame"].as_f64().unwrap(),
        );
        assert!(middle > 0.0 && late >= middle, "{found}");
    }

    arguments.extend(["--only", "sl-ef"]);
    let said = place.run(&arguments, 1);
    assert!(
        said.err.contains("there is no step `sl-ef`") && said.err.contains("forward, sl-fe"),
        "{}",
        said.err
    );
    let said = place.run(&["bench", "strategies", "--precision", "f64"], 2);
    assert!(said.err.contains("f64"), "{}", said.err);
}

#[test]
fn precision_is_swept_like_anything_else() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n\
        \"extraction.precision\" = [\"f32\", \"bf16\"]";
    let file = sweep(&place, "halves", "", matrix);
    place.run(&["run", &file], 0);
    let table = place.table("halves", "extraction");
    assert!(table.lines().next().unwrap().contains("precision"), "{table}");
    assert!(table.contains("f32") && table.contains("bf16"), "{table}");
    let features = place.entries("objects");
    assert!(!features.is_empty());
    assert_eq!(place.executed_kinds("halves").iter().filter(|kind| *kind == "extract").count(), 2);
}

#[test]
fn frame_statistics_are_swept_in_one_pass_and_cost_a_second_forward_pass() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]\n\
        \"extraction.batch_norm\" = [\"running\", \"frame\"]";
    let file = sweep(&place, "statistics", "", matrix);
    place.run(&["run", &file], 0);
    let table = place.table("statistics", "extraction");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| {
        rows[0]
            .iter()
            .position(|column| *column == name)
            .unwrap_or_else(|| panic!("no column {name}: {table}"))
    };
    let (statistics, passes) = (column("batch norm"), column("passes/frame"));
    let mut found: Vec<(&str, f64)> =
        rows[1..].iter().map(|row| (row[statistics], row[passes].parse().unwrap())).collect();
    found.sort_by(|left, right| left.0.cmp(right.0));
    assert_eq!(
        found,
        [("frame", 2.0), ("frame", 2.0), ("running", 1.0), ("running", 1.0)],
        "{table}"
    );
    let said = place.run(&["run", &file, "--set", "extraction.sl-fe.mode=ln-fe"], 2);
    assert!(said.err.contains("batch_norm") && said.err.contains("does not use"), "{}", said.err);
}

#[test]
fn training_in_mixed_precision_is_a_setting() {
    let place = Place::new();
    let file = sweep(
        &place,
        "mixed",
        "",
        "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n\
         \"model.precision\" = [\"f32\", \"bf16\"]",
    );
    place.run(&["run", &file], 0);
    let table = place.table("mixed", "classification");
    assert!(table.contains("f32") && table.contains("bf16"), "{table}");
    assert_eq!(place.executed_kinds("mixed").iter().filter(|kind| *kind == "train").count(), 2);
    let said = place.run(&["run", &file, "--set", "model.precision=f16"], 2);
    assert!(said.err.contains("f16") && said.err.contains("bf16"), "{}", said.err);
}

/// The most memory that the first worker ever had while the command ran, in KiB. Asked so often
/// that what it needs at its very end counts.
fn peak_of_worker(place: &Place, arguments: &[&str]) -> u64 {
    let mut running = place.spawn(arguments, Stdio::null);
    let mut worker = None;
    let mut peak = 0;
    while running.try_wait().unwrap().is_none() {
        match &worker {
            None => worker = worker_of(running.id()),
            Some(status) => peak = peak.max(field(status, "VmHWM:").unwrap_or(0)),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(running.wait().unwrap().success());
    peak
}

/// The file that tells of the worker that a program started.
fn worker_of(program: u32) -> Option<PathBuf> {
    let processes =
        std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path().join("status"));
    processes.into_iter().find(|status| field(status, "PPid:") == Some(program.into()))
}

fn field(status: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[test]
fn extracting_ten_times_the_frames_takes_no_more_memory() {
    if !Path::new("/proc/self/status").exists() {
        eprintln!("skipped: this system does not tell how much memory a process has");
        return;
    }
    let place = Place::new();
    let weights = place.path("weights.safetensors");
    write_weights(&weights, [1, 1, 1, 1], false, 11, 3);
    let experiment = |name: &str, frames: usize| {
        let text = format!(
            "[experiment]\nname = \"{name}\"\ntables = [\"extraction\"]\nspeed = false\n\
             [data.drawn]\nextends = \"sample-endovis18\"\ntrain = [2]\nvalidation = [1]\n\
             frames_per_sequence = {}\n\
             picture_size = [64, 80]\nimage_size = [64, 80]\n\
             [model.given]\nbackbone = \"resnet10\"\ndata = \"drawn\"\ntrain = \"none\"\n\
             weights = {weights:?}\n\
             [matrix]\nmodel = [\"given\"]\nextraction = [\"l-fe\"]\n[set]\n\
             extraction.present = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n",
            frames / 2
        );
        place.write(&format!("{name}.toml"), &text).to_str().unwrap().to_string()
    };
    let (few, many) = (experiment("few", 200), experiment("many", 2000));
    let peak = |file: &str| {
        // All that comes before the extraction is there when the memory is watched: the first
        // worker is the one that extracts.
        place.run(&["run", file], 0);
        std::fs::remove_dir_all(place.path("store/records/extract")).unwrap();
        peak_of_worker(&place, &["run", file, "--set", "extraction.roi_threshold=0.31"])
    };
    let (of_few, of_many) = (peak(&few), peak(&many));
    println!("{of_few} KiB for 200 frames, {of_many} KiB for 2,000");
    assert!(
        of_few > 0 && of_many as f64 <= 1.05 * of_few as f64,
        "{of_few} KiB for 200 frames, {of_many} KiB for 2,000"
    );
}
