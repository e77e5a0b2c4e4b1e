//! The history of runs: listing, comparing and showing them.

use surgcam_testkit as common;

use common::Place;
use common::experiments::sweep;

#[test]
fn runs_are_listed_compared_and_told() {
    let place = Place::new();
    let file =
        sweep(&place, "told", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    place.run(&["run", &file], 0);
    place.run(&["run", &file, "--set", "model.batch_size=2"], 0);
    let runs: Vec<String> = place
        .run(&["runs"], 0)
        .out
        .lines()
        .map(|line| line.split_whitespace().next().unwrap().to_string())
        .collect();
    assert_eq!(runs.len(), 2);
    let said = place.run(&["diff", &runs[1], &runs[0]], 0);
    let line = said.out.lines().find(|line| line.contains("model.tiny.batch_size")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["model.tiny.batch_size", "3", "2"]);
    assert!(said.out.contains("train tiny"), "{}", said.out);
    assert!(place.run(&["diff", &runs[0], "latest"], 0).out.contains("no difference"));
    // Data recipes are in the history, too.
    place.run(&["run", &file, "--set", "model.batch_size=2", "--set", "data.seed=9"], 0);
    let said = place.run(&["diff", &runs[0], "latest"], 0);
    assert!(
        said.out.lines().any(|line| line.split_whitespace().eq(["data.drawn.seed", "42", "9"])),
        "{}",
        said.out
    );
    place.run(&["run", &file, "--set", "model.batch_size=2"], 0);
    let said = place.run(&["show", "run", "latest"], 0);
    assert!(said.out.contains("batch_size = 2  # --set model.batch_size=2"), "{}", said.out);
    assert_eq!(place.run(&["show", "latest"], 0).out, said.out);
    assert!(place.run(&["show", &runs[1]], 0).out.contains(&format!("run         {}", runs[1])));
    assert!(place.run(&["show", "gc-d"], 2).err.contains("surgcam show recipe gc-d"));
    let said = place.run(&["logs", "train tiny"], 0);
    assert!(
        said.out.contains("note: epoch 1/1") && said.out.contains("finished in"),
        "{}",
        said.out
    );
    let said = place.run(&["logs", "trian"], 2);
    assert!(said.err.contains("did you mean"), "{}", said.err);
    for arguments in [
        &["show", "run", "nowhere"][..],
        &["show", "nowhere"],
        &["diff", "nowhere", "latest"],
        &["logs", "--run", "nowhere"],
    ] {
        let said = place.run(arguments, 2);
        assert!(
            said.err.contains("there is no run `nowhere`")
                && said.err.contains("`surgcam runs` lists them"),
            "{}",
            said.err
        );
    }
    assert!(place.run(&["show"], 2).err.contains("Usage: surgcam show"));
}
