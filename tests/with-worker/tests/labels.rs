//! Label files of other people, as runs meet them.

use surgcam_testkit as common;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Place, Said, picture, write_endovis18, write_voc};
use serde_json::Value;

/// A line of a `gt_bbox` file with a first box and no other.
fn box_line(frame: u32, first: &str) -> String {
    format!("frame{frame:03}, {first}{}\n", ", 0, 0, 0, 0".repeat(8))
}

const BAD_BOXES: [(&str, &str); 5] = [
    ("40, 50, 20, 60", "is inverted"),
    ("3000, 3000, 3100, 3100", "lies outside the picture"),
    ("10, 10, 1e300, 40", "`1e300` is not a coordinate"),
    ("-900, 10, 40, 40", "runs off the picture"),
    ("nan, 1, 2, 3", "`nan` is not a coordinate"),
];

/// An experiment on EndoVis18 folders below `data`; boxes of the training sequence are `train`, of
/// the validation `validation`.
fn experiment(place: &Place, frames: u32, train: &str, validation: &str) -> String {
    let root = place.path("data");
    for frame in 0..frames {
        write_endovis18(&root, &[(2, frame, picture(frame), "1 0 0 0 0 0 0 0")]);
    }
    for frame in 0..2 {
        write_endovis18(&root, &[(1, frame, picture(frame + 50), "1 0 0 0 0 0 0 0")]);
    }
    place.write("data/gt_bbox/seq_2.txt", train);
    place.write("data/gt_bbox/seq_1.txt", validation);
    let text = format!(
        "[experiment]\nname = \"boxes\"\nspeed = false\ntables = [\"localization\"]\n\
         [data.mine]\nadapter = \"endovis18\"\nroot = {root:?}\ntrain = [2]\nvalidation = [1]\n\
         image_size = [64, 80]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"mine\"\nepochs = 1\nbatch_size = 2\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"sl-fe\"]\n"
    );
    place.write("boxes.toml", &text).to_str().unwrap().to_string()
}

/// The notes below the localisation table.
fn notes(place: &Place) -> String {
    std::fs::read_to_string(place.path("results/boxes/tables/localization.md")).unwrap()
}

#[test]
fn a_run_on_bad_boxes_fails_at_the_first_or_skips_and_counts_their_frames() {
    let place = Place::new();
    let bad: String =
        BAD_BOXES.iter().zip(2..).map(|((corners, _), frame)| box_line(frame, corners)).collect();
    let good = [0, 1].map(|frame| box_line(frame, "1, 2, 300, 400")).concat();
    let train = format!("{good}{bad}{}", box_line(7, "1, 2, 3, 4").repeat(2));
    let file = experiment(&place, 8, &train, &box_line(0, "1, 2, 300, 400"));
    let said = place.run(&["run", &file], 1);
    assert!(
        said.err.contains("gt_bbox/seq_2.txt:3") && said.err.contains("is inverted"),
        "{}",
        said.err
    );
    assert!(said.err.contains("5 more frames"), "{}", said.err);
    place.run(&["run", &file, "--set", "data.on_bad_frame=skip"], 0);
    assert_eq!(place.run_record("boxes")["skipped_frames"], 6);
    let notes = notes(&place);
    assert!(
        notes.contains("6 frames were skipped, the first: ") && notes.contains("seq_2.txt:3"),
        "{notes}"
    );
}

#[test]
fn a_box_that_runs_off_the_picture_by_a_little_is_cut_and_counted_in_the_notes() {
    let place = Place::new();
    let file =
        experiment(&place, 2, &box_line(0, "-3, 0, 1290, 900"), &box_line(1, "5, 5, 1280, 1075"));
    place.run(&["run", &file], 0);
    assert_eq!(place.run_record("boxes")["skipped_frames"], 0);
    let notes = notes(&place);
    assert!(
        notes.contains("2 boxes were cut or taken once, the first: ")
            && notes.contains("seq_1.txt:1"),
        "{notes}"
    );
    assert!(notes.contains("was cut to 5,5,1280,1024"), "{notes}");
}

/// Runs it; a program that hangs fails the test.
fn run_without_hanging(place: &Place, arguments: &[&str]) -> Said {
    let mut child = place.spawn(arguments, Stdio::piped);
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("surgcam {arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap().into()
}

fn replace_by_pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn replace_by_endless_device(path: &Path) {
    let _ = std::fs::remove_file(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path).unwrap();
}

#[test]
fn a_label_file_that_is_a_pipe_or_a_device_is_refused_and_not_waited_for() {
    let files = [
        "annotation_tool/train_dataset/seq_2.txt",
        "gt_bbox/seq_2.txt",
        "captions/captions.json",
        "interactions.csv",
        "interactions/seq_1.csv",
    ];
    for file in files {
        for replace in [replace_by_pipe, replace_by_endless_device] {
            let place = Place::new();
            let experiment = experiment(&place, 2, &box_line(0, "1, 2, 3, 4"), "");
            let path = place.path("data").join(file);
            replace(&path);
            let said = run_without_hanging(&place, &["run", &experiment]);
            assert_eq!(said.code, Some(2), "{file}: {}", said.err);
            assert!(
                said.err.contains(&format!("{}: is not a regular file", path.display())),
                "{}",
                said.err
            );
        }
    }
}

#[test]
fn a_picture_or_an_xml_file_that_is_a_pipe_is_a_frame_that_cannot_be_used() {
    for file in ["seq_2/left_frames/frame001.png", "seq_2/xml/frame001.xml"] {
        let place = Place::new();
        let experiment = experiment(&place, 3, "", "");
        std::fs::remove_dir_all(place.path("data/gt_bbox")).unwrap();
        replace_by_pipe(&place.path("data").join(file));
        let said = run_without_hanging(&place, &["run", &experiment]);
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(
            said.err.contains("frame001.") && said.err.contains("not a regular file"),
            "{}",
            said.err
        );
        let said =
            run_without_hanging(&place, &["run", &experiment, "--set", "data.on_bad_frame=skip"]);
        assert_eq!(
            (said.code, place.run_record("boxes")["skipped_frames"].as_i64()),
            (Some(0), Some(1)),
            "{}",
            said.err
        );
    }
}

#[test]
fn a_link_that_leads_nowhere_is_named_and_a_vast_file_is_not_read() {
    let place = Place::new();
    let file =
        experiment(&place, 2, &box_line(0, "1, 2, 300, 400"), &box_line(0, "1, 2, 300, 400"));
    let boxes = place.path("data/gt_bbox/seq_1.txt");
    std::fs::remove_file(&boxes).unwrap();
    std::os::unix::fs::symlink(place.path("not-mounted"), &boxes).unwrap();
    let said = Said::from(place.surgcam(&["run", &file]).output().unwrap());
    assert!(said.code != Some(0) && said.err.contains("seq_1.txt"), "{:?} {}", said.code, said.err);
    std::fs::remove_file(&boxes).unwrap();
    // It takes no room on the disk, and would be hashed for a minute.
    std::fs::File::create(&boxes).unwrap().set_len(20 << 30).unwrap();
    let said = Said::from(place.surgcam(&["run", &file]).output().unwrap());
    assert_ne!(said.code, Some(0));
    assert!(said.err.contains("seq_1.txt: is larger than 67108864 bytes"), "{}", said.err);
}

/// The only file of this name below a folder, as JSON.
fn json_below(folder: &Path, name: &str) -> Value {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    let found: Vec<_> = files.filter(|entry| entry.file_name() == name).collect();
    assert!(!found.is_empty(), "{name} is below {}", folder.display());
    serde_json::from_slice(&std::fs::read(found[0].path()).unwrap()).unwrap()
}

#[test]
fn a_folder_that_nobody_described_is_run_on_in_three_commands_and_its_boxes_are_exported() {
    let place = Place::new();
    let (root, project, out) = (place.path("clinic"), place.path("project"), place.path("out"));
    write_voc(&root);
    let from = ["init", project.to_str().unwrap(), "--from", root.to_str().unwrap()];
    place.run(&from, 0);
    let inside = |arguments: &[&str]| {
        let said: Said = place.surgcam(arguments).current_dir(&project).output().unwrap().into();
        assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.out, said.err);
    };
    let quick = [
        "--set",
        "model.epochs=1",
        "--set",
        "data.image_size=[64, 80]",
        "--set",
        "experiment.speed=false",
    ];
    inside(&["data", "check", "clinic"]);
    inside(&[&["run", "clinic"], &quick[..]].concat());
    assert!(place.table("clinic", "extraction").lines().count() > 4);
    assert!(place.table("clinic", "localization").lines().count() > 1);

    let export = ["export", "boxes", "clinic", "--format", "coco", "--out", out.to_str().unwrap()];
    inside(&[&export[..], &quick[..]].concat());
    let truth = json_below(&out, "ground-truth.json");
    let images = truth["images"].as_array().unwrap();
    assert_eq!(images.len(), 12);
    assert!(images.iter().all(|image| image["width"] == 80 && image["height"] == 64));
    assert_eq!(images[0]["id"], 1);
    assert_eq!(images[0]["file_name"], "JPEGImages/clip01_0000.png");
    assert_eq!(truth["annotations"].as_array().unwrap().len(), 20);
    let first = serde_json::json!([3.0, 3.0, 57.0, 47.0]);
    assert_eq!(truth["annotations"][0]["bbox"], first, "a grasper's box, as it is in the file");
    let names: Vec<&str> = truth["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|category| category["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["grasper", "hook", "tissue"]);
    let predictions = json_below(&out, "predictions.json");
    let instances = json_below(&out, "instances.json");
    let (predictions, instances) =
        (predictions.as_array().unwrap(), instances["annotations"].as_array().unwrap());
    assert_eq!(predictions.len(), instances.len());
    for (prediction, instance) in predictions.iter().zip(instances) {
        for key in ["image_id", "category_id", "bbox", "score"] {
            assert_eq!(prediction[key], instance[key], "{key}");
        }
        let [x, y, width, height] =
            [0, 1, 2, 3].map(|place| prediction["bbox"][place].as_f64().unwrap());
        assert!(x >= 0.0 && y >= 0.0 && x + width <= 80.01 && y + height <= 64.01, "{prediction}");
    }
}

/// An experiment on three frames of each of two videos. What a detector found is `boxes`, or the
/// true boxes.
fn with_detector(place: &Place, boxes: Option<&str>) -> String {
    let root = place.path("data");
    let mut frames = "path,group,hook,suction\n".to_string();
    let mut true_boxes = "path,class,x1,y1,x2,y2\n".to_string();
    for (video, frame) in [1, 2].into_iter().flat_map(|video| [0, 1, 2].map(|frame| (video, frame)))
    {
        let path = format!("video{video:02}/{frame:06}.png");
        let file = root.join(&path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        picture(10 * video + frame).save(file).unwrap();
        frames += &format!("{path},video{video:02},1,{}\n", frame % 2);
        true_boxes += &format!("{path},hook,{},4,{},40\n", 3 + frame, 30 + frame);
        if frame % 2 == 1 {
            true_boxes += &format!("{path},suction,1,2,20,21\n{path},suction,50,30,79,60\n");
        }
    }
    place.write("data/frames.csv", &frames);
    place.write("data/boxes.csv", &true_boxes);
    let detected = place.write("detected.csv", boxes.unwrap_or(&true_boxes));
    let text = format!(
        "[experiment]\nname = \"detector\"\nspeed = false\n\
         tables = [\"localization\", \"extraction\"]\n\
         deletion_insertion_frames = 2\ndeletion_insertion_steps = 4\n\
         [data.mine]\nadapter = \"table\"\nroot = {root:?}\ntrain = [1]\nvalidation = [2]\n\
         image_size = [96, 120]\n\
         [model.tiny]\nbackbone = \"resnet10\"\ndata = \"mine\"\nepochs = 1\nbatch_size = 2\n\
         [extraction.mine]\nextends = \"detector\"\nboxes = {detected:?}\n\
         [matrix]\nmodel = [\"tiny\"]\nextraction = [\"mine\", \"ground-truth-boxes\", \"sl-fe\"]\n\
         [set]\nextraction.present = [8, 10]\n"
    );
    place.write("detector.toml", &text).to_str().unwrap().to_string()
}

/// The rows of a table, each value by its column.
fn rows(csv: &str) -> Vec<HashMap<String, String>> {
    let mut lines = csv.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

/// The files below a folder with their contents.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = PathBuf::from(path.file_name().unwrap());
            found.extend(contents(&path).into_iter().map(|(below, text)| (name.join(below), text)));
        } else {
            found.insert(path.file_name().unwrap().into(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_detector_that_finds_the_true_boxes_is_perfect_and_has_their_features() {
    let place = Place::new();
    let file = with_detector(&place, None);
    place.run(&["run", &file], 0);
    let table = rows(&place.table("detector", "localization"));
    let row = |boxes: &str, truth: &str| {
        let found = table.iter().find(|row| row["boxes"] == boxes && row["ground truth"] == truth);
        found.unwrap_or_else(|| panic!("no row {boxes}, {truth}: {table:#?}"))
    };
    let detected = row("mine", "its own");
    for column in ["mIoU", "mIoU instruments", "AP50:95", "box precision", "box recall"] {
        let value: f64 = detected[column].parse().unwrap();
        assert!((value - 1.0).abs() < 1e-9, "{column}: {value}");
    }
    assert!(
        row("mine", "another frame's (control)")["mIoU instruments"].parse::<f64>().unwrap() < 1.0
    );
    // Deletion and insertion are about heat.
    for truth in ["its own", "another frame's (control)"] {
        for column in ["deletion", "insertion"] {
            let area: f64 = row("heat maps", truth)[column].parse().unwrap();
            assert!(area > 0.0 && area < 1.0, "{column}: {area}");
            assert!(row("mine", truth)[column].parse::<f64>().is_err());
        }
    }
    let out = place.path("features");
    place.run(&["export", "features", &file, "--out", out.to_str().unwrap()], 0);
    let of = |extraction: &str, part: &str| {
        contents(&out.join(format!("tiny/{extraction}_roi0.3_pool512/{part}")))
    };
    let features = of("mine", "per_frame");
    assert_eq!(features.len(), 6);
    assert!(features == of("ground-truth-boxes", "per_frame"), "the features differ");
    let regions: Vec<PathBuf> = of("mine", "per_region").into_keys().collect();
    assert_eq!(regions, of("ground-truth-boxes", "per_region").into_keys().collect::<Vec<_>>());
    assert_eq!(regions.len(), 2 * (1 + 3 + 1));
}

#[test]
fn other_boxes_of_a_detector_make_nothing_again_that_does_not_read_them() {
    let place = Place::new();
    let file = with_detector(&place, None);
    place.run(&["run", &file], 0);
    let header = "path,class,x1,y1,x2,y2,score";
    let sure = ["video01/000000.png", "video01/000001.png", "video02/000001.png"]
        .map(|path| format!("{path},hook,1,2,30,40,0.75"))
        .join("\n");
    let unsure = "video02/000001.png,hook,1,2,3,4,0.25";
    with_detector(&place, Some(&format!("{header}\n{sure}\n{unsure}\n")));
    place.run(&["run", &file], 0);
    let mut kinds = place.executed_kinds("detector");
    kinds.sort();
    assert_eq!(kinds, ["detections", "extract", "probe", "score"]);
    with_detector(&place, Some(&format!("{header}\n{sure}\nvideo02/000009.png,hook,1,2,3,4,1\n")));
    let said = place.run(&["run", &file], 1);
    assert!(
        said.err.contains("detected.csv:5")
            && said.err.contains("there is a box of `video02/000009.png`"),
        "{}",
        said.err
    );
}
