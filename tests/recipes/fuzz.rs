//! Fuzz tests of recipes, experiments and overrides.

use surgcam_testkit as common;

use std::path::Path;

use common::fuzzing::{files_below, in_limited_process};
use common::{Place, project_folder};
use surgcam_engine::error::Error;
use surgcam_pipeline::mistakes;
use surgcam_recipe::experiment::Experiment;
use surgcam_recipe::file;
use surgcam_recipe::library::Library;
use surgcam_recipe::overrides;

/// What the fuzz tests expect of every message.
fn assert_readable(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 13_000, "{} bytes: {:.2000}", text.len(), text);
    assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
}

/// Loads an experiment and, where its plan is small, makes that without its data.
fn try_experiment(path: &Path, outer: &[overrides::Override]) {
    match Experiment::load(&project_folder(), path, outer) {
        Err(error) => assert_readable(&error),
        Ok(experiment) if experiment.cells.len() > 300 => {}
        Ok(experiment) => {
            mistakes::of_experiment(&experiment, &project_folder()).iter().for_each(assert_readable)
        }
    }
}

#[test]
fn fuzz_recipes_and_experiments() {
    let contract = std::fs::read_to_string(project_folder().join("docs/contract.md")).unwrap();
    let mut seeds: Vec<Vec<u8>> = contract
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|text| text.trim_start_matches("toml").into())
        .collect();
    let place = Place::new();
    seeds.push(std::fs::read(common::experiments::every_kind(&place, 2)).unwrap());
    for folder in ["recipes", "experiments"] {
        seeds.extend(files_below(&project_folder().join(folder)));
    }
    let path = place.path("mutated.toml");
    in_limited_process("fuzz::fuzz_recipes_and_experiments", &seeds, |input| {
        std::fs::write(&path, input).unwrap();
        try_experiment(&path, &[]);
        match file::read(&path) {
            Err(error) => assert_readable(&error),
            Ok(checked) => {
                let mut library = Library::default();
                library.add(&checked);
                let recipes = Experiment::of_library(library);
                mistakes::of_recipes(&recipes, &project_folder(), |_| true)
                    .iter()
                    .for_each(assert_readable);
            }
        }
    });
}

#[test]
fn fuzz_overrides() {
    let seeds = [
        "model.epochs=2",
        "model.gc-d.augmentation.rotation=5",
        "model.mean=[0.4, 0.2, 0.2]",
        "model.init={ file = \"w.pth\", sha256 = \"0676ba61\" }",
        "data.endovis18.root=/data",
        "data.sample-endovis18.train=[1, 2]",
        "data.frames=frames/video{sequence:02}/{frame:06}.png",
        "extraction.present={ above = 0.5 }",
        "experiment.name=x",
        "experiment.limits={ train = { timeout_seconds = 5, retries = 1 } }",
        "experiment.heads_for={ model = \"gc-c\" }",
        "matrix.model=[\"gc-a\", \"gc-d\"]",
        "matrix.extraction.roi_threshold={ from = 0.1, to = 0.9, step = 0.1 }",
        "matrix.exclude=[{ model = \"gc-a\" }]",
        "head.beam=3",
    ];
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let quickstart = project_folder().join("experiments/quickstart.toml");
    in_limited_process("fuzz::fuzz_overrides", &seeds, |input| {
        match overrides::from_argument(&String::from_utf8_lossy(input)) {
            Err(error) => assert_readable(&error),
            Ok(found) => try_experiment(&quickstart, &[found]),
        }
    });
}
