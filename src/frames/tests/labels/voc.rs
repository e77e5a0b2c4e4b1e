//! PASCAL VOC says the same as Cholec80's files of the same frames, and what is wrong in it is
//! named by its line.

use super::table::videos;
use super::*;
use crate::common::real_frames;

/// An XML file with these objects, each on a line of its own.
pub(super) fn annotation(objects: &[(&str, [i64; 4])]) -> String {
    let objects = objects.iter().map(|(name, corners)| {
        let [x1, y1, x2, y2] = corners.map(|corner| corner.to_string());
        object(name, [&x1, &y1, &x2, &y2])
    });
    format!("<annotation>\n{}</annotation>\n", objects.collect::<String>())
}

pub(super) fn object(name: &str, [x1, y1, x2, y2]: [&str; 4]) -> String {
    let bounds = format!("<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>");
    format!("<object><name>{name}</name><bndbox>{bounds}</bndbox></object>\n")
}

#[test]
fn real_frames_have_the_same_labels_and_boxes_in_voc_as_in_cholec80s_form() {
    let Some(real) = real_frames() else { return };
    let cholec80 = videos("jpg", &[1, 2, 3, 4, 5, 6], &[7]);
    let labels = patterns(&["voc/Annotations/v{sequence:02}_{frame:06}.xml"]);
    let voc = SourceLayout { layout: Layout::Voc, labels, ..cholec80.clone() };
    let [expected, found] = [cholec80, voc].map(|source| {
        index::build(&source, &real.join("m2cai16"), &classes(), OnBadFrame::Fail).unwrap()
    });
    assert_eq!(found.frames.len(), 1873);
    for (found, expected) in found.frames.iter().zip(&expected.frames) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.pictures, expected.pictures);
    assert_eq!(found.annotations, expected.annotations);
    assert_eq!(found.summary, expected.summary);
}

/// What is said of three frames where one of the files is another.
fn failure_of(file: &str, text: &str) -> String {
    let data = Data::new(Layout::Voc);
    data.write(file, text);
    data.failure()
}

#[test]
fn what_is_wrong_is_named_by_its_line() {
    let laser = format!("<annotation>\n\n{}</annotation>", object("graspr", ["1", "2", "3", "4"]));
    let size = "<annotation>\n<size><width>800</width><height>640</height></size></annotation>";
    for (file, text, said) in [
        ("Annotations/v02_000001.xml", laser.as_str(), "v02_000001.xml:3: `graspr` is not a class"),
        ("Annotations/v02_000001.xml", laser.as_str(), "did you mean `grasper`?"),
        (
            "Annotations/v02_000001.xml",
            "<annotation>\n<object/></annotation>",
            "v02_000001.xml:2: <object> has no <name>",
        ),
        ("Annotations/v02_000001.xml", "<annotation>\n<object>", "v02_000001.xml:"),
        (
            "Annotations/v02_000001.xml",
            size,
            "the label counts in a picture of 800x640 pixels, but ",
        ),
        ("Annotations/v02_000009.xml", "<annotation/>", "v02_000009.xml has no picture"),
        (
            "Annotations/one.xml",
            "<annotation/>",
            "one.xml: the file's name `one.xml` does not fit `v{sequence:02}_{frame:06}.xml`",
        ),
        ("Annotations/v2_1.xml", "<annotation/>", "v2_1.xml: the file is of the same frame as "),
        (
            "ImageSets/Main/train.txt",
            "v02_000000\nv02_7\n",
            "ImageSets/Main/train.txt:2: `v02_7` has no XML file",
        ),
    ] {
        let failure = failure_of(file, text);
        assert!(failure.contains(said), "{text}\n{failure}");
    }
}

#[test]
fn image_sets_split_a_sequence_that_the_recipe_leaves_open_and_no_other() {
    let data = Data::new(Layout::Voc);
    data.write("ImageSets/Main/train.txt", "v02_000000\n");
    data.write("ImageSets/Main/val.txt", "v02_000002\n");
    let frames = data.index(OnBadFrame::Fail).unwrap().frames;
    let splits: Vec<(&str, bool, bool)> =
        frames.iter().map(|frame| (frame.name.as_str(), frame.train, frame.validation)).collect();
    assert_eq!(splits, [("000000", true, false), ("000002", false, true)]);
    let files = source(Layout::Voc, &[2], &[2]).source_files(data.folder.path()).unwrap();
    assert!(
        files.contains(&PathBuf::from("ImageSets/Main/val.txt")) && files.len() == 8,
        "{files:?}"
    );

    let train_alone = source(Layout::Voc, &[2], &[]);
    assert_eq!(train_alone.source_files(data.folder.path()).unwrap().len(), 6);
    let frames = index::build(&train_alone, data.folder.path(), &classes(), OnBadFrame::Fail)
        .unwrap()
        .frames;
    assert!(frames.len() == 3 && frames.iter().all(|frame| frame.train && !frame.validation));

    data.write("ImageSets/Main/val.txt", "\nv02_000000\n");
    let failure = data.failure();
    assert!(
        failure.contains("val.txt:2: `v02_000000` is for training and for validation"),
        "{failure}"
    );
}
