//! Compares what is computed without tensors with golden values: resizing, boxes, crops, IoU and
//! average precision (tests/golden/README.md).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use surgcam_frames::vision::average_precision::{
    detection_average_precision, label_average_precision, mean,
};
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::localization_metrics::{FrameBoxes, ScoredClasses, frame_ious};
use surgcam_frames::vision::picture;
use surgcam_frames::vision::regions::{BoxRule, ScoredBox, boxes};
use surgcam_frames::vision::resize::resize;

const RULE_AREA: i64 = 25;

fn folders() -> [PathBuf; 2] {
    let golden = surgcam_testkit::golden_folder();
    [golden.clone(), golden.join("small")]
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// Calls `check` with each frame of each golden set. Its arguments are the folder of the set, the
/// expected values of the set and of the frame, and the tensors.
fn for_each_frame(check: impl Fn(&Path, &Value, &Value, &SafeTensors)) {
    for folder in folders() {
        let expected = json(&folder.join("expected.json"));
        let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        for frame in expected["frames"].as_array().unwrap() {
            check(&folder, &expected, frame, &tensors);
        }
    }
}

fn heat_map(tensors: &SafeTensors, name: &str) -> HeatMap {
    let tensor = tensors.tensor(name).unwrap();
    let values =
        tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    HeatMap { height: tensor.shape()[0], width: tensor.shape()[1], values }
}

#[test]
fn resized_pictures_are_pillows() {
    for_each_frame(|folder, expected, frame, tensors| {
        let name = frame["name"].as_str().unwrap();
        let [height, width]: [u32; 2] = read(&expected["image_hw"]);
        let decoded = picture::read(&folder.join(format!("frames/{name}.png"))).unwrap();
        let mut planes = vec![0; 3 * (height * width) as usize];
        picture::to_planes(&resize(&decoded, height, width), &mut planes);
        let wanted = tensors.tensor(&format!("{name}/resized_u8")).unwrap();
        let differences: Vec<u8> = planes
            .iter()
            .zip(wanted.data())
            .map(|(a, b)| a.abs_diff(*b))
            .filter(|&difference| difference > 0)
            .collect();
        assert!(differences.iter().all(|&difference| difference == 1));
        assert!(
            differences.len() * 1000 <= planes.len(),
            "{} of {} values differ",
            differences.len(),
            planes.len()
        );
    });
}

/// JPEG does not say how colours of half the size are enlarged or how sums are rounded, so decoders
/// differ a little.
#[test]
fn a_jpeg_with_colours_at_half_the_size_is_nearly_pillows() {
    let folder = folders()[0].join("jpeg");
    let found = resize(&picture::read(&folder.join("frame.jpg")).unwrap(), 128, 160);
    let wanted = picture::read(&folder.join("resized.png")).unwrap();
    let differences: Vec<u8> =
        found.as_raw().iter().zip(wanted.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
    let near = differences.iter().filter(|&&difference| difference <= 1).count() as f64
        / differences.len() as f64;
    let equal = differences.iter().filter(|&&difference| difference == 0).count() as f64
        / differences.len() as f64;
    println!("equal {equal:.4}, within one {near:.4}, largest {:?}", differences.iter().max());
    assert!(near > 0.99 && differences.iter().all(|&difference| difference <= 4), "{near}");
}

#[test]
fn boxes_and_confidences_of_the_expected_heat_maps() {
    for_each_frame(|_, _, frame, tensors| {
        let name = frame["name"].as_str().unwrap();
        for (threshold, classes) in frame["boxes"].as_object().unwrap() {
            for (class, wanted) in classes.as_object().unwrap() {
                let heat = heat_map(tensors, &format!("{name}/cam_input_size/{class}"));
                let rule =
                    BoxRule { roi_threshold: threshold.parse().unwrap(), minimum_area: RULE_AREA };
                let found = boxes(&heat, rule);
                let confidences: Vec<f64> = read(&frame["confidence"][threshold][class]);
                let mut wanted: Vec<(Box2, f64)> =
                    read::<Vec<Box2>>(wanted).into_iter().zip(confidences).collect();
                wanted.sort_by_key(|(bounds, _)| *bounds);
                assert_eq!(found.len(), wanted.len(), "{name} {threshold} {class}");
                for (found, (bounds, confidence)) in found.iter().zip(wanted) {
                    assert_eq!(found.bounds, bounds, "{name} {threshold} {class}");
                    assert!(
                        (f64::from(found.confidence) - confidence).abs() < 1e-6,
                        "{name} {threshold} {class}"
                    );
                }
            }
        }
    });
}

#[test]
fn crops_of_the_stretched_picture() {
    let mut compared = 0;
    for folder in folders() {
        let expected = json(&folder.join("expected.json"));
        let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let [height, width]: [u32; 2] = read(&expected["image_hw"]);
        for entry in std::fs::read_dir(folder.join("crops")).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
            let parts: Vec<&str> = stem.split('_').collect();
            let corners: Vec<i64> =
                parts[3].split(',').map(|corner| corner.parse().unwrap()).collect();
            let bounds = Box2::from([corners[0], corners[1], corners[2], corners[3]]);
            let planes = tensors.tensor(&format!("{}/resized_u8", parts[0])).unwrap();
            let stretched = picture::from_planes(&picture::stretched(planes.data()), height, width);
            assert_eq!(
                picture::cut_out(&stretched, &bounds),
                picture::read(&path).unwrap(),
                "{stem}"
            );
            compared += 1;
        }
    }
    assert!(compared > 20);
}

/// The boxes of one frame at one threshold, by class. The instruments come first, and the tissue is
/// last.
fn frame_boxes(
    expected: &Value,
    frame: &Value,
    threshold: Option<&str>,
) -> (FrameBoxes, ScoredClasses) {
    let count = expected["classes"].as_u64().unwrap() as usize;
    let tissue = expected["tissue_class"].as_u64().unwrap() as usize;
    let mut boxes =
        FrameBoxes { predicted: vec![Vec::new(); count], truth: vec![Vec::new(); count] };
    if let Some(threshold) = threshold {
        for (class, found) in frame["boxes"][threshold].as_object().unwrap() {
            let found: Vec<Box2> = read(found);
            boxes.predicted[class.parse::<usize>().unwrap()] =
                found.into_iter().map(|bounds| ScoredBox { bounds, confidence: 1.0 }).collect();
        }
    }
    let truth: BTreeMap<usize, Option<Box2>> = read(&frame["gt_boxes"]);
    for (class, bounds) in &truth {
        boxes.truth[*class].extend(bounds);
    }
    (boxes, ScoredClasses { annotated: truth.into_keys().collect(), tissue })
}

fn assert_ious(frame: &FrameBoxes, classes: &ScoredClasses, wanted: &Value, what: &str) {
    let ious = frame_ious(frame, classes);
    let found: Vec<Option<f64>> = classes.annotated.iter().map(|&class| ious[class]).collect();
    let wanted: Vec<Option<f64>> = read(wanted);
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (found, wanted) in found.iter().zip(&wanted) {
        let close = match (found, wanted) {
            (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-9,
            (found, wanted) => found == wanted,
        };
        assert!(close, "{what}: {found:?} for {wanted:?}");
    }
}

#[test]
fn ious_of_predicted_and_true_boxes() {
    for_each_frame(|_, expected, frame, _| {
        for threshold in ["0.1", "0.3", "0.5", "0.7"] {
            let (boxes, classes) = frame_boxes(expected, frame, Some(threshold));
            assert_ious(&boxes, &classes, &frame["iou"][threshold], threshold);
        }
        let (boxes, classes) = frame_boxes(expected, frame, None);
        assert_ious(&boxes, &classes, &frame["iou_nothing_predicted"], "nothing predicted");
    });
}

#[test]
fn average_precision_of_labels_and_of_detections() {
    let metrics = json(&folders()[0].join("metrics.json"));
    let golden = &metrics["classification"];
    let labels: Vec<Vec<u8>> = read(&golden["labels"]);
    let scores: Vec<Vec<f64>> = read(&golden["scores"]);
    let wanted: Vec<Option<f64>> = read(&golden["ap_per_class"]);
    let found: Vec<Option<f64>> = (0..wanted.len())
        .map(|class| {
            let of_class: Vec<f64> = scores.iter().map(|row| row[class]).collect();
            let positive: Vec<bool> = labels.iter().map(|row| row[class] == 1).collect();
            label_average_precision(&of_class, &positive)
        })
        .collect();
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!(
            found.zip(*wanted).is_some_and(|(found, wanted)| (found - wanted).abs() < 1e-9)
                || found == wanted
        );
    }
    let map = mean(found.into_iter().flatten()).unwrap();
    assert!((map - golden["map"].as_f64().unwrap()).abs() < 1e-9);

    let golden = &metrics["detection_ap"];
    let correct: Vec<f64> = read(&golden["tp"]);
    let confidence: Vec<f64> = read(&golden["confidence"]);
    let predicted: Vec<usize> = read(&golden["predicted_class"]);
    let targets: Vec<usize> = read(&golden["target_class"]);
    for (class, wanted) in golden["ap"].as_object().unwrap() {
        let class: usize = class.parse().unwrap();
        let own =
            || predicted.iter().enumerate().filter(|(_, of)| **of == class).map(|(index, _)| index);
        let confidence: Vec<f64> = own().map(|index| confidence[index]).collect();
        let correct: Vec<bool> = own().map(|index| correct[index] == 1.0).collect();
        let count = targets.iter().filter(|&&of| of == class).count();
        let found = detection_average_precision(&confidence, &correct, count).unwrap();
        assert!(
            (found - wanted.as_f64().unwrap()).abs() < 1e-9,
            "class {class}: {found} for {wanted}"
        );
    }
}
