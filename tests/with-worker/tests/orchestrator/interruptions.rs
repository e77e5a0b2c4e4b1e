//! Runs that are interrupted, and how they go on.

use surgcam_testkit as common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{newest_worker_of, trained, wait_for_journal};
use common::Place;
use common::experiments::small;

#[test]
fn an_interrupted_training_goes_on_and_ends_with_the_same_bits() {
    let arguments = |file: &str| {
        let set =
            ["model.epochs=12", "model.dropout=0.2", "experiment.tables=[\"classification\"]"];
        let set = set.iter().flat_map(|set| ["--set".to_string(), set.to_string()]);
        ["run".to_string(), file.to_string(), "--threads".into(), "1".into()]
            .into_iter()
            .chain(set)
            .collect::<Vec<String>>()
    };
    let run = |place: &Place, code: Option<i32>, signal: Option<&str>| {
        let file = small(place, "");
        let arguments = arguments(&file);
        let child =
            place.spawn(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), Stdio::piped);
        if let Some(signal) = signal {
            wait_for_journal(place, "epoch 3/");
            Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        }
        let said = common::Said::from(child.wait_with_output().unwrap());
        assert_eq!(said.code, code, "{}", said.err);
        said.err
    };
    let whole = Place::new();
    run(&whole, Some(0), None);
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let place = Place::new();
        run(&place, code, Some(signal));
        let said = run(&place, Some(0), None);
        assert!(said.contains("train tiny: goes on after epoch"), "{said}");
        assert_eq!(trained(&place), trained(&whole), "after {signal}");
        assert_eq!(place.entries("partial").len(), 0);
    }
}

#[test]
fn a_second_interrupt_ends_the_program_at_once() {
    let place = Place::new();
    let file = small(&place, "");
    let mut child = place.spawn(&["run", &file, "--set", "model.epochs=100000"], Stdio::piped);
    wait_for_journal(&place, "epoch 2/");
    let worker = newest_worker_of(child.id()).unwrap();
    let signal = |signal: &str, process: u32| {
        Command::new("kill").args([signal, &process.to_string()]).output().unwrap()
    };
    // One that does not answer, which the program would wait for.
    signal("-STOP", worker);
    signal("-INT", child.id());
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let stops = stderr.lines().map_while(Result::ok).any(|line| line.starts_with("stopping"));
    let begun = Instant::now();
    signal("-INT", child.id());
    let code = child.wait().unwrap().code();
    let time = begun.elapsed();
    // It may have ended by itself already.
    signal("-KILL", worker);
    assert!(stops);
    assert_eq!(code, Some(130));
    assert!(time < Duration::from_secs(2), "it took {time:?}");
}
