//! Label files of other people: what cannot be meant is named by file and line, and nothing hangs
//! or breaks.

use surgcam_testkit as common;

#[path = "labels/coco.rs"]
mod coco;
#[path = "labels/table.rs"]
mod table;
#[path = "labels/voc.rs"]
mod voc;
#[path = "labels/yolo.rs"]
mod yolo;

use std::path::PathBuf;

use common::fuzzing::in_limited_process;
use common::{picture, real_frames, write_endovis18};
use surgcam_frames::dataset::index::{self, Index, Layout, OnBadFrame};
use surgcam_frames::dataset::labels::{ClassMap, LabelSpace, normalized};
use surgcam_frames::dataset::pattern::Pattern;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::picture as pictures;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

const IMAGES: &str = "images/v{sequence:02}_{frame:06}.png";

/// What VOC, COCO and YOLO say of the three frames.
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
    };
    SourceLayout {
        layout,
        train: train.to_vec(),
        validation: validation.to_vec(),
        frames: Pattern::parse(frames).unwrap(),
        labels: patterns(&labels),
        boxes: patterns(&boxes),
        captions: patterns(&["captions.json", "seq_{sequence}/xml"]),
        interactions: patterns(&["interactions.csv", "seq_{sequence}/xml"]),
        frame_step: step,
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
                    "path,group,labels\nv/0.png,video02,grasper\nv/1.png,video02,hook\nv/2.png,video02,grasper;hook\n",
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
        "<objects><name>{name}</name><interaction>Idle</interaction><bndbox>{bounds}</bndbox></objects>\n"
    )
}

const BAD_BOXES: [(&str, &str); 5] = [
    ("40, 50, 20, 60", "is inverted"),
    ("3000, 3000, 3100, 3100", "lies outside the picture"),
    ("10, 10, 1e300, 40", "`1e300` is no coordinate"),
    ("-900, 10, 40, 40", "runs off the picture"),
    ("nan, 1, 2, 3", "`nan` is no coordinate"),
];

#[test]
fn a_box_that_cannot_be_meant_is_named_by_its_line_in_every_format() {
    for (corners, problem) in BAD_BOXES {
        let data = Data::new(Layout::EndoVis18);
        data.write("gt_bbox/seq_2.txt", [box_line(0, "1, 2, 3, 4"), box_line(1, corners)].concat());
        let failure = data.failure();
        assert!(
            failure.contains("gt_bbox/seq_2.txt:2: ") && failure.contains(problem),
            "{failure}"
        );
        let index = data.index(OnBadFrame::Skip).unwrap();
        let names: Vec<&str> = index.frames.iter().map(|frame| frame.name.as_str()).collect();
        assert_eq!((names, index.summary.skipped.len()), (vec!["frame000", "frame002"], 1));

        let data = Data::new(Layout::EndoVis18);
        let parts: Vec<&str> = corners.split(", ").collect();
        let bad = object("suction", parts.try_into().unwrap());
        let xml = format!(
            "<annotation>\n{}{bad}</annotation>",
            object("kidney", ["0", "0", "1280", "1024"])
        );
        data.write("seq_2/xml/frame001.xml", xml);
        let failure = data.failure();
        assert!(failure.contains("frame001.xml:3: ") && failure.contains(problem), "{failure}");
        assert_eq!(data.index(OnBadFrame::Skip).unwrap().summary.skipped.len(), 1);

        let data = Data::new(Layout::Cholec80);
        let row = corners.replace(", ", ",");
        let rows = format!("0,hook,1,2,3,4\n1,hook,5,5,9,9\n1,grasper,{row}\n1,hook,{row}\n");
        data.write("boxes/video02.csv", format!("frame,tool,x1,y1,x2,y2\n{rows}"));
        let failure = data.failure();
        assert!(failure.contains("video02.csv:4: ") && failure.contains(problem), "{failure}");
        assert!(!failure.contains("more frames"), "a frame counts once: {failure}");
        let index = data.index(OnBadFrame::Skip).unwrap();
        assert_eq!((index.frames.len(), index.summary.skipped.len()), (2, 1));

        let data = Data::new(Layout::Table);
        let rows = format!("v/0.png,hook,1,2,3,4\nv/1.png,hook,5,5,9,9\nv/1.png,grasper,{row}\n");
        data.write("boxes.csv", format!("path,class,x1,y1,x2,y2\n{rows}"));
        let failure = data.failure();
        assert!(failure.contains("boxes.csv:4: ") && failure.contains(problem), "{failure}");
        assert_eq!(data.index(OnBadFrame::Skip).unwrap().frames.len(), 2);

        let data = Data::new(Layout::Voc);
        let parts: Vec<&str> = corners.split(", ").collect();
        let objects =
            [voc::object("hook", ["5"; 4]), voc::object("grasper", parts.try_into().unwrap())]
                .concat();
        data.write("Annotations/v02_000001.xml", format!("<annotation>\n{objects}</annotation>"));
        let failure = data.failure();
        assert!(failure.contains("v02_000001.xml:3: ") && failure.contains(problem), "{failure}");
        let index = data.index(OnBadFrame::Skip).unwrap();
        assert_eq!((index.frames.len(), index.summary.skipped.len()), (2, 1));
    }
}

#[test]
fn the_same_frames_in_voc_coco_and_yolo_give_the_same_index() {
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
}

#[test]
fn a_frame_whose_boxes_are_listed_twice_is_named_with_both_lines() {
    let data = Data::new(Layout::EndoVis18);
    data.write(
        "gt_bbox/seq_2.txt",
        [box_line(1, "1, 2, 3, 4"), box_line(0, "1, 2, 3, 4"), box_line(1, "1, 2, 3, 9")].concat(),
    );
    let failure = data.failure();
    assert!(
        failure.contains("seq_2.txt:3: the boxes of frame001 are listed twice (first at "),
        "{failure}"
    );
    assert!(failure.contains("seq_2.txt:1)"), "{failure}");
    assert_eq!(data.index(OnBadFrame::Skip).unwrap().frames.len(), 2);
}

#[test]
fn a_box_that_is_listed_twice_in_a_frame_counts_once_and_is_told() {
    let data = Data::new(Layout::Cholec80);
    data.write(
        "boxes/video02.csv",
        "frame,tool,x1,y1,x2,y2\n0,hook,1,2,3,4\n0,hook,1,2,3,4\n0,hook,1,2,3,5\n",
    );
    let index = data.index(OnBadFrame::Fail).unwrap();
    assert_eq!((index.frames[0].boxes.as_ref().unwrap().len(), index.mended_boxes.len()), (2, 1));
    assert!(index.mended_boxes[0].place.ends_with("video02.csv:3"), "{:?}", index.mended_boxes);
}

#[test]
fn a_box_is_cut_at_the_edge_of_its_picture() {
    let data = Data::new(Layout::Cholec80);
    data.write(
        "boxes/video02.csv",
        "frame,tool,x1,y1,x2,y2\n0,hook,-4,0,84.9,66\n1,hook,0,0,80,64\n",
    );
    let index = data.index(OnBadFrame::Fail).unwrap();
    let boxes = index.frames.iter().flat_map(|frame| frame.boxes.iter().flatten());
    let bounds: Vec<[i64; 4]> = boxes.map(|labelled| labelled.bounds.into()).collect();
    assert_eq!((bounds, index.mended_boxes.len()), (vec![[0, 0, 80, 64], [0, 0, 80, 64]], 1));
}

/// Every real box that there is, and none is touched.
#[test]
fn real_boxes_are_taken_as_they_are() {
    let Some(real) = real_frames() else { return };
    let (labels, folder) = (real.join("endovis18-labels"), tempfile::tempdir().unwrap());
    for name in ["annotation_tool", "gt_bbox"] {
        std::os::unix::fs::symlink(labels.join(name), folder.path().join(name)).unwrap();
    }
    let endovis18 = source(Layout::EndoVis18, &[2, 3, 4, 6, 7, 9, 10, 11, 12, 14, 15], &[1, 5, 16]);
    // There are no pictures of theirs, and none is looked into.
    for sequence in endovis18.sequences() {
        let frames = folder.path().join(format!("seq_{sequence}/left_frames"));
        std::fs::create_dir_all(&frames).unwrap();
        (0..300).for_each(|frame| {
            drop(std::fs::File::create(frames.join(format!("frame{frame:03}.png"))).unwrap())
        });
    }
    let videos = real.join("m2cai16");
    let mut m2cai16 = source(Layout::Cholec80, &[1, 2, 3, 4, 5, 6], &[7]);
    m2cai16.frames = Pattern::parse("frames/video{sequence:02}/{frame:06}.jpg").unwrap();
    for (source, root, frames, boxes) in
        [(endovis18, folder.path(), 2007, 6895), (m2cai16, videos.as_path(), 1873, 2783)]
    {
        let index = index::build(&source, root, &classes(), OnBadFrame::Fail).unwrap();
        assert_eq!(index.frames.len(), frames);
        assert_eq!(
            index.frames.iter().flat_map(|frame| frame.boxes.iter().flatten()).count(),
            boxes
        );
        assert!(index.mended_boxes.is_empty(), "{:?}", index.mended_boxes[0]);
    }
}

#[test]
fn text_that_is_not_utf_8_is_named_by_its_line() {
    let cases: [(Layout, &str, &[u8]); 11] = [
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
                .contains("is no name of a sequence or frame"),
            "{name:?}"
        );
        bad[1].sequence = "seq_2".to_string();
        bad[1].name = name.to_string();
        index::write_lines(&path, &bad).unwrap();
        assert!(index::read_frames(folder.path()).is_err(), "{name:?}");
    }
}

/// Whatever stands in `file`, an index is made of it or an error is told, and its boxes lie in
/// their pictures.
fn fuzz(test: &str, layout: Layout, file: &str, seeds: &[String]) {
    let data = Data::new(layout);
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.clone().into_bytes()).collect();
    in_limited_process(test, &seeds, |input| {
        data.write(file, input);
        for on_bad_frame in [OnBadFrame::Fail, OnBadFrame::Skip] {
            let Ok(index) = data.index(on_bad_frame) else { continue };
            assert_eq!(index.frames.len(), index.annotations.len());
            for frame in &index.frames {
                let [width, height] = frame.box_space.map(i64::from);
                for labelled in frame.boxes.iter().flatten() {
                    let Box2 { x1, y1, x2, y2 } = labelled.bounds;
                    assert!(
                        0 <= x1 && x1 <= x2 && x2 <= width && 0 <= y1 && y1 <= y2 && y2 <= height,
                        "{labelled:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn fuzz_endovis18_tool_files() {
    let seed = format!(
        "{}000 1 0 0 0 0 1 0 0\n001 0 0 0 0 0 0 0 1\nframe002 0 1 0 0 0 0 0 0\n",
        common::ENDOVIS18_HEADER
    );
    fuzz(
        "fuzz_endovis18_tool_files",
        Layout::EndoVis18,
        "annotation_tool/train_dataset/seq_2.txt",
        &[seed],
    );
}

#[test]
fn fuzz_endovis18_box_lines() {
    let seed = [
        box_line(0, "1, 2, 300, 400"),
        box_line(1, "5, 193, 247, 344"),
        box_line(2, "-3, 0, 1290, 1024"),
    ]
    .concat();
    fuzz("fuzz_endovis18_box_lines", Layout::EndoVis18, "gt_bbox/seq_2.txt", &[seed]);
}

#[test]
fn fuzz_endovis18_xml() {
    let objects =
        [object("kidney", ["0", "0", "1280", "1024"]), object("suction", ["5", "5", "9.5", "9"])]
            .concat();
    let seed = format!("<annotation><caption>A suction</caption>\n{objects}</annotation>\n");
    let header = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!DOCTYPE x [<!ENTITY a \"&b;&b;\">]>{seed}"
    );
    fuzz("fuzz_endovis18_xml", Layout::EndoVis18, "seq_2/xml/frame001.xml", &[seed, header]);
}

#[test]
fn fuzz_captions() {
    let entry = |frame: u32| {
        format!(
            "{{\"id_path\": \"seq_2/features/frame{frame:03}_features.npy\", \"caption\": \"A  suction\"}}"
        )
    };
    let seed = format!("[{},\n{}]", entry(0), entry(2));
    fuzz("fuzz_captions", Layout::EndoVis18, "captions.json", &[seed]);
}

#[test]
fn fuzz_interactions() {
    let seed = "sequence,frame,tool,interaction\n2,0,suction,Idle\nseq_2,frame001,bipolar_forceps,Suction\n2,2,\"stapler\",Staple\n";
    fuzz("fuzz_interactions", Layout::EndoVis18, "interactions.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_cholec80_tool_files() {
    let seed = "Frame\tGrasper\tHook\n0\t1\t0\n25\t0\t1\n30\t0\t1\n50\t1\t1\n";
    fuzz(
        "fuzz_cholec80_tool_files",
        Layout::Cholec80,
        "tool_annotations/video02-tool.txt",
        &[seed.to_string()],
    );
}

#[test]
fn fuzz_cholec80_boxes() {
    let seed = "frame,tool,x1,y1,x2,y2\n000000,hook,1,2,30,40\n0,grasper,-3,-2,82.5,64\n2,SpecimenBag,5,5,5,5\n";
    fuzz("fuzz_cholec80_boxes", Layout::Cholec80, "boxes/video02.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_table_of_names() {
    let seed = "path,group,split,frame,labels\nv/0.png,video02,train,0,hook;grasper\nv/1.png,video02,validation,1,\n./v/2.png,video02,,7,hook\n";
    fuzz("fuzz_table_of_names", Layout::Table, "frames.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_table_of_classes() {
    let seed = "path,group,hook,grasper\nv/0.png,video02,1,0\n\"v/1.png\",video02,0,0\nv/2.png,video02,1,1\n";
    fuzz("fuzz_table_of_classes", Layout::Table, "frames.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_table_of_boxes() {
    let seed = "path,class,x1,y1,x2,y2\nv/0.png,hook,1,2,30,40\nv/0.png,grasper,-3,-2,82.5,64\n./v/2.png,SpecimenBag,5,5,5,5\n";
    fuzz("fuzz_table_of_boxes", Layout::Table, "boxes.csv", &[seed.to_string()]);
}

#[test]
fn fuzz_voc() {
    let seed = voc::annotation(OBJECTS[2])
        .replace("</annotation>", "<size><width>80</width><height>64</height></size></annotation>");
    let header = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!DOCTYPE x [<!ENTITY a \"&b;&b;\">]>{seed}"
    );
    fuzz("fuzz_voc", Layout::Voc, "Annotations/v02_000001.xml", &[seed, header]);
}

#[test]
fn fuzz_voc_image_sets() {
    fuzz(
        "fuzz_voc_image_sets",
        Layout::Voc,
        "ImageSets/Main/train.txt",
        &["v02_000000\nv02_000001 1\n\nv02_000002 -1\n".to_string()],
    );
}

#[test]
fn fuzz_coco() {
    let fractions = coco::instances().replace("[5,5,4,4]", "[4.5, -0.25, 4e0, 4.75]");
    fuzz("fuzz_coco", Layout::Coco, "instances.json", &[coco::instances(), fractions]);
}

#[test]
fn fuzz_yolo() {
    fuzz("fuzz_yolo", Layout::Yolo, "labels/v02_000001.txt", &[yolo::lines(OBJECTS[2])]);
}

#[test]
fn fuzz_yolo_classes() {
    fuzz(
        "fuzz_yolo_classes",
        Layout::Yolo,
        "classes.txt",
        &["hook\n\nSpecimenBag\r\ngrasper\n".to_string()],
    );
}

#[test]
fn fuzz_pictures() {
    let encoded = |format: image::ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture(1).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let seeds = [encoded(image::ImageFormat::Png), encoded(image::ImageFormat::Jpeg)];
    let data = Data::new(Layout::EndoVis18);
    in_limited_process("fuzz_pictures", &seeds, |input| {
        let path = data.write("picture", input);
        let size = pictures::dimensions(&path);
        if let Ok(decoded) = pictures::read(&path) {
            assert_eq!(size.unwrap(), [decoded.width(), decoded.height()]);
        }
    });
}
