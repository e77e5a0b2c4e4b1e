//! Recipes that somebody else wrote, as the program meets them: names, numbers, sweeps, encodings,
//! and what is said of them.

mod fuzz;

use surgcam_testkit as common;

use std::time::{Duration, Instant};

use common::experiments::{small, sweep};
use common::{Place, Said};

/// The small experiment with more behind it.
fn small_and(place: &Place, more: &str) -> String {
    let text = std::fs::read_to_string(small(place, "")).unwrap();
    place.write("more.toml", &format!("{text}\n{more}\n")).to_str().unwrap().to_string()
}

#[test]
fn no_section_has_a_recipe_whose_name_is_a_path() {
    let place = Place::new();
    for section in ["adapter", "label_space", "data", "model", "extraction", "head"] {
        for name in ["../../PWN", "/PWN", "..", "", "a\\u0000b", "a b"] {
            let file = small_and(&place, &format!("[{section}.\"{name}\"]"));
            let said = place.run(&["check", &file], 2);
            assert!(
                said.err.contains("more.toml:") && said.err.contains("cannot name a folder"),
                "{section} {name}: {}",
                said.err
            );
        }
    }
    let file = small_and(&place, "[model.\"../../PWN\"]\nextends = \"tiny\"");
    let out = place.path("deep/out");
    place.run(
        &[
            "export",
            "features",
            &file,
            "--out",
            out.to_str().unwrap(),
            "--set",
            "matrix.model=[\"../../PWN\"]",
        ],
        2,
    );
    assert!(!place.path("PWN").exists() && !place.path("deep").exists());
}

#[test]
fn classes_have_names_that_a_file_could_have() {
    let place = Place::new();
    for class in ["../hook", "a/b", "=1+1", "line\\nbreak", ""] {
        let file =
            small_and(&place, &format!("[label_space.odd]\nclasses = [\"{class}\", \"tissue\"]"));
        let said = place.run(&["check", &file], 2);
        assert!(
            said.err.contains("more.toml:") && said.err.contains("cannot name a class"),
            "{class}: {}",
            said.err
        );
    }
}

#[test]
fn a_verb_that_is_mapped_to_something_else_than_an_interaction_is_found_by_check() {
    let place = Place::new();
    let file = small_and(&place, "[data.drawn.verbs]\naspirate = \"Sution\"");
    let said = place.run(&["check", &file], 2);
    let expected = "data.drawn maps the verb `aspirate` to `Sution`, which is not an interaction; \
                    did you mean `Suction`?";
    assert!(said.err.contains(expected), "{}", said.err);
}

#[test]
fn a_class_that_is_named_twice_and_a_published_value_that_is_no_number_are_found_by_check() {
    let place = Place::new();
    let file = small_and(&place, "[label_space.twice]\nclasses = [\"hook\", \"Hook\", \"tissue\"]");
    let said = place.run(&["check", &file, "--set", "data.drawn.label_space=twice"], 2);
    assert!(said.err.contains("label_space.twice names the class `Hook` twice"), "{}", said.err);
    for value in ["nan", "1e308"] {
        let published = format!(
            "[[experiment.published]]\ntable = \"classification\"\nrow = {{}}\ncolumn = \"mAP\"\n\
             value = {value}"
        );
        let said = place.run(&["check", &small_and(&place, &published)], 2);
        assert!(said.err.contains("a number from -1000000000 to 1000000000"), "{}", said.err);
    }
}

const AUGMENTATION: &str = "brightness = 0.1, contrast = 0.1, saturation = 0.1, hue = 0.05";

#[test]
fn numbers_that_nothing_can_be_computed_with_are_found_by_check() {
    let place = Place::new();
    let augmentation =
        |rest: &str| format!("[model.x]\naugmentation = {{ {AUGMENTATION}, {rest} }}");
    for (recipe, expected) in [
        (
            "[model.x]\nlearning_rate = 1e308",
            "1e308 is out of bounds: a number above 0 and at most 1000",
        ),
        ("[model.x]\nweight_decay = 1e308", "a number from 0 to 1000"),
        ("[model.x]\nmomentum = 1.5", "a number from 0 to 1"),
        ("[model.x]\nplateau_factor = 1e308", "above 0 and at most 1"),
        ("[model.x]\nplateau_patience = 4294967295", "from 0 to 1000000"),
        ("[model.x]\nplateau_threshold = nan", "from 0 to 1"),
        ("[model.x]\nepochs = 1000000000", "from 1 to 1000000"),
        ("[model.x]\nbatch_size = 1000000000", "from 1 to 65536"),
        ("[model.x]\ndropout = 1", "outside [0, 1)"),
        ("[model.x]\nstd = [0, 0, 0]", "for each channel a number from 0.000001 to 1000"),
        ("[data.x]\nstd = [nan, 1, 1]", "for each channel"),
        ("[data.x]\nmean = [0, 0, inf]", "for each channel a number from -1000 to 1000"),
        ("[data.x]\nimage_size = [100000, 100000]", "32 to 8192"),
        ("[data.x]\npicture_size = [0, 0]", "32 to 8192"),
        ("[data.x]\nframes_per_sequence = 1000000000", "from 1 to 100000"),
        ("[data.x]\nframe_step = 0", "from 1 to 1000000"),
        ("[extraction.x]\ncrop_size = [8193, 32]", "32 to 8192"),
        ("[head.x]\nridge = 1e308", "above 0 and at most 1000000000"),
        ("[head.x]\nwidth = 1000000000", "from 1 to 4096"),
        ("[head.x]\nlayers = 1000000000", "from 1 to 64"),
        ("[head.x]\nattention_heads = 0", "from 1 to 256"),
        ("[head.x]\nfeed_forward = 1000000000", "from 1 to 65536"),
        ("[head.x]\nmemory_slots = 1000000000", "from 0 to 4096"),
        ("[head.x]\nmaximum_regions = 1000000000", "from 1 to 256"),
        ("[head.x]\nbeam = 1000000000", "from 1 to 100"),
        ("[head.x]\nbeam = 1e9", "expected a whole number from 1 to 100"),
        ("[head.x]\nlongest_caption = 1000000000", "from 1 to 1000"),
        ("[head.x]\njoint_epochs = -1", "from 0 to 1000000"),
        ("[head.x]\nlearning_rate = inf", "above 0 and at most 1000"),
        (
            "[head.x]\nextends = \"caption\"\nwidth = 4096\nlayers = 64",
            "weights, more than 1000000000",
        ),
        (augmentation("flip_probability = 1.5, rotation = 5").as_str(), "from 0 to 1"),
        (augmentation("flip_probability = 0.5, rotation = -5").as_str(), "from 0 to 360"),
    ] {
        let said = place.run(&["check", &small_and(&place, recipe)], 2);
        assert!(
            said.err.contains("more.toml") && said.err.contains(expected),
            "{recipe}: {}",
            said.err
        );
    }
    let file = small(&place, "");
    for (value, expected) in [
        ("experiment.speed_frames=1000000000", "from 1 to 100000"),
        ("experiment.speed_warm_up=0", "from 1 to 100000"),
        ("experiment.speed_seconds=1e308", "at most 1000000000"),
        ("experiment.limits={ train = { retries = 100000 } }", "from 0 to 1000"),
        ("model.learning_rate=1e308", "at most 1000"),
        ("head.beam=1000000000", "from 1 to 100"),
    ] {
        let said = place.run(&["run", &file, "--set", value], 2);
        assert!(
            said.err.contains(&format!("--set {value}")) && said.err.contains(expected),
            "{value}: {}",
            said.err
        );
    }
}

#[test]
fn data_without_a_sequence_to_train_or_validate_on_are_found_by_check() {
    let place = Place::new();
    let file = small(&place, "");
    for (key, action) in [("train", "trained on"), ("validation", "validated on")] {
        let said = place.run(&["check", &file, "--set", &format!("data.drawn.{key}=[]")], 2);
        let expected = format!("model.tiny is {action} data.drawn, which names no {key} sequence");
        assert!(said.err.contains(&expected), "{}", said.err);
    }
}

#[test]
fn recipes_that_lean_on_each_other_without_end_are_refused() {
    let place = Place::new();
    let chain = |link: &str| -> String {
        (1..3000)
            .map(|number| {
                format!("[model.m{number}]\nextends = \"tiny\"\n{link} = \"m{}\"\n", number - 1)
            })
            .collect()
    };
    let tuned = format!("[model.m0]\nextends = \"tiny\"\n{}", chain("fine_tune_from"));
    let extended = format!("[model.m0]\n{}", chain("extends").replace("extends = \"tiny\"\n", ""));
    for (recipes, expected) in [
        (tuned, "fine-tuned from more than 100 others"),
        (extended, "extends more than 100 others"),
    ] {
        let said = place
            .run(&["plan", &small_and(&place, &recipes), "--set", "matrix.model=[\"m2999\"]"], 2);
        assert!(said.err.contains(expected), "{}", said.err);
    }
}

#[test]
fn a_sweep_of_a_billion_cells_is_refused_at_once() {
    let place = Place::new();
    let axes = |range: &str| -> String {
        (1..=9).map(|number| format!("\"model.m{number}.seed\" = {range}\n")).collect()
    };
    let models: String =
        (1..=9).map(|number| format!("[model.m{number}]\nextends = \"tiny\"\n")).collect();
    for (matrix, expected) in [
        (axes("{ from = 1, to = 10, step = 1 }"), "more than 100000 cells"),
        (axes("{ from = 1, to = 99999, step = 1 }"), "more than 200000 values"),
        (
            "\"model.seed\" = { from = 0, to = 1, step = 1e-300 }\n".to_string(),
            "more than 100000 values",
        ),
        (format!("[[matrix.zip]]\n{}", axes("{ from = 0, to = 1, step = 1e-5 }")), "values"),
    ] {
        let file = sweep(
            &place,
            "vast",
            "",
            &format!("{models}[matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n{matrix}"),
        );
        let begun = Instant::now();
        let said = place.run(&["plan", &file], 2);
        assert!(said.err.contains(expected), "{}", said.err);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_mistake_in_an_override_of_the_experiment_names_the_override() {
    let place = Place::new();
    let file = small(&place, "");
    let said = place.run(&["check", &file, "--set", "experiment.name=../x"], 2);
    assert!(
        said.err.starts_with("error: --set experiment.name=../x: `../x` cannot name a folder"),
        "{}",
        said.err
    );
    assert!(!said.err.contains(".rs"), "{}", said.err);
    let said = place.run(&["check", &file, "--set", "matrix=x"], 2);
    assert!(
        said.err.contains("`matrix` is a section; name one of its axes")
            && !said.err.contains("did you mean"),
        "{}",
        said.err
    );
}

#[test]
fn long_values_are_shortened_wherever_they_are_quoted() {
    let place = Place::new();
    let file = small(&place, "");
    let long = "A".repeat(100_000);
    let is_short = |said: &Said, what: &str| {
        assert!(
            said.err.len() < 4000 && said.err.contains("AAA"),
            "{what}: {} bytes: {:.2000}",
            said.err.len(),
            said.err
        );
    };
    for key in [
        "model.backbone=LONG",
        "model.LONG=1",
        "LONG=1",
        "LONG",
        "experiment.name=LONG",
        "experiment.LONG=1",
        "model.tiny.LONG=1",
    ] {
        is_short(&place.run(&["check", &file, "--set", &key.replace("LONG", &long)], 2), key);
    }
    for value in [
        "matrix.model=[\"LONG\"]",
        "matrix.model=LONG",
        "matrix.LONG=[1]",
        "model.init=\"LONG",
        "data.frames={LONG}",
    ] {
        is_short(&place.run(&["check", &file, "--set", &value.replace("LONG", &long)], 2), value);
    }
    is_short(&place.run(&["check", &long], 2), "the name of an experiment");
    for recipe in [
        "[model.x]\nbackbone = \"LONG\"",
        "[model.x]\nLONG = 1",
        "[model.x]\nepochs = \"LONG\"",
        "[model.x]\nextends = \"LONG\"",
        "[model.LONG]",
        "[set]\nmodel.LONG = 1",
        "[label_space.x]\nclasses = [\"LONG\", \"tissue\"]",
    ] {
        is_short(
            &place.run(&["check", &small_and(&place, &recipe.replace("LONG", &long))], 2),
            recipe,
        );
    }
}

#[test]
fn a_file_in_another_encoding_is_named_with_its_line() {
    let place = Place::new();
    let file = place.path("latin.toml");
    std::fs::write(&file, b"[experiment]\nname = \"x\"\ndescription = \"caf\xe9\"\n").unwrap();
    let said = place.run(&["check", file.to_str().unwrap()], 2);
    assert!(said.err.contains("latin.toml:3: ") && said.err.contains("UTF-8"), "{}", said.err);

    place.write("recipes/none.toml", "");
    std::fs::write(place.path("surgcam.toml"), b"device = \"cpu\"\n# \xff\n").unwrap();
    let said: Said =
        place.surgcam(&["check"]).current_dir(place.folder.path()).output().unwrap().into();
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("surgcam.toml:2: ") && said.err.contains("UTF-8"), "{}", said.err);
}

#[test]
fn days_that_are_no_number_are_refused() {
    let place = Place::new();
    for days in ["nan", "inf", "-1", "1e300", "x"] {
        let said = place.run(&["store", "gc", &format!("--younger-than={days}")], 2);
        assert!(
            said.err.contains("a number of days from 0 to 36500000 is expected"),
            "{days}: {}",
            said.err
        );
    }
    place.run(&["store", "gc", "--dry-run", "--younger-than", "0.5"], 0);
}
