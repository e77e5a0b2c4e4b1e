//! CholecT50's files: what is wrong in them is named by the entry, and the real ones are compared
//! with m2cai16's labels of the same frames.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use serde_json::{Map, Value, json};

use super::table::videos;
use super::*;
use crate::common::real_frames;
use surgcam_frames::dataset::annotations::{INTERACTIONS, LabelledInteraction};

/// The interactions that the shipped recipe maps verbs to.
pub(super) fn verbs() -> BTreeMap<String, String> {
    let verbs = [
        ("grasp", "Grasping"),
        ("retract", "Retraction"),
        ("dissect", "Tissue_Manipulation"),
        ("coagulate", "Cauterization"),
        ("clip", "Clipping"),
        ("cut", "Cutting"),
        ("aspirate", "Suction"),
        ("irrigate", "Suction"),
        ("pack", "Tissue_Manipulation"),
        ("null_verb", "Idle"),
    ];
    verbs.map(|(verb, interaction)| (verb.to_string(), interaction.to_string())).into()
}

/// The file of the three frames: graspers grasp and hooks dissect.
pub(super) fn video() -> String {
    let frame = |(frame, objects): (usize, &&[(&str, [i64; 4])])| {
        (frame.to_string(), objects.iter().map(instance).collect::<Value>())
    };
    let annotations: Map<String, Value> = OBJECTS.iter().enumerate().map(frame).collect();
    let categories = json!({
        "instrument": {"0": "grasper", "2": "hook"},
        "verb": {"0": "grasp", "2": "dissect", "9": "null_verb"},
        "target": {"0": "gallbladder"},
        "phase": {"1": "dissection"},
    });
    json!({"video": 2, "fps": 1, "categories": categories, "annotations": annotations}).to_string()
}

fn instance((name, [x1, y1, x2, y2]): &(&str, [i64; 4])) -> Value {
    let (instrument, verb) = if *name == "hook" { (2, 2) } else { (0, 0) };
    let across = |pixels: i64| pixels as f64 / 80.0;
    let down = |pixels: i64| pixels as f64 / 64.0;
    let (x, y, width, height) = (across(*x1), down(*y1), across(x2 - x1), down(y2 - y1));
    json!([7, instrument, 1.0, x, y, width, height, verb, 0, 1.0, -1.0, -1.0, -1.0, -1.0, 1])
}

/// A data set of the three frames where a part of the file is another.
fn with(part: &str, other: &str) -> Data {
    let data = Data::new(Layout::CholecT50);
    data.replace("labels/VID02.json", part, other);
    data
}

#[test]
fn what_is_wrong_is_named_by_its_entry() {
    for (part, other, said) in [
        ("\"hook\"", "\"hok\"", "labels/VID02.json: `hok` is not a class"),
        ("\"null_verb\"", "3", "VID02.json: `categories.verb[\"9\"]` does not have a text"),
        ("[7,2,", "[7,4,", "VID02.json: annotations[\"1\"][0]: no instrument has the id 4"),
        ("\"1\":[[", "\"9\":[[", "VID02.json: annotations[\"9\"] has no picture"),
        ("\"1\":[[", "\"x\":[[", "VID02.json: annotations[\"x\"]: `x` is not a frame number"),
        ("\"1\":[[", "\"0\":[[", "VID02.json: annotations[\"0\"]: 000000 is listed twice"),
        ("\"1\":[[", "\"1\":[7,[", "annotations[\"1\"][0]: the instance is 7, and 15 numbers"),
        ("0.0625,0.078125", "5,5", "annotations[\"1\"][0]: the box is [5, 5, 0.05, 0.0625]"),
        (
            "0.0625,0.078125",
            "1.2,0.078125",
            "annotations[\"1\"][0]: the box 96,5,100,9 of `hook` lies outside the picture",
        ),
        (
            "\"dissect\"",
            "\"disect\"",
            "VID02.json: annotations[\"1\"][0]: `disect` is not a verb that the recipe maps; did \
             you mean `dissect`?",
        ),
        ("{", "[", "VID02.json:1: cannot understand the CholecT50 file"),
    ] {
        let failure = with(part, other).failure();
        assert!(failure.contains(said), "{other}\n{failure}");
    }
}

#[test]
fn what_instruments_do_and_the_phase_are_kept() {
    let index = Data::new(Layout::CholecT50).index(OnBadFrame::Fail).unwrap();
    let class = |name: &str| classes().space.index_of(name).unwrap();
    let pair = |name: &str, interaction: &str| LabelledInteraction {
        class: class(name),
        interaction: INTERACTIONS.iter().position(|known| *known == interaction).unwrap(),
    };
    let (grasper, hook) = (pair("grasper", "Grasping"), pair("hook", "Tissue_Manipulation"));
    let found: Vec<_> =
        index.annotations.iter().map(|found| found.interactions.clone().unwrap()).collect();
    assert_eq!(found, [vec![grasper.clone()], vec![hook.clone()], vec![grasper, hook]]);
    let phases = index.annotations.iter().map(|found| found.phase.as_deref());
    assert_eq!(phases.collect::<Vec<_>>(), [Some("dissection"); 3]);
}

#[test]
fn a_frame_whose_instruments_do_not_all_have_a_box_is_not_annotated_with_boxes() {
    let index = with("0.0,0.0,0.9875,0.984375", "-1,-1,-1,-1").index(OnBadFrame::Fail).unwrap();
    let has_boxes: Vec<bool> = index.frames.iter().map(|frame| frame.boxes.is_some()).collect();
    assert_eq!(has_boxes, [true, true, false]);
    assert_eq!(index.frames[2].labels.len(), 3, "both tools, and the tissue");
}

#[test]
fn frame_numbers_are_those_of_the_pictures() {
    let data = Data::new(Layout::CholecT50);
    let mut source = source(Layout::CholecT50, &[2], &[2]);
    source.frame_step = 25;
    let error = index::build(&source, data.folder.path(), &classes(), OnBadFrame::Fail)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("`frame_step` is 25"), "{error}");
}

/// CholecT50's number of a video, m2cai16's, and how m2cai16's labels of the same frames differ if
/// specimen bags are left aside, which CholecT50 does not label: in how many frames there are other
/// tools, and in how many there are more boxes.
const SAME_VIDEOS: [(u32, u32, usize, usize); 3] = [(68, 2, 0, 10), (70, 4, 29, 34), (73, 7, 0, 2)];

#[test]
fn real_frames_have_m2cai16s_labels_but_for_known_differences() {
    let Some(real) = real_frames() else { return };
    let folder = tempfile::tempdir().unwrap();
    symlink(real.join("cholect50/labels"), folder.path().join("labels")).unwrap();
    std::fs::create_dir(folder.path().join("videos")).unwrap();
    let frames = real.join("m2cai16/frames");
    let bag = classes().space.index_of("specimenbag").unwrap();
    for (video, same, other_tools, more_boxes) in SAME_VIDEOS {
        symlink(
            frames.join(format!("video{same:02}")),
            folder.path().join(format!("videos/VID{video:02}")),
        )
        .unwrap();
        let mut cholect50 = source(Layout::CholecT50, &[video], &[]);
        cholect50.frames = Pattern::parse("videos/VID{sequence:02}/{frame:06}.jpg").unwrap();
        let found = index::build(&cholect50, folder.path(), &classes(), OnBadFrame::Fail).unwrap();
        let m2cai16 = videos("jpg", &[same], &[]);
        let expected =
            index::build(&m2cai16, &real.join("m2cai16"), &classes(), OnBadFrame::Fail).unwrap();
        let rows: BTreeMap<&str, usize> = expected
            .frames
            .iter()
            .enumerate()
            .map(|(row, frame)| (frame.name.as_str(), row))
            .collect();
        let mut differences = (0, 0);
        for (frame, annotation) in found.frames.iter().zip(&found.annotations) {
            let row = rows[frame.name.as_str()];
            let same = &expected.frames[row];
            let tools = same.labels.iter().copied().filter(|class| *class != bag);
            differences.0 += usize::from(tools.collect::<Vec<_>>() != frame.labels);
            let boxes = frame.boxes.as_ref().unwrap();
            let others: Vec<_> =
                same.boxes.iter().flatten().filter(|labelled| labelled.class != bag).collect();
            assert!(boxes.iter().all(|labelled| others.contains(&labelled)), "{frame:?}");
            differences.1 += usize::from(others.len() > boxes.len());
            assert_eq!(annotation.interactions, expected.annotations[row].interactions);
            assert!(annotation.phase.is_some());
        }
        assert_eq!((video, differences), (video, (other_tools, more_boxes)));
    }
}
