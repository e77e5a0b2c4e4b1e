//! What the program does with a plan: explains it, runs it on several workers, and survives
//! failures and interruptions.

mod cluster;
mod failures;
mod history;
mod interruptions;
mod making;
mod plans;
mod side_by_side;
mod sweeps;

use surgcam_testkit as common;

use std::time::{Duration, Instant};

use common::Place;

const CLASSIFICATION_ONLY: &str = "tables = [\"classification\"]";

const CLASSIFICATION: [&str; 2] = ["--set", "experiment.tables=[\"classification\"]"];

/// The worker that a program started last.
fn newest_worker_of(parent: u32) -> Option<u32> {
    let children =
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().last()?.parse().ok()
}

/// Until the journal of some run has the text.
fn wait_for_journal(place: &Place, text: &str) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let journals = place
            .entries("runs")
            .into_iter()
            .filter_map(|run| std::fs::read_to_string(run.join("events.jsonl")).ok());
        if journals.into_iter().any(|journal| journal.contains(text)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody said {text}");
}

/// Digests of what the newest training wrote.
fn trained(place: &Place) -> serde_json::Value {
    let records = std::fs::read_dir(place.path("store/records/train")).unwrap().flatten();
    let record = records.into_iter().next().unwrap();
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(record.path()).unwrap()).unwrap();
    serde_json::json!([
        record["outputs"]["checkpoint.safetensors"]["digest"],
        record["outputs"]["last.safetensors"]["digest"]
    ])
}

/// What the journal of the newest run says of stages: event, stage, and text.
fn journal(place: &Place) -> Vec<(String, String, String)> {
    let newest = place.entries("runs").into_iter().max().unwrap();
    let text = std::fs::read_to_string(newest.join("events.jsonl")).unwrap();
    let entry = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| entry[name].as_str().unwrap_or_default().to_string();
        (field("event"), field("stage"), field("text"))
    };
    text.lines().map(entry).collect()
}
