//! Mistakes on the command line and in recipes, which are found before anything runs.

use surgcam_testkit as common;

use common::Place;
use common::experiments::{small, small_with};

#[test]
fn mistakes_are_refused_before_anything_runs() {
    let place = Place::new();
    let good = small(&place, "");
    let swept = std::fs::read_to_string(&good).unwrap().replace("[0.3]", "[0.3, 1.5]");
    place.write("e.toml", &swept);
    let cases: [(&str, String, &[&str], &[&str]); 13] = [
        (
            "no device",
            good.clone(),
            &["--devices", "cpu,gpu"],
            &["`gpu` is not a device", "cuda:0"],
        ),
        ("no worker", good.clone(), &["--jobs", "0"], &["invalid value '0' for '--jobs <N>'"]),
        (
            "an axis that is no recipe's",
            good.clone(),
            &["--set", "matrix.experiment.speed=[true]"],
            &["not a value of a recipe"],
        ),
        (
            "heads for a cell that is none",
            good.clone(),
            &["--set", "experiment.heads_for={ model = \"tyni\" }"],
            &["a value that the matrix does not have", "did you mean `tiny`?"],
        ),
        (
            "an unknown key",
            small_with(&place, "a.toml", "[model.other]\nbackbon = \"resnet18\""),
            &[],
            &["a.toml:", "did you mean `backbone`?"],
        ),
        (
            "a bad threshold",
            small_with(&place, "b.toml", "[extraction.x]\nroi_threshold = 1.0"),
            &[],
            &["b.toml:", "outside [0, 1)"],
        ),
        (
            "a bad value in the matrix",
            place.path("e.toml").to_str().unwrap().to_string(),
            &[],
            &["e.toml:24", "1.5 is outside [0, 1)"],
        ),
        ("no cell", good.clone(), &["--set", "matrix.model=[]"], &["the matrix has no cell"]),
        (
            "an unknown model",
            good.clone(),
            &["--set", "matrix.model=[\"tyni\"]"],
            &["no model recipe `tyni`", "did you mean `tiny`?"],
        ),
        (
            "an unknown override",
            good.clone(),
            &["--set", "model.epoch=3"],
            &["did you mean `epochs`?"],
        ),
        (
            "an absent root",
            good.clone(),
            &["--set", "data.drawn.adapter=endovis18", "--set", "data.drawn.root=/nowhere"],
            &["/nowhere", "is not a folder"],
        ),
        (
            "a class that no label space has",
            small_with(
                &place,
                "c.toml",
                "[data.other]\nextends = \"drawn\"\nclasses = { suction = \"sucktion\" }",
            ),
            &["--set", "model.tiny.data=other"],
            &["a class that no label space has", "did you mean `suction`?"],
        ),
        (
            "a class beyond the model's",
            good.clone(),
            &["--set", "extraction.present=[11]"],
            &["names class 11", "has 11 classes"],
        ),
    ];
    for (what, file, arguments, expected) in cases {
        let said = place.run(&[&["run", file.as_str()], arguments].concat(), 2);
        for text in expected {
            assert!(said.err.contains(text), "{what}: {}", said.err);
        }
        assert!(said.err.starts_with("error: "), "{what}: {}", said.err);
        assert!(!place.path("results/small").exists(), "{what}: something ran");
    }
    let said = place.run(&["run", "quickstrat"], 2);
    assert!(said.err.contains("did you mean `quickstart`?"), "{}", said.err);
}

#[test]
fn wrong_places_are_told_before_anything_runs() {
    let place = Place::new();
    let file = small(&place, "");
    place.write("blocked", "a file where a folder should be");
    for variable in ["SURGCAM_RESULTS", "SURGCAM_STORE"] {
        let said: common::Said = place
            .surgcam(&["run", &file])
            .env(variable, place.path("blocked/below"))
            .output()
            .unwrap()
            .into();
        assert_eq!(said.code, Some(2), "{variable}: {}", said.err);
        assert!(
            said.err.starts_with("error: ")
                && said.err.contains("blocked/below")
                && said.err.contains(variable),
            "{}",
            said.err
        );
        assert!(place.entries("records").is_empty(), "{variable}: something ran");
    }
    let folder = place.folder.path().to_str().unwrap();
    let said = place.run(&["run", folder], 2);
    assert!(said.err.contains("is a folder") && said.err.contains("small.toml"), "{}", said.err);
    for arguments in
        [&["show", "latest"][..], &["diff", "latest", "latest"], &["logs", "--run", "latest"]]
    {
        let said = place.run(arguments, 2);
        assert!(said.err.contains("the store has none yet"), "{}", said.err);
    }
    assert!(place.run(&["logs"], 2).err.contains("no run has a journal"));
    assert!(
        place
            .run(&["logs", "train"], 2)
            .err
            .contains("no run has a stage whose name begins with `train`")
    );
    assert!(place.run(&["runs", "small"], 0).err.contains("no run of `small`"));
    let said = place.run(&["run", &file, "--set", "matrix.model=[tiny]"], 2);
    assert!(
        said.err.contains("`[tiny]` is not a value of TOML") && said.err.contains("single ones"),
        "{}",
        said.err
    );
    let drawing = place.path("missing/folder/plan.svg");
    place.run(&["graph", &file, "--out", drawing.to_str().unwrap()], 0);
    assert!(
        std::fs::read_to_string(&drawing).unwrap().starts_with("<svg"),
        "the form is that of the file's name"
    );
    let said: common::Said = place
        .surgcam(&["store", "gc"])
        .env("SURGCAM_STORE", place.folder.path())
        .output()
        .unwrap()
        .into();
    assert_eq!(said.code, Some(2), "a folder of other things is made no store: {}", said.err);
    assert!(said.err.contains("is not a store") && !place.path("FORMAT").exists(), "{}", said.err);
    assert!(
        place.run(&["store", "ls", "--kind", "trian"], 2).err.contains("did you mean `train`?")
    );
}
