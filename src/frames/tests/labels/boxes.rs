//! Boxes of every format: one that cannot be meant is named by its line, and real ones are taken as
//! they are.

use super::*;
use crate::common::real_frames;

const BAD_BOXES: [(&str, &str); 5] = [
    ("40, 50, 20, 60", "is inverted"),
    ("3000, 3000, 3100, 3100", "lies outside the picture"),
    ("10, 10, 1e300, 40", "`1e300` is not a coordinate"),
    ("-900, 10, 40, 40", "runs off the picture"),
    ("nan, 1, 2, 3", "`nan` is not a coordinate"),
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
    assert_eq!(
        (index.frames[0].boxes.as_ref().unwrap().len(), index.corrected_boxes.len()),
        (2, 1)
    );
    assert!(
        index.corrected_boxes[0].place.ends_with("video02.csv:3"),
        "{:?}",
        index.corrected_boxes
    );
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
    assert_eq!((bounds, index.corrected_boxes.len()), (vec![[0, 0, 80, 64], [0, 0, 80, 64]], 1));
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
        assert!(index.corrected_boxes.is_empty(), "{:?}", index.corrected_boxes[0]);
    }
}
