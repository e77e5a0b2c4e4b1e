//! Localisation metrics against the figures of pycocotools, scikit-learn and numpy
//! (tests/golden/localization.json).

use serde::Deserialize;
use surgcam_frames::metrics::Detection;
use surgcam_frames::vision::detection::detection;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_in_boxes::heat_in_boxes;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::localization_metrics::FrameBoxes;
use surgcam_frames::vision::regions::ScoredBox;

#[derive(Deserialize)]
struct Golden {
    classes: usize,
    frames: Vec<GoldenFrame>,
    mean: Detection,
    per_class: Vec<Option<Detection>>,
    heat: Vec<GoldenHeat>,
}

/// A box with its class, as the golden file has it.
#[derive(Deserialize)]
struct GoldenFrame {
    truth: Vec<(usize, Box2)>,
    predicted: Vec<(usize, Box2, f32)>,
}

#[derive(Deserialize)]
struct GoldenHeat {
    height: usize,
    width: usize,
    values: Vec<f32>,
    boxes: Vec<Box2>,
    energy_in_box: f64,
    is_hit: bool,
}

fn golden() -> Golden {
    let path = surgcam_testkit::golden_folder().join("localization.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn assert_equal(found: &Detection, wanted: &Detection, what: &str) {
    let figures = |of: &Detection| {
        [of.precision, of.recall, of.f1, of.average_precision_at_50, of.average_precision_50_to_95]
    };
    for (found, wanted) in figures(found).into_iter().zip(figures(wanted)) {
        assert!((found - wanted).abs() < 1e-6, "{what}: {found} for {wanted}");
    }
}

#[test]
fn detection_is_judged_as_pycocotools_and_scikit_learn_do_it() {
    let golden = golden();
    let boxes = |frame: &GoldenFrame| {
        let mut boxes = FrameBoxes {
            predicted: vec![Vec::new(); golden.classes],
            truth: vec![Vec::new(); golden.classes],
        };
        for &(class, bounds) in &frame.truth {
            boxes.truth[class].push(bounds);
        }
        for &(class, bounds, confidence) in &frame.predicted {
            boxes.predicted[class].push(ScoredBox { bounds, confidence });
        }
        boxes
    };
    let frames: Vec<FrameBoxes> = golden.frames.iter().map(boxes).collect();
    let annotated: Vec<usize> = (0..golden.classes).collect();
    let found = detection(&frames, &annotated, golden.classes);
    assert_eq!(found.per_class.len(), golden.per_class.len());
    for (class, (found, wanted)) in found.per_class.iter().zip(&golden.per_class).enumerate() {
        match (found, wanted) {
            (Some(found), Some(wanted)) => assert_equal(found, wanted, &format!("class {class}")),
            (found, wanted) => assert_eq!(found, wanted, "class {class}"),
        }
    }
    assert_equal(&found.mean.unwrap(), &golden.mean, "mean over the classes");
}

#[test]
fn heat_in_true_boxes_is_what_numpy_says() {
    for (place, case) in golden().heat.into_iter().enumerate() {
        let found = heat_in_boxes(
            &HeatMap { height: case.height, width: case.width, values: case.values },
            &case.boxes,
        )
        .unwrap();
        assert!(
            (found.energy - case.energy_in_box).abs() < 1e-6,
            "case {place}: {} for {}",
            found.energy,
            case.energy_in_box
        );
        assert_eq!(found.is_hit, case.is_hit, "case {place}");
    }
}
