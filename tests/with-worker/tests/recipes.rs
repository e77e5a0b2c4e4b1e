//! Recipes that somebody else wrote, as runs and exports meet them.

use surgcam_testkit as common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::experiments::sweep;
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
