//! Label files of other people, as runs meet them.

use surgcam_testkit as common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Place, Said, picture, write_endovis18};

/// A line of a `gt_bbox` file with a first box and no other.
fn box_line(frame: u32, first: &str) -> String {
    format!("frame{frame:03}, {first}{}\n", ", 0, 0, 0, 0".repeat(8))
}

const BAD_BOXES: [(&str, &str); 5] = [
    ("40, 50, 20, 60", "is inverted"),
    ("3000, 3000, 3100, 3100", "lies outside the picture"),
    ("10, 10, 1e300, 40", "`1e300` is no coordinate"),
    ("-900, 10, 40, 40", "runs off the picture"),
    ("nan, 1, 2, 3", "`nan` is no coordinate"),
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
