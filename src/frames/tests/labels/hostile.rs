//! Label files that would fill the memory or keep the program busy if it took them as they are.

use std::time::{Duration, Instant};

use super::*;

/// The file is read in a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn one_image_with_an_annotation_of_each_of_many_classes_is_read_at_once() {
    let numbers = 0..100_000;
    let categories: Vec<String> = numbers
        .clone()
        .map(|number| format!("{{\"id\": {number}, \"name\": \"class {number}\"}}"))
        .collect();
    let annotations: Vec<String> = numbers
        .map(|number| {
            format!("{{\"image_id\": 1, \"category_id\": {number}, \"bbox\": [1, 2, 3, 4]}}")
        })
        .collect();
    let data = Data::new(Layout::Coco);
    data.write(
        "instances.json",
        format!(
            "{{\"images\": [{{\"id\": 1, \"file_name\": \"v02_000000.png\"}}], \
             \"categories\": [{}], \"annotations\": [{}]}}",
            categories.join(","),
            annotations.join(",")
        ),
    );
    let begun = Instant::now();
    let failure = data.failure();
    assert!(failure.contains("annotations[0]: `class_0` is not a class"), "{failure}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn json_that_is_nested_deeply_is_refused_where_it_is_read() {
    let deep = "[".repeat(100_000);
    for (layout, file, start) in [
        (Layout::Coco, "instances.json", "{\"images\": ["),
        (Layout::CholecT50, "labels/VID02.json", "{\"annotations\": {\"1\": "),
        (Layout::EndoVis18, "captions.json", ""),
    ] {
        let data = Data::new(layout);
        data.write(file, format!("{start}{deep}"));
        let failure = data.failure();
        assert!(
            failure.contains(file) && failure.contains("recursion limit exceeded at line 1"),
            "{failure}"
        );
    }
    let data = Data::new(Layout::Coco);
    let unread = format!("{{\"info\": {deep}{},", "]".repeat(100_000));
    data.write("instances.json", coco::instances().replacen('{', &unread, 1));
    assert_eq!(data.index(OnBadFrame::Fail).unwrap().frames.len(), 3);
}

#[test]
fn a_name_that_many_boxes_would_copy_is_refused_with_its_place() {
    let long = "h".repeat(201);
    let coco = coco::instances().replacen("\"Hook\"", &format!("\"{long}\""), 1);
    let cholect50 = cholect50::video().replacen("\"hook\"", &format!("\"{long}\""), 1);
    for (layout, file, text, said) in [
        (Layout::Coco, "instances.json", coco, "instances.json: categories[0]: the name `hhh"),
        (Layout::Yolo, "classes.txt", format!("hook\n{long}\n"), "classes.txt:2: the name `hhh"),
        (
            Layout::CholecT50,
            "labels/VID02.json",
            cholect50,
            "labels/VID02.json: `categories.instrument[\"2\"]` has a name of more than 200 bytes",
        ),
        (
            Layout::Table,
            "frames.csv",
            format!("path,group,{long}\n"),
            "frames.csv:1: the name `hhh",
        ),
        (
            Layout::Cholec80,
            "tool_annotations/video02-tool.txt",
            format!("Frame\t{long}\n0\t1\n"),
            "video02-tool.txt:1: the name `hhh",
        ),
    ] {
        let data = Data::new(layout);
        data.write(file, text);
        let failure = data.failure();
        assert!(failure.contains(said), "{failure}");
    }
}
