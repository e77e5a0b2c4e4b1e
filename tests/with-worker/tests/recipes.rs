//! Recipes that somebody else wrote, as runs and exports meet them.

use surgcam_testkit as common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::experiments::{sweep, with_heads};
use common::{Place, Said, write_weights};

#[test]
fn an_export_stays_in_its_folder_whatever_values_are_swept() {
    let place = Place::new();
    let weights = place.path("..odd*\"name\".safetensors");
    write_weights(&weights, [1, 1, 1, 1], false, 11, 3);
    let matrix = format!(
        "[model.given]\nextends = \"tiny\"\ntrain = \"none\"\n\
         [matrix]\nmodel = [\"given\"]\nextraction = [\"sl-fe\"]\n\"model.weights\" = [{weights:?}]"
    );
    let file = sweep(&place, "odd", "tables = [\"extraction\"]", &matrix);
    let out = place.path("deep/out");
    place.run(&["export", "features", &file, "--out", out.to_str().unwrap()], 0);
    let names = |folder: &Path| -> Vec<String> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names(&place.path("deep")), ["out"]);
    let model = names(&out);
    assert!(
        model.len() == 1
            && model[0].starts_with("_given[model.weights=")
            && !model[0].contains('*'),
        "{model:?}"
    );
    assert!(
        out.join(&model[0]).join("sl-fe_roi0.3_pool512/per_frame/seq_1/frame000.npy").is_file()
    );
}

/// The first tables cannot be written: a warning, in the sixth second of a run.
#[test]
fn warnings_that_go_to_a_file_have_no_colours() {
    let place = Place::new();
    let file =
        sweep(&place, "warned", "tables = [\"classification\"]", "[matrix]\nmodel = [\"tiny\"]");
    place.write("results/warned/tables", "a file where a folder should be");
    let late = place
        .write("late-worker", &format!("#!/bin/sh\nsleep 6\nexec {:?} \"$@\"\n", common::worker()));
    std::fs::set_permissions(&late, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said: Said =
        place.surgcam(&["run", &file]).env("SURGCAM_WORKER", &late).output().unwrap().into();
    assert!(
        said.err.contains("WARN") && said.err.contains("cannot write the tables so far"),
        "{}",
        said.err
    );
    assert!(!said.err.contains('\u{1b}'), "{:?}", said.err);
}

/// The values of a column of a table's CSV.
fn column(csv: &str, name: &str) -> Vec<String> {
    let mut lines = csv.lines().map(|line| line.split(','));
    let place = lines.next().unwrap().position(|found| found == name);
    let place = place.unwrap_or_else(|| panic!("no column `{name}`: {csv}"));
    lines.map(|mut line| line.nth(place).unwrap().to_string()).collect()
}

#[test]
fn three_seeds_are_one_row_of_means_and_each_has_a_row_in_a_table_beside() {
    let place = Place::new();
    let settings = "tables = [\"classification\", \"extraction\"]\nseeds = 3";
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"l-fe\", \"sl-fe\"]\n\
                  [set]\nextraction.present = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let file = sweep(&place, "seeded", settings, matrix);
    let said = place.run(&["run", &file], 0);
    assert!(said.out.contains(" ± ") && said.out.contains("ddof = 1"), "{}", said.out);
    let trained = place.executed_kinds("seeded").iter().filter(|kind| *kind == "train").count();
    assert_eq!(trained, 3);

    let (means, seeds) =
        (place.table("seeded", "classification"), place.table("seeded", "classification-seeds"));
    assert_eq!(column(&means, "seeds"), ["3"]);
    assert_eq!(column(&seeds, "seed"), ["42", "43", "44"]);
    let numbers = |csv: &str, name: &str| -> Vec<f64> {
        column(csv, name).iter().map(|text| text.parse().unwrap()).collect()
    };
    let each = numbers(&seeds, "mAP");
    let mean = each.iter().sum::<f64>() / 3.0;
    let deviation = (each.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!((numbers(&means, "mAP")[0] - mean).abs() < 1e-12);
    assert!((numbers(&means, "mAP sd")[0] - deviation).abs() < 1e-12);
    assert_eq!(column(&place.table("seeded", "extraction"), "seeds"), ["3", "3"]);

    let sequences = place.table("seeded", "classification-sequences");
    assert_eq!(column(&sequences, "sequence"), ["seq_1"]);
    assert!((numbers(&sequences, "mAP")[0] - mean).abs() < 1e-9, "all frames are of one sequence");
    let differences = place.table("seeded", "differences");
    assert!(differences.contains(",too few,"), "{differences}");

    let error = place.run(&["check", &file, "--set", "experiment.seeds=0"], 2).err;
    assert!(error.contains("0 is out of bounds: a number of seeds from 1 to 100"), "{error}");
    let error = place.run(&["check", &file, "--set", "matrix.model.seed=[1, 2]"], 2).err;
    assert!(error.contains("has `seeds`, and its matrix sweeps `model.seed`"), "{error}");
    // One seed has no deviation, and its stages are in the store.
    place.run(&["run", &file, "--set", "experiment.seeds=1"], 0);
    assert!(!place.table("seeded", "classification").contains(" sd"));
    assert!(!place.path("results/seeded/tables/classification-seeds.csv").exists());
}

#[test]
fn a_model_that_sees_clips_has_all_that_one_of_single_frames_has() {
    let place = Place::new();
    let matrix = "[matrix]\nmodel = [\"tiny\"]\nextraction = [\"ln-fe\", \"l-fe\", \"sl-fe\"]\n\
        \"model.clip_length\" = [1, 3]";
    let file = with_heads(&place, "clips", "", matrix);
    place.run(&["run", &file], 0);
    for (table, rows) in [("classification", 2), ("localization", 2), ("extraction", 6)] {
        let table = place.table("clips", table);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].contains("clip length") && lines.len() > rows, "{table}");
    }
    let made = place.executed_kinds("clips");
    let count = |kind: &str| made.iter().filter(|made| *made == kind).count();
    assert_eq!(
        (count("train"), count("evaluate"), count("extract"), count("measure")),
        (2, 2, 6, 6)
    );
    // Through all that follows layer 3.
    let of_layer3 = ["model.clip_length=3", "extraction.cam_layer=layer3"];
    let curves =
        ["experiment.deletion_insertion_frames=1", "experiment.deletion_insertion_steps=2"];
    let set = [of_layer3, curves].concat().into_iter().flat_map(|value| ["--set", value]);
    place.run(&["run", file.as_str()].into_iter().chain(set).collect::<Vec<&str>>(), 0);
    let made = place.executed_kinds("clips");
    assert!(made.contains(&"deletion-insertion".to_string()), "{made:?}");
    assert!(!made.contains(&"train".to_string()), "{made:?}");
    let said = place
        .run(&["run", &file, "--set", "model.clip_length=7", "--set", "model.batch_size=7"], 2);
    assert!(
        said.err.contains("clips of 7 frames") && said.err.contains("data.drawn have 6"),
        "{}",
        said.err
    );
}
