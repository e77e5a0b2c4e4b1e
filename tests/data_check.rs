//! `surgcam data check` and `surgcam init --from`: a folder of somebody else's labels, before
//! anything is trained on it.

use surgcam_testkit as common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Place, Said, write_voc};
use serde_json::Value;

/// Labels of three videos in a folder `clinic`.
fn clinic(place: &Place) -> PathBuf {
    let root = place.path("clinic");
    write_voc(&root);
    root
}

/// With several things that are wrong.
fn broken_clinic(place: &Place) -> PathBuf {
    let root = clinic(place);
    fs::write(root.join("Annotations/clip01_0001.xml"), "<annotation>\n<object>").unwrap();
    let path = root.join("Annotations/clip02_0002.xml");
    let text = fs::read_to_string(&path).unwrap().replace("<xmax>60", "<xmax>900");
    fs::write(&path, text).unwrap();
    for frame in [0, 3] {
        fs::remove_file(root.join(format!("JPEGImages/clip03_000{frame}.png"))).unwrap();
    }
    let copy = root.join("JPEGImages/clip02_0000.png");
    fs::copy(root.join("JPEGImages/clip01_0000.png"), copy).unwrap();
    let cut = root.join("JPEGImages/clip01_0003.png");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 30]).unwrap();
    root
}

fn checked(place: &Place, root: &Path, more: &[&str], code: i32) -> Said {
    place.run(&[&["data", "check", root.to_str().unwrap()], more].concat(), code)
}

/// The text without the folder of the test, whose name differs each time.
fn shown(text: &str, root: &Path) -> String {
    text.replace(root.to_str().unwrap(), "ROOT")
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        // A path is not broken, so that it can be copied.
        assert!(line.chars().count() <= 80 || line.contains("ROOT"), "{line}");
    }
}

#[test]
fn a_sound_folder_is_described_in_80_columns_and_a_recipe_is_proposed() {
    let place = Place::new();
    let root = clinic(&place);
    let text = shown(&checked(&place, &root, &[], 0).out, &root);
    assert_fits(&text);
    for expected in [
        "JPEGImages/clip{sequence:02}_{frame:04}.png",
        "Annotations/clip{sequence:02}_{frame:04}.xml",
        "no problem was found",
        "[data.clinic.classes]",
        "train = [2, 3]",
        "validation = [1]",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    insta::assert_snapshot!("sound", text);
}

#[test]
fn everything_that_is_broken_is_listed_with_its_place_and_the_exit_code_is_1() {
    let place = Place::new();
    let root = broken_clinic(&place);
    let said = checked(&place, &root, &[], 1);
    let text = shown(&said.out, &root);
    assert_fits(&text);
    for expected in [
        "Annotations/clip01_0001.xml:",
        "Annotations/clip02_0002.xml:2",
        "JPEGImages/clip03_0000.png",
        "and 1 more like it",
        "has the same content as",
        "JPEGImages/clip01_0003.png",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(said.err.contains("problems were found"), "{}", said.err);
    let before_recipe = text.split("\nProposed recipe").next().unwrap();
    insta::assert_snapshot!("broken", before_recipe);
}

#[test]
fn programs_read_the_same_as_json() {
    let place = Place::new();
    let root = broken_clinic(&place);
    let said = checked(&place, &root, &["--format", "json"], 1);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["layout"], "voc");
    assert_eq!(report["is_sound"], false);
    let kinds: Vec<&str> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["kind"].as_str().unwrap())
        .collect();
    for kind in ["labels", "pictures", "duplicates"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    assert!(report["proposed_recipe"].as_str().unwrap().contains("[data.clinic]"));
    let classes = report["classes"].as_array().unwrap();
    assert_eq!(classes[0]["name"], "grasper");
    let count = classes[0]["frames"]["train"].as_u64().unwrap();
    assert!(count > 0 && count <= report["frames"]["train"].as_u64().unwrap(), "{report}");
}

#[test]
fn a_recipe_is_written_when_it_is_asked_for_and_never_over_another_file() {
    let place = Place::new();
    let root = clinic(&place);
    let file = place.path("mine.toml");
    let written = ["--write", file.to_str().unwrap()];
    checked(&place, &root, &written, 0);
    let text = fs::read_to_string(&file).unwrap();
    let said = checked(&place, &root, &written, 2);
    assert!(said.err.contains("never written over"), "{}", said.err);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // The recipe gives the same as the folder.
    let of_recipe = place.run(&["data", "check", file.to_str().unwrap()], 0).out;
    let of_folder = checked(&place, &root, &[], 0).out;
    let described = of_folder.split("\nProposed recipe").next().unwrap();
    assert_eq!(of_recipe.trim_end(), described.trim_end());
    // A wrong split is found in a recipe, too.
    let both = ["data", "check", file.to_str().unwrap(), "--set", "data.clinic.train=[1, 2]"];
    let said = place.run(&both, 1);
    assert!(said.out.contains("video01 is for training and for validation"), "{}", said.out);
}

#[test]
fn a_contact_sheet_is_a_picture() {
    let place = Place::new();
    let root = clinic(&place);
    let file = place.path("sheet.png");
    checked(&place, &root, &["--sheet", file.to_str().unwrap()], 0);
    let sheet = image::open(&file).unwrap().to_rgb8();
    assert!(sheet.width() > 900 && sheet.height() > 500);
    // A grasper's box is drawn in the first class's colour.
    assert!(sheet.pixels().any(|pixel| pixel.0 == [255, 0, 0]));
    let svg = place.path("sheet.svg");
    checked(&place, &root, &["--sheet", svg.to_str().unwrap()], 0);
    let svg = fs::read_to_string(&svg).unwrap();
    assert!(svg.contains(">grasper</text>") && svg.contains(", train</text>"), "{svg}");
    let said = checked(&place, &root, &["--sheet", "sheet.tiff"], 2);
    assert!(said.err.contains(".png, .jpg, .svg or .pdf"), "{}", said.err);
    assert!(said.out.is_empty(), "{}", said.out);
}

#[test]
fn what_is_neither_a_folder_nor_a_recipe_is_refused_with_the_names_there_are() {
    let place = Place::new();
    let said = place.run(&["data", "check", "cholec8"], 2);
    assert!(said.err.contains("did you mean `cholec80`?"), "{}", said.err);
    let said = place.run(&["data", "check", "sample-mix"], 2);
    assert!(said.err.contains("is a mix of other data recipes"), "{}", said.err);
    let said = place.run(&["data", "check", "sample-endovis18"], 2);
    assert!(said.err.contains("draws its own scenes"), "{}", said.err);
    fs::create_dir(place.path("empty")).unwrap();
    let said = checked(&place, &place.path("empty"), &[], 2);
    assert!(said.err.contains("no labels in a known layout"), "{}", said.err);
}

#[test]
fn a_new_project_has_a_recipe_and_an_experiment_for_a_folder() {
    let place = Place::new();
    let root = clinic(&place);
    let project = place.path("project");
    let from = ["init", project.to_str().unwrap(), "--from", root.to_str().unwrap()];
    let said = place.run(&from, 0);
    assert!(said.err.contains("surgcam data check clinic"), "{}", said.err);
    assert!(said.err.contains("surgcam run clinic"), "{}", said.err);
    let inside = |arguments: &[&str]| -> Said {
        let output = place.surgcam(arguments).current_dir(&project).output().unwrap();
        let said = Said::from(output);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.out, said.err);
        said
    };
    let checked = inside(&["check"]).out;
    assert!(checked.contains("experiments/clinic.toml: 5 cells, no mistake found"), "{checked}");
    let text = inside(&["data", "check", "clinic"]).out;
    assert!(text.contains("no problem was found"), "{text}");
    assert!(inside(&["show", "recipe", "data.clinic"]).out.contains("frame_step"));

    let nothing = place.path("nothing");
    fs::create_dir(&nothing).unwrap();
    let other = place.path("other");
    let said =
        place.run(&["init", other.to_str().unwrap(), "--from", nothing.to_str().unwrap()], 2);
    assert!(said.err.contains("no labels in a known layout"), "{}", said.err);
    assert!(!other.exists(), "nothing was written");
}

/// The real sets, where they lie beside the project.
#[test]
fn real_folders_are_recognised() {
    let Some(real) = common::real_frames() else { return };
    let place = Place::new();
    for (folder, layout, frames) in [("m2cai16", "voc", 1873), ("m2cai16", "cholec80", 1873)] {
        let root = real.join(folder);
        let output = place
            .surgcam(&[
                "data",
                "check",
                root.to_str().unwrap(),
                "--format",
                "json",
                "--layout",
                layout,
            ])
            .output()
            .unwrap();
        let said = Said::from(output);
        let report: Value = serde_json::from_str(&said.out).unwrap();
        let counts = &report["frames"];
        let total = counts["train"].as_u64().unwrap() + counts["validation"].as_u64().unwrap();
        assert_eq!((report["layout"].as_str(), total), (Some(layout), frames), "{}", said.err);
        assert_eq!(report["frame_step"], 25);
    }
}
