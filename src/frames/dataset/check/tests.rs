//! What is said of sound and of broken folders, each drawn for its test.

use std::path::PathBuf;

use super::*;
use crate::dataset::adapters::Layout;
use crate::dataset::sample::{self, SampleData};

struct Data {
    folder: tempfile::TempDir,
}

impl Data {
    fn new() -> Self {
        Data { folder: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// No two pictures are the same.
    fn draw(&self, name: &str, seed: u32) {
        let path = self.write(name, "");
        let shade = |x: u32, y: u32| image::Rgb([(x * 3) as u8, (y * 4) as u8, (seed * 7) as u8]);
        image::RgbImage::from_fn(80, 64, shade).save(path).unwrap();
    }

    /// Three videos of four frames: a grasper everywhere, a hook in the first two.
    fn voc() -> Self {
        let data = Data::new();
        for (video, frame) in video_frames() {
            data.write(
                &format!("xml/v{video:02}_{:06}.xml", frame * 25),
                annotation(if video < 3 { &["Grasper", "Hook"] } else { &["Grasper"] }),
            );
            data.draw(&format!("pictures/video{video:02}/{frame:06}.png"), video * 10 + frame);
        }
        data
    }

    fn drawn(layout: Layout) -> Self {
        let data = Data::new();
        let sample = SampleData {
            layout,
            sequences: vec![1, 2, 3],
            frames_per_sequence: 5,
            picture_size: [64, 80],
            seed: 1,
        };
        sample::write(&sample, data.root(), || {}).unwrap();
        data
    }

    fn proposed(&self) -> Proposal {
        propose(self.root(), None).unwrap()
    }

    fn checked(&self) -> Report {
        let Proposal { source, classes, .. } = self.proposed();
        check(&source, self.root(), &classes).report
    }
}

fn video_frames() -> impl Iterator<Item = (u32, u32)> {
    (1..=3).flat_map(|video| (0..4).map(move |frame| (video, frame)))
}

fn annotation(names: &[&str]) -> String {
    let object = |(index, name): (usize, &&str)| {
        let corner = 5 * (index + 1);
        format!(
            "<object><name>{name}</name><bndbox><xmin>{corner}</xmin><ymin>{corner}</ymin>\
             <xmax>40</xmax><ymax>50</ymax></bndbox></object>\n"
        )
    };
    let objects: String = names.iter().enumerate().map(object).collect();
    format!(
        "<annotation>\n<size><width>80</width><height>64</height></size>\n{objects}</annotation>\n"
    )
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.problems.iter().map(|problem| problem.kind).collect()
}

#[test]
fn a_folder_of_xml_files_is_read_without_a_recipe() {
    let data = Data::voc();
    let Proposal { source, classes, notes } = data.proposed();
    assert_eq!(
        (source.layout, source.frames.to_string().as_str(), source.frame_step),
        (Layout::Voc, "pictures/video{sequence:02}/{frame:06}.png", 25)
    );
    assert_eq!(source.labels[0].to_string(), "xml/v{sequence:02}_{frame:06}.xml");
    assert_eq!(classes.space.classes, ["grasper", "hook", "tissue"]);
    assert_eq!((source.train, source.validation), (vec![2, 3], vec![1]));
    assert_eq!(notes, Vec::<String>::new());
    let report = data.checked();
    assert!(report.is_sound, "{:?}", report.problems);
    assert_eq!(report.frames, PerSplit { train: 8, validation: 4 });
    assert_eq!(report.classes[1].frames, PerSplit { train: 4, validation: 4 });
    assert_eq!(report.boxes, PerSplit { train: 12, validation: 8 });
    assert_eq!((report.sequences.len(), report.picture_sizes[0].pictures), (3, 12));
}

#[test]
fn every_sequence_tells_what_is_broken_in_it() {
    let data = Data::voc();
    data.write("xml/v01_000025.xml", "<annotation>\n<object></object>\n</annotation>");
    data.write("xml/v02_000000.xml", "<annotation>\n\n<");
    std::fs::remove_file(data.root().join("pictures/video03/000003.png")).unwrap();
    let picture = data.root().join("pictures/video01/000000.png");
    let bytes = std::fs::read(&picture).unwrap();
    std::fs::write(&picture, &bytes[..bytes.len() - 20]).unwrap();
    std::fs::copy(
        data.root().join("pictures/video01/000002.png"),
        data.root().join("pictures/video02/000002.png"),
    )
    .unwrap();
    let report = data.checked();
    let places: Vec<&str> = report.problems.iter().map(|problem| problem.place.as_str()).collect();
    for place in ["v01_000025.xml:2", "v02_000000.xml:", "video03/000003.png", "video01/000000.png"]
    {
        assert!(places.iter().any(|found| found.contains(place)), "{place}: {places:?}");
    }
    assert!(kinds(&report).contains(&Kind::Duplicates), "{:?}", report.problems);
    assert!(!report.is_sound && report.same_pictures == 1);
}

#[test]
fn a_sequence_without_a_file_leaves_the_others_to_be_checked() {
    let data = Data::drawn(Layout::Cholec80);
    let Proposal { source, classes, .. } = data.proposed();
    std::fs::remove_file(data.root().join("tool_annotations/video02-tool.txt")).unwrap();
    data.write("tool_annotations/video03-tool.txt", "Frame\tLaser\n0\t1\n");
    let report = check(&source, data.root(), &classes).report;
    let problems: Vec<&str> = report.problems.iter().map(|found| found.problem.as_str()).collect();
    assert!(problems.iter().any(|what| what.contains("video02 has no tool file")), "{problems:?}");
    assert!(problems.iter().any(|what| what.contains("`Laser` is not a class")), "{problems:?}");
    assert_eq!(
        report.sequences.iter().map(|count| count.name.as_str()).collect::<Vec<_>>(),
        ["video01"]
    );
}

#[test]
fn the_drawn_layouts_are_recognised_with_all_that_they_have() {
    for (layout, frames) in [
        (Layout::EndoVis18, "seq_{sequence}/left_frames/frame{frame:03}.png"),
        (Layout::Cholec80, "frames/video{sequence:02}/{frame:06}.png"),
    ] {
        let data = Data::drawn(layout);
        // It has a column `Frame`, too.
        data.write("phase_annotations/video01-phase.txt", "Frame\tPhase\n0\tPreparation\n");
        let Proposal { source, .. } = data.proposed();
        assert_eq!((source.layout, source.frames.to_string().as_str()), (layout, frames));
        let report = data.checked();
        assert!(report.is_sound, "{:?}", report.problems);
        assert_eq!(report.frames.total(), 15);
        assert!(report.boxes.total() > 0 && report.captions.total() > 0, "{report:?}");
        assert!(report.interactions.total() > 0, "{report:?}");
    }
}

#[test]
fn frames_that_were_extracted_at_another_rate_are_found() {
    let data = Data::drawn(Layout::Cholec80);
    let Proposal { source, classes, .. } = data.proposed();
    // As `-vf fps=1` leaves them.
    std::fs::remove_file(data.root().join("frames/video02/000004.png")).unwrap();
    let report = check(&source, data.root(), &classes).report;
    let first = &report.problems[0];
    assert_eq!(first.kind, Kind::FrameRate);
    assert!(first.problem.starts_with("video02: the last labelled frame (4)"), "{first:?}");
    assert!(first.place.ends_with("frames/video02"), "{first:?}");
}

#[test]
fn coco_yolo_and_a_table_are_recognised() {
    let coco = Data::new();
    let images: Vec<String> = video_frames()
        .enumerate()
        .map(|(id, (video, frame))| {
            coco.draw(&format!("data/images/v{video}_{frame}.png"), id as u32);
            format!(
                "{{\"id\": {id}, \"file_name\": \"v{video}_{frame}.png\", \
                 \"width\": 80, \"height\": 64}}"
            )
        })
        .collect();
    coco.write(
        "data/result.json",
        format!(
            "{{\"images\": [{}], \"categories\": [{{\"id\": 3, \"name\": \"Clip-Applier\"}}], \
             \"annotations\": [{{\"image_id\": 0, \"category_id\": 3, \"bbox\": [1, 2, 3, 4]}}]}}",
            images.join(",")
        ),
    );
    let yolo = Data::new();
    let table = Data::new();
    let mut rows = String::from("path,group,labels\n");
    for (seed, (video, frame)) in video_frames().enumerate() {
        yolo.write(&format!("labels/case{video}_{frame}.txt"), "1 0.5 0.5 0.25 0.5\n");
        yolo.draw(&format!("images/case{video}_{frame}.png"), seed as u32);
        table.draw(&format!("p/{video}/{frame}.png"), seed as u32);
        rows.push_str(&format!("{video}/{frame}.png,clip {video},clip_applier\n"));
    }
    yolo.write("data.yaml", "names: [hook, clip applier]\n");
    table.write("list.csv", rows);
    for (data, layout, frames) in [
        (coco, Layout::Coco, "data/images/v{sequence}_{frame}.png"),
        (yolo, Layout::Yolo, "images/case{sequence}_{frame}.png"),
        (table, Layout::Table, "p"),
    ] {
        let Proposal { source, classes, .. } = data.proposed();
        assert_eq!((source.layout, source.frames.to_string().as_str()), (layout, frames));
        assert_eq!(classes.space.classes, ["clip applier", "tissue"], "{layout:?}");
        assert_eq!((source.train.len(), source.validation.len()), (2, 1), "{layout:?}");
        let report = data.checked();
        assert!(report.is_sound, "{layout:?}: {:?}", report.problems);
        assert_eq!(report.frames.total(), 12, "{layout:?}");
    }
}

#[test]
fn a_folder_that_nobody_knows_is_refused_with_what_is_known() {
    let data = Data::new();
    data.draw("a/picture.png", 1);
    let error = propose(data.root(), None).err().unwrap().to_string();
    assert!(error.contains("no labels in a known layout were found among 1 files"), "{error}");
    assert!(error.contains("PASCAL VOC"), "{error}");
    let voc = Data::voc();
    let error = propose(voc.root(), Some(Layout::Yolo)).err().unwrap().to_string();
    assert!(error.contains("there are labels in the layout voc"), "{error}");
}

#[test]
fn a_sequence_in_both_splits_is_told() {
    let data = Data::voc();
    let Proposal { source, classes, .. } = data.proposed();
    let source = SourceLayout { train: vec![1, 2], validation: vec![2, 3], ..source };
    let report = check(&source, data.root(), &classes).report;
    assert_eq!(kinds(&report), [Kind::SameSequence]);
    assert!(report.problems[0].problem.starts_with("video02 is for training and for validation"));
}
