//! Plans that say why a stage will run, and drawings of plans.

use surgcam_testkit as common;

use crate::CLASSIFICATION;
use common::Place;
use common::experiments::{small, sweep};

fn line_of<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no line starts with {start}:\n{text}"))
}

#[test]
fn a_plan_says_why_a_stage_will_run() {
    let place = Place::new();
    let file = small(&place, "");
    let said = place.run(&["plan", &file], 0);
    assert!(
        said.out.contains("will run: never ran") && said.out.contains("waits for"),
        "{}",
        said.out
    );
    place.run(&["run", &file], 0);

    let changed =
        ["plan", &file, "--set", "model.batch_size=2", "--set", "model.plateau_factor=0.5"];
    let said = place.run(&changed, 0);
    assert!(
        line_of(&said.out, "train tiny")
            .ends_with("will run: batch_size 3 -> 2, plateau.factor 0.95 -> 0.5"),
        "{}",
        said.out
    );
    assert!(line_of(&said.out, "evaluate tiny").ends_with("waits for train tiny"));

    place.run(
        &["run", &file, "--set", "model.batch_size=2", CLASSIFICATION[0], CLASSIFICATION[1]],
        0,
    );
    let said = place.run(&["plan", &file, "--set", "model.batch_size=2"], 0);
    assert!(
        line_of(&said.out, "extract tiny sl-fe").ends_with("will run: input checkpoint changed"),
        "{}",
        said.out
    );

    let evaluated = line_of(&place.run(&["store", "ls", "--kind", "evaluate"], 0).out, "")
        .split_whitespace()
        .next()
        .unwrap()
        .to_string();
    let record = place.path("store/records/evaluate");
    let record = std::fs::read_dir(record)
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&evaluated));
    std::fs::remove_file(record.unwrap().path()).unwrap();
    let said = place.run(&["plan", &file], 0);
    assert!(
        line_of(&said.out, "evaluate tiny").ends_with("will run: output missing from the store"),
        "{}",
        said.out
    );

    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["plan", &file, "--json"], 0).out).unwrap();
    let of =
        |name: &str| json.as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap();
    assert_eq!(of("train tiny")["state"]["status"], "cached");
    assert_eq!(of("evaluate tiny")["state"]["why"]["reason"], "output-missing");
    assert_eq!(of("evaluate tiny")["needs"].as_array().unwrap().len(), 3);
}

#[test]
fn what_is_lost_is_told_from_what_never_ran_after_a_run_that_did_nothing() {
    let place = Place::new();
    let file =
        sweep(&place, "again", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    place.run(&["run", &file], 0);
    assert!(place.run(&["run", &file], 0).err.contains("nothing to run"));
    std::fs::remove_dir_all(place.path("store/records/evaluate")).unwrap();
    let said = place.run(&["plan", &file], 0);
    assert!(
        line_of(&said.out, "evaluate tiny").ends_with("will run: output missing from the store"),
        "{}",
        said.out
    );
}

#[test]
fn cells_of_a_sweep_over_data_have_reasons_of_their_own() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\n\"data.frames_per_sequence\" = [4, 6]";
    let file = sweep(&place, "data", "tables = [\"classification\"]", matrix);
    place.run(&["run", &file], 0);
    let said = place.run(&["plan", &file, "--set", "data.drawn.seed=7"], 0);
    for frames in [4, 6] {
        let sample = format!("sample drawn data.frames_per_sequence={frames}");
        assert!(
            line_of(&said.out, &sample).ends_with("will run: sample.seed 42 -> 7"),
            "{}",
            said.out
        );
        let index = format!("index drawn endovis-11 data.frames_per_sequence={frames}");
        assert!(
            line_of(&said.out, &index).ends_with(&format!("waits for {sample}")),
            "{}",
            said.out
        );
    }
}

#[test]
fn a_plan_is_drawn_in_three_forms() {
    let place = Place::new();
    let file =
        sweep(&place, "drawn", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    for format in ["mermaid", "dot", "svg"] {
        insta::assert_snapshot!(
            format!("graph_{format}"),
            place.run(&["graph", &file, "--format", format], 0).out
        );
    }
    let out = place.path("plan.svg");
    place.run(&["graph", &file, "--format", "svg", "--out", out.to_str().unwrap()], 0);
    let text = std::fs::read_to_string(&out).unwrap();
    let svg = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(svg.descendants().filter(|node| node.has_tag_name("g")).count(), 5);
}
