//! Which stages are made: single ones with `surgcam make`, and none that nothing has changed.

use surgcam_testkit as common;

use crate::CLASSIFICATION_ONLY;
use common::Place;
use common::experiments::{small, sweep};

#[test]
fn an_input_that_is_remade_bit_for_bit_reruns_nothing_behind_it() {
    let place = Place::new();
    let file = small(&place, "");
    place.run(&["run", &file], 0);
    for kind in ["pack", "train"] {
        std::fs::remove_dir_all(place.path("store/records").join(kind)).unwrap();
    }
    place.run(&["run", &file], 0);
    assert_eq!(place.executed_kinds("small"), ["pack", "train"]);
}

#[test]
fn stages_are_made_one_by_one_and_a_run_finds_them() {
    let place = Place::new();
    let file = sweep(&place, "made", CLASSIFICATION_ONLY, "[matrix]\nmodel = [\"tiny\"]");
    let make = |stages: &[&str], code: i32| {
        let arguments: Vec<&str> =
            ["make", file.as_str(), "--json"].into_iter().chain(stages.iter().copied()).collect();
        place.run(&arguments, code)
    };
    let events = |stages: &[&str]| -> Vec<(String, String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_string();
        let lines: Vec<serde_json::Value> =
            make(stages, 0).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines
            .iter()
            .map(|line| (text(&line["event"]), text(&line["stage"]), text(&line["key"])))
            .collect()
    };
    let short = |events: &[(String, String, String)]| -> Vec<String> {
        events
            .iter()
            .filter(|event| !["note", "waiting"].contains(&event.0.as_str()))
            .map(|event| format!("{} {}", event.0, event.1))
            .collect()
    };

    let unknown = make(&["smaple drawn"], 2);
    assert!(
        unknown.err.contains("did you mean `sample drawn`?") && unknown.out.is_empty(),
        "{}",
        unknown.err
    );
    let missing = make(&["pack drawn"], 1);
    assert!(
        missing.err.contains("`index drawn endovis-11`") && missing.out.is_empty(),
        "{}",
        missing.err
    );
    assert_eq!(place.entries("runs").len(), 0, "nothing ran");

    assert_eq!(
        short(&events(&["sample drawn"])),
        ["started sample drawn", "finished sample drawn"]
    );
    let again = events(&["sample drawn"]);
    assert_eq!(short(&again), ["cached sample drawn"]);
    assert_eq!(
        short(&events(&[&again[0].2[.."sha256:".len() + 8]])),
        ["cached sample drawn"],
        "a stage goes by its key, too"
    );
    let index = "index drawn endovis-11";
    let chain = ["started", "finished"].map(|event| format!("{event} {index}")).into_iter();
    let chain: Vec<String> =
        chain.chain(["started", "finished"].map(|event| format!("{event} pack drawn"))).collect();
    assert_eq!(short(&events(&["pack drawn", index])), chain);

    place.run(&["run", &file], 0);
    assert_eq!(place.executed_kinds("made"), ["train", "evaluate"]);
}
