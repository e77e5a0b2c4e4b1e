//! Maps by each frame's own statistics.

use std::path::Path;

use surgcam_pipeline::settings::ExtractionSettings;
use surgcam_values::{BatchNormStatistics, FeatureLayer, Mode, Precision};
use tch::Tensor;

use super::{assert_passed, golden_folder, open};
use crate::self_test::frame_checks::by_frame_statistics;

fn check_frame_statistics(folder: &Path) {
    let tensors = Tensor::read_safetensors(folder.join("frame_statistics.safetensors")).unwrap();
    let golden = open(folder, Precision::F32).by_frame_statistics(tensors).unwrap();
    let checks = by_frame_statistics(&golden).unwrap();
    assert_passed(&checks);
    // L-FE, SL-FE of two layers, and layer 4.
    assert!(checks.len() == 4 && checks.iter().all(|check| check.compared > 500), "{checks:?}");
    // Heat maps, logits and LN-FE do not change, and both kinds of maps come from one pass.
    let frame = &golden.frames().unwrap()[0];
    let running = open(folder, Precision::F32);
    let ((found, found_heat), (expected, expected_heat)) =
        (golden.forward(frame).unwrap(), running.forward(frame).unwrap());
    let is_near =
        |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-4 * expected.abs().max(1.0);
    assert!(found.logits.iter().zip(&expected.logits).all(is_near));
    let mut maps = found_heat.maps.iter().zip(&expected_heat.maps);
    assert!(maps.all(|(found, expected)| found.values.iter().zip(&expected.values).all(is_near)));
    let far = (found.maps_by(BatchNormStatistics::Frame).unwrap().feature_map(4)
        - expected.maps.feature_map(4))
    .norm();
    let length = f64::try_from(expected.maps.feature_map(4).norm()).unwrap();
    assert!(f64::try_from(far).unwrap() > 0.1 * length, "both statistics give the same maps");
}

#[test]
fn frame_statistics_of_resnet50_at_256x320() {
    check_frame_statistics(&golden_folder());
}

#[test]
fn frame_statistics_of_resnet18_at_192x256() {
    check_frame_statistics(&golden_folder().join("small"));
}

/// One pass serves settings of both kinds, and what the one asked first does not answer the other.
#[test]
fn both_statistics_in_one_pass_keep_their_own_features() {
    let folder = golden_folder().join("small");
    let tensors = Tensor::read_safetensors(folder.join("frame_statistics.safetensors")).unwrap();
    let golden = open(&folder, Precision::F32).by_frame_statistics(tensors).unwrap();
    let frame = &golden.frames().unwrap()[0];
    let (activations, heat_maps) = golden.forward(frame).unwrap();
    let extract = |mode, batch_norm| {
        let settings =
            golden.settings(mode, 0.3, 512, &frame.present, FeatureLayer::Layer4).unwrap();
        golden
            .extract(
                frame,
                (&activations, &heat_maps),
                &ExtractionSettings { batch_norm, ..settings },
            )
            .unwrap()
    };
    for mode in [Mode::SlFe, Mode::LFe] {
        let running = extract(mode, BatchNormStatistics::Running);
        let of_frame = extract(mode, BatchNormStatistics::Frame);
        assert_eq!(running.regions, of_frame.regions, "{mode:?}");
        assert_ne!(running.features, of_frame.features, "{mode:?}");
        assert_eq!((running.forward_passes, of_frame.forward_passes), (1, 2), "{mode:?}");
        assert_eq!(
            extract(mode, BatchNormStatistics::Running).features,
            running.features,
            "{mode:?}"
        );
    }
}
