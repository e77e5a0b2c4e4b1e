//! Compares this implementation of the method with golden values of an independent one in PyTorch
//! and OpenCV (tests/golden).
//!
//! Each stage is fed the expected input of that stage, at the tolerances of docs/method.md.

mod cam_methods;
mod frame_statistics;
mod temporal;
mod training;

use std::path::{Path, PathBuf};

use serde_json::Value;
use surgcam_frames::metrics::SelfTestCheck;
use surgcam_pipeline::settings::CamSettings;
use surgcam_values::{CamMethod, FeatureLayer, Precision, Present, Threshold};
use tch::{Device, Tensor};

use crate::self_test::frame_checks::{HalfPrecision, Heat, in_full_precision, in_half_precision};
use crate::self_test::golden_set::GoldenSet;

fn golden_folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")).to_path_buf()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Where the golden values are computed: `SURGCAM_TEST_DEVICE=cuda:0 cargo test golden` tries a
/// GPU.
fn device() -> Device {
    let name = std::env::var("SURGCAM_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    let cuda = crate::cuda::library::open(&name);
    crate::choose_device(&name, cuda.as_ref()).unwrap()
}

fn open(folder: &Path, precision: Precision) -> GoldenSet {
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let tensors = Tensor::read_safetensors(folder.join("expected.safetensors")).unwrap();
    GoldenSet::new(&expected, tensors, device(), precision).unwrap()
}

fn assert_passed(checks: &[SelfTestCheck]) {
    for check in checks {
        println!("{check:?}");
        assert!(check.passed, "{check:?}");
    }
}

fn check_set(folder: &Path) {
    let golden = open(folder, Precision::F32);
    // The same values end to end, and mode by mode from the expected heat maps.
    let own = in_full_precision(&golden, Heat::Own).unwrap();
    assert_passed(&own);
    assert!(own.iter().all(|check| check.compared > 15), "{own:?}");
    let modes: usize =
        own.iter().filter(|check| check.check.contains("-FE")).map(|check| check.compared).sum();
    assert!(modes > 50_000, "only {modes} golden values of features were compared");
    assert_passed(&in_full_precision(&golden, Heat::Expected).unwrap());
    for frame in golden.frames().unwrap() {
        let (activations, _) = golden.forward(&frame).unwrap();
        let above_half: Vec<usize> =
            serde_json::from_value(frame.value["above_half"].clone()).unwrap();
        let half = CamSettings {
            method: CamMethod::GradCam,
            layer: FeatureLayer::Layer4,
            present: Present::Above(Threshold::new(0.5).unwrap()),
        };
        assert_eq!(golden.extractor.heat_maps(&activations, &half).present, above_half);
    }
}

#[test]
fn resnet50_at_256x320_with_11_classes() {
    check_set(&golden_folder());
}

#[test]
fn resnet18_at_192x256_with_9_classes() {
    check_set(&golden_folder().join("small"));
}

/// What half precision costs: docs/performance.md has the figures that this prints.
#[test]
fn half_precision_stays_near() {
    for (precision, tolerance) in [(Precision::Bf16, 0.08), (Precision::F16, 0.01)] {
        let half = HalfPrecision { precision, heat: tolerance, features: tolerance };
        let checks =
            in_half_precision(&open(&golden_folder(), precision), half, Heat::Own).unwrap();
        assert_passed(&checks);
        assert!(checks.iter().all(|check| check.largest_difference > 0.0), "nothing was rounded");
    }
}

#[test]
fn heat_maps_of_layer3_come_from_autograd_and_agree_at_layer4() {
    let golden = open(&golden_folder().join("small"), Precision::F32);
    let frame = &golden.frames().unwrap()[0];
    let (activations, _) = golden.forward(frame).unwrap();
    let cam = CamSettings {
        method: CamMethod::GradCam,
        layer: FeatureLayer::Layer3,
        present: Present::Classes(frame.present.clone()),
    };
    let heat_maps = golden.extractor.heat_maps(&activations, &cam);
    let [height, width] = golden.image_size.map(|side| side as usize / 16);
    assert!(heat_maps.maps.iter().all(|map| (map.height, map.width) == (height, width)));
    assert!(heat_maps.maps.iter().any(|map| map.values.iter().any(|&value| value > 0.9)));
}
