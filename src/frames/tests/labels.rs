//! Label files that other people wrote: what cannot be meant is named by file and line, and no file
//! makes the program hang or break.

use surgcam_testkit as common;

#[path = "labels/boxes.rs"]
mod boxes;
#[path = "labels/cholect50.rs"]
mod cholect50;
#[path = "labels/coco.rs"]
mod coco;
#[path = "labels/fuzzing.rs"]
mod fuzzing;
#[path = "labels/hostile.rs"]
mod hostile;
#[path = "labels/table.rs"]
mod table;
#[path = "labels/voc.rs"]
mod voc;
#[path = "labels/yolo.rs"]
mod yolo;

use std::path::PathBuf;

use common::{picture, write_endovis18};
use surgcam_frames::dataset::index::{self, Index, Layout, OnBadFrame};
use surgcam_frames::dataset::labels::{ClassMap, LabelSpace, normalized};
use surgcam_frames::dataset::pattern::Pattern;
use surgcam_frames::dataset::source::SourceLayout;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

const IMAGES: &str = "images/v{sequence:02}_{frame:06}.png";

/// What VOC, COCO, YOLO and CholecT50 say of the three frames.
static OBJECTS: [&[(&str, [i64; 4])]; 3] = [
    &[("grasper", [1, 2, 30, 40])],
    &[("hook", [5, 5, 9, 9])],
    &[("grasper", [10, 10, 20, 20]), ("hook", [0, 0, 79, 63])],
];

/// Where the usual adapters look for files.
fn source(layout: Layout, train: &[u32], validation: &[u32]) -> SourceLayout {
    let (frames, labels, boxes, step) = match layout {
        Layout::EndoVis18 => (
            "seq_{sequence}/left_frames/frame{frame:03}.png",
            [
                "annotation_tool/train_dataset/seq_{sequence}.txt",
                "annotation_tool/test_dataset/seq_{sequence}.txt",
            ],
            ["gt_bbox/seq_{sequence}.txt", "seq_{sequence}/xml"],
            1,
        ),
        Layout::Cholec80 => (
            "frames/video{sequence:02}/{frame:06}.png",
            ["tool_annotations/video{sequence:02}-tool.txt", "labels.txt"],
            ["boxes/video{sequence:02}.csv", "boxes.csv"],
            25,
        ),
        Layout::Table => ("", ["frames.csv", "frames.tsv"], ["boxes.csv", "boxes.tsv"], 1),
        Layout::Voc => (
            IMAGES,
            ["Annotations/v{sequence:02}_{frame:06}.xml", "xml/{frame}.xml"],
            ["none"; 2],
            1,
        ),
        Layout::Coco => (IMAGES, ["instances.json", "instances_val.json"], ["none"; 2], 1),
        Layout::Yolo => {
            (IMAGES, ["labels/v{sequence:02}_{frame:06}.txt", "txt/{frame}.txt"], ["none"; 2], 1)
        }
        Layout::CholecT50 => {
            (IMAGES, ["labels/VID{sequence:02}.json", "VID{sequence:02}.json"], ["none"; 2], 1)
        }
    };
    let interactions: &[&str] = match layout {
        Layout::CholecT50 => &["labels/VID{sequence:02}.json"],
        _ => &["interactions.csv", "seq_{sequence}/xml"],
    };
    SourceLayout {
        layout,
        train: train.to_vec(),
        validation: validation.to_vec(),
        frames: Pattern::parse(frames).unwrap(),
        labels: patterns(&labels),
        boxes: patterns(&boxes),
        captions: patterns(&["captions.json", "seq_{sequence}/xml"]),
        interactions: patterns(interactions),
        frame_step: step,
        verbs: cholect50::verbs(),
    }
}

/// Each tool's name is a class, but for the tissue's other name.
fn classes() -> ClassMap {
    let tools = [
        "bipolar forceps",
        "prograsp forceps",
        "large needle driver",
        "monopolar curved scissors",
        "ultrasound probe",
    ];
    let more = [
        "suction",
        "clip applier",
        "stapler",
        "grasper",
        "bipolar",
        "hook",
        "scissors",
        "clipper",
        "irrigator",
        "specimenbag",
    ];
    let space: Vec<String> =
        tools.iter().chain(&more).chain(&["tissue"]).map(|class| class.to_string()).collect();
    let names = space.iter().map(|class| (normalized(class), class.clone()));
    let names = names.chain([("kidney".to_string(), "tissue".to_string())]).collect();
    ClassMap { space: LabelSpace { classes: space }, names }
}

/// Three frames of one sequence with their labels, in each layout; all other files are a test's.
struct Data {
    folder: tempfile::TempDir,
    layout: Layout,
}

impl Data {
    fn new(layout: Layout) -> Self {
        let data = Data { folder: tempfile::tempdir().unwrap(), layout };
        match layout {
            Layout::EndoVis18 => (0..3).for_each(|frame| {
                write_endovis18(
                    data.folder.path(),
                    &[(2, frame, picture(frame), "1 0 0 0 0 1 0 0")],
                );
            }),
            Layout::Cholec80 => {
                data.write(
                    "tool_annotations/video02-tool.txt",
                    "Frame\tGrasper\tHook\n0\t1\t0\n25\t0\t1\n50\t1\t1\n",
                );
                let frames = data.folder.path().join("frames/video02");
                std::fs::create_dir_all(&frames).unwrap();
                (0..3).for_each(|frame| {
                    picture(frame).save(frames.join(format!("{frame:06}.png"))).unwrap()
                });
            }
            Layout::Table => {
                data.write(
                    "frames.csv",
                    "path,group,labels\nv/0.png,video02,grasper\nv/1.png,video02,hook\n\
                     v/2.png,video02,grasper;hook\n",
                );
                let frames = data.folder.path().join("v");
                std::fs::create_dir_all(&frames).unwrap();
                (0..3).for_each(|frame| {
                    picture(frame).save(frames.join(format!("{frame}.png"))).unwrap()
                });
            }
            Layout::Voc => {
                data.write_images();
                for (frame, objects) in OBJECTS.iter().enumerate() {
                    data.write(
                        &format!("Annotations/v02_{frame:06}.xml"),
                        voc::annotation(objects),
                    );
                }
            }
            Layout::Coco => {
                data.write_images();
                data.write("instances.json", coco::instances());
            }
            Layout::Yolo => {
                data.write_images();
                data.write("classes.txt", "hook\ngrasper\n");
                for (frame, objects) in OBJECTS.iter().enumerate() {
                    data.write(&format!("labels/v02_{frame:06}.txt"), yolo::lines(objects));
                }
            }
            Layout::CholecT50 => {
                data.write_images();
                data.write("labels/VID02.json", cholect50::video());
            }
        }
        data
    }

    fn write_images(&self) {
        let images = self.folder.path().join("images");
        std::fs::create_dir_all(&images).unwrap();
        (0..3).for_each(|frame| {
            picture(frame).save(images.join(format!("v02_{frame:06}.png"))).unwrap()
        });
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes another text in place of a part of a file.
    fn replace(&self, name: &str, part: &str, other: &str) {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        assert!(text.contains(part), "{text}");
        self.write(name, text.replacen(part, other, 1));
    }

    fn index(&self, on_bad_frame: OnBadFrame) -> surgcam_engine::error::Result<Index> {
        index::build(&source(self.layout, &[2], &[2]), self.folder.path(), &classes(), on_bad_frame)
    }

    fn failure(&self) -> String {
        self.index(OnBadFrame::Fail).err().unwrap().to_string()
    }
}

/// A line of a `gt_bbox` file with a first box and no other.
fn box_line(frame: u32, first: &str) -> String {
    format!("frame{frame:03}, {first}{}\n", ", 0, 0, 0, 0".repeat(8))
}

/// One `<objects>` of an XML file, on a line of its own.
fn object(name: &str, corners: [&str; 4]) -> String {
    let [x1, y1, x2, y2] = corners;
    let bounds = format!("<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>");
    format!(
        "<objects><name>{name}</name><interaction>Idle</interaction>\
         <bndbox>{bounds}</bndbox></objects>\n"
    )
}

#[test]
fn the_same_frames_in_voc_coco_yolo_and_cholect50_give_the_same_index() {
    let frames = |layout: Layout| Data::new(layout).index(OnBadFrame::Fail).unwrap().frames;
    let expected = frames(Layout::Voc);
    let class = |name: &str| classes().space.index_of(name).unwrap();
    for (frame, objects) in expected.iter().zip(OBJECTS) {
        let boxes: Vec<(usize, [i64; 4])> =
            objects.iter().map(|(name, corners)| (class(name), *corners)).collect();
        let found = frame
            .boxes
            .iter()
            .flatten()
            .map(|labelled| (labelled.class, <[i64; 4]>::from(labelled.bounds)));
        assert_eq!((frame.sequence.as_str(), found.collect::<Vec<_>>()), ("video02", boxes));
        assert_eq!(frame.labels.len(), objects.len() + 1, "each tool, and the tissue");
    }
    assert_eq!(expected.len(), 3);
    assert_eq!(frames(Layout::Coco), expected);
    assert_eq!(frames(Layout::Yolo), expected);
    assert_eq!(frames(Layout::CholecT50), expected);
}

#[test]
fn text_that_is_not_utf_8_is_named_by_its_line() {
    let cases: [(Layout, &str, &[u8]); 12] = [
        (Layout::EndoVis18, "annotation_tool/train_dataset/seq_2.txt", b"header\n\xFF\n"),
        (Layout::EndoVis18, "gt_bbox/seq_2.txt", b"\n\xFF\n"),
        (Layout::EndoVis18, "captions.json", b"[\n\xFF]\n"),
        (Layout::EndoVis18, "interactions.csv", b"sequence,frame,tool,interaction\n\xFF\n"),
        (Layout::Cholec80, "boxes/video02.csv", b"frame,tool,x1,y1,x2,y2\n1,\xFF,1,2,3,4\n"),
        (Layout::Table, "frames.csv", b"path,group,labels\n\xFF,1,hook\n"),
        (Layout::Table, "boxes.csv", b"path,class,x1,y1,x2,y2\nv/0.png,\xFF,1,2,3,4\n"),
        (Layout::Voc, "Annotations/v02_000001.xml", b"<annotation>\n\xFF</annotation>"),
        (Layout::Voc, "ImageSets/Main/val.txt", b"v02_000001\n\xFF"),
        (Layout::Coco, "instances.json", b"{\n\xFF}"),
        (Layout::Yolo, "labels/v02_000001.txt", b"0 0.5 0.5 0.5 0.5\n\xFF"),
        (Layout::CholecT50, "labels/VID02.json", b"{\n\xFF}"),
    ];
    for (layout, name, content) in cases {
        let data = Data::new(layout);
        data.write(name, content);
        let failure = data.failure();
        assert!(failure.contains(&format!("{name}:2: ")) && failure.contains("UTF-8"), "{failure}");
    }
    let data = Data::new(Layout::EndoVis18);
    data.write("seq_2/xml/frame001.xml", b"<annotation>\n\n\xFF</annotation>");
    assert!(data.failure().contains("frame001.xml:3: "), "{}", data.failure());
}

#[test]
fn an_index_from_elsewhere_cannot_name_a_folder_above() {
    let folder = tempfile::tempdir().unwrap();
    let data = Data::new(Layout::EndoVis18);
    let frames = data.index(OnBadFrame::Fail).unwrap().frames;
    let path = folder.path().join(index::FRAMES_FILE);
    index::write_lines(&path, &frames).unwrap();
    assert_eq!(index::read_frames(folder.path()).unwrap(), frames);
    for name in ["../../x", "/x", "..", "", "a\nb", "\u{1b}[31m"] {
        let mut bad = frames.clone();
        bad[1].sequence = name.to_string();
        index::write_lines(&path, &bad).unwrap();
        assert!(
            index::read_frames(folder.path())
                .unwrap_err()
                .to_string()
                .contains("is not a name of a sequence or frame"),
            "{name:?}"
        );
        bad[1].sequence = "seq_2".to_string();
        bad[1].name = name.to_string();
        index::write_lines(&path, &bad).unwrap();
        assert!(index::read_frames(folder.path()).is_err(), "{name:?}");
    }
}
