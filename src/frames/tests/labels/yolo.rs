//! YOLO files: what is wrong in them is named by its line, and real frames written so come back.

use super::table::videos;
use super::*;
use crate::common::real_frames;

/// The file of a picture of 80x64 pixels; hooks are class 0 and graspers class 1.
pub(super) fn lines(objects: &[(&str, [i64; 4])]) -> String {
    let line = |(name, corners): &(&str, [i64; 4])| {
        line(u32::from(*name != "hook").into(), *corners, [80, 64])
    };
    objects.iter().map(line).collect()
}

fn line(class: u64, corners: [i64; 4], size: [u32; 2]) -> String {
    let [across, down] = size.map(f64::from);
    let [x1, y1, x2, y2] = corners.map(|corner| corner as f64);
    let (centre, sides) = (
        [(x1 + x2) / 2.0 / across, (y1 + y2) / 2.0 / down],
        [(x2 - x1) / across, (y2 - y1) / down],
    );
    format!("{class} {:.6} {:.6} {:.6} {:.6}\n", centre[0], centre[1], sides[0], sides[1])
}

#[test]
fn what_is_wrong_is_named_by_its_line() {
    for (file, text, said) in [
        (
            "labels/v02_000001.txt",
            "\n0 0.5 0.5 0.5\n",
            "v02_000001.txt:2: the line has 4 columns, 5 are expected",
        ),
        (
            "labels/v02_000001.txt",
            "\n2 0.5 0.5 0.5 0.5\n",
            "v02_000001.txt:2: the class 2 has no name in ",
        ),
        (
            "labels/v02_000001.txt",
            "0 40 32 10 10\n",
            "v02_000001.txt:1: `40` is not a part of a picture's side",
        ),
        (
            "labels/v02_000001.txt",
            "0 1.2 0.5 0.5 0.5\n",
            "v02_000001.txt:1: the box 76,16,116,48 of `hook` runs off the picture",
        ),
        ("labels/v02_000009.txt", "", "v02_000009.txt has no picture"),
        ("labels/one.txt", "", "one.txt: the file's name `one.txt` does not fit"),
        ("classes.txt", "hok\ngrasper\n", "v02_000001.txt:1: `hok` is not a class"),
        ("classes.txt", "hok\ngrasper\n", "did you mean `hook`?"),
    ] {
        let data = Data::new(Layout::Yolo);
        data.write(file, text);
        let failure = data.failure();
        assert!(failure.contains(said), "{text}\n{failure}");
    }
}

#[test]
fn without_names_the_recipe_maps_the_numbers_and_an_empty_file_is_a_frame() {
    let data = Data::new(Layout::Yolo);
    std::fs::remove_file(data.folder.path().join("classes.txt")).unwrap();
    data.write("labels/v02_000001.txt", "");
    assert!(data.failure().contains("v02_000000.txt:1: `1` is not a class"), "{}", data.failure());
    let mut classes = classes();
    classes
        .names
        .extend([("0".to_string(), "hook".to_string()), ("1".to_string(), "grasper".to_string())]);
    let frames = index::build(
        &source(Layout::Yolo, &[2], &[]),
        data.folder.path(),
        &classes,
        OnBadFrame::Fail,
    )
    .unwrap()
    .frames;
    assert_eq!((frames.len(), &frames[1].boxes), (3, &Some(Vec::new())));
    assert!(frames[0].labels.contains(&classes.space.index_of("grasper").unwrap()));
}

#[test]
fn real_frames_written_as_yolo_give_the_same_index() {
    let Some(real) = real_frames() else { return };
    let videos = videos("jpg", &[1, 2, 3, 4, 5, 6], &[7]);
    let root = real.join("m2cai16");
    let expected = index::build(&videos, &root, &classes(), OnBadFrame::Fail).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root.join("frames"), folder.path().join("frames")).unwrap();
    for frame in &expected.frames {
        let mut text = String::new();
        for labelled in frame.boxes.iter().flatten() {
            text.push_str(&line(labelled.class as u64, labelled.bounds.into(), frame.box_space));
        }
        let path = folder.path().join(format!("labels/{}/{}.txt", frame.sequence, frame.name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(folder.path().join("labels/classes.txt"), classes().space.classes.join("\n"))
        .unwrap();
    let labels = patterns(&["labels/video{sequence:02}/{frame:06}.txt"]);
    let yolo = SourceLayout { layout: Layout::Yolo, labels, frame_step: 1, ..videos };
    let found = index::build(&yolo, folder.path(), &classes(), OnBadFrame::Fail).unwrap();
    assert_eq!((found.frames, found.pictures), (expected.frames, expected.pictures));
}
