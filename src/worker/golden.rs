//! Golden values: an independent PyTorch and OpenCV implementation of the method against this one
//! (tests/golden).
//!
//! Each stage is fed the expected input of that stage, at the tolerances of docs/method.md.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use surgcam_frames::formula::uniform;
use surgcam_frames::metrics::SelfTestCheck;
use surgcam_pipeline::settings::*;
use surgcam_values::*;
use tch::{Device, Kind, Tensor};

use crate::cam;
use crate::model::fused_convolution::channels_last;
use crate::model::resnet::ResNet;
use crate::model::weights::{Weights, is_trained};
use crate::self_test::frame_checks::{
    HalfPrecision, Heat, by_frame_statistics, in_full_precision, in_half_precision,
};
use crate::self_test::golden_set::{GoldenSet, formula_weights};
use crate::training::multi_label_soft_margin;
use crate::training::plateau::Schedule;
use crate::training::sgd::Sgd;

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

fn assert_close(found: &Tensor, expected: &Tensor, relative: f64, absolute: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let beyond: Tensor = (found - expected).abs() - (expected.abs() * relative + absolute);
    if beyond.numel() > 0 {
        let worst = f64::try_from(beyond.max()).unwrap();
        assert!(worst <= 0.0, "{what}: beyond its tolerance by {worst}");
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

/// How far a map may be from pytorch-grad-cam's, which counts in f64: a rounding can decide on
/// which side of 0 an activation of layer 4 falls, and with it which way a gradient of layer 3
/// goes.
const CAM_TOLERANCE: f32 = 2e-3;

#[test]
fn heat_maps_of_every_cam_method_are_those_of_pytorch_grad_cam() {
    let golden = read_json(&golden_folder().join("cam_methods.json"));
    let number = |name: &str| golden[name].as_u64().unwrap();
    let architecture =
        Architecture { backbone: Backbone::ResNet18, classes: number("classes") as usize };
    let network =
        ResNet::new(architecture, &formula_weights(architecture, number("seed"))).unwrap();
    let size: [i64; 4] = serde_json::from_value(golden["images"].clone()).unwrap();
    let pixel = uniform("images", number("seed"));
    let pixels: Vec<f32> = (0..size.iter().product::<i64>() as u64)
        .map(|place| 2.0 * (pixel(place) as f32) - 1.0)
        .collect();
    let maps =
        tch::no_grad(|| network.feature_maps(&Tensor::from_slice(&pixels).view(size), false));
    let classes: Vec<usize> = (0..architecture.classes).collect();
    let (layer3, layer4) = (maps.layer3.squeeze_dim(0), maps.layer4.squeeze_dim(0));
    let from_layer4 =
        |layer4: &Tensor| network.logits(&layer4.unsqueeze(0), 0.0, false).squeeze_dim(0);
    let from_layer3 =
        |layer3: &Tensor| from_layer4(&network.layer4_of(&layer3.unsqueeze(0)).squeeze_dim(0));
    let methods = [
        ("GradCAM", CamMethod::GradCam),
        ("GradCAMPlusPlus", CamMethod::GradCamPlusPlus),
        ("HiResCAM", CamMethod::HiResCam),
        ("LayerCAM", CamMethod::LayerCam),
    ];
    for (name, method) in methods {
        let closed_form =
            cam::closed_form_maps(&maps.layer4, &network.head_weight, method).squeeze_dim(0);
        let found = [
            ("layer4", closed_form),
            (
                "layer4",
                Tensor::stack(&cam::autograd_maps(&layer4, &classes, method, from_layer4), 0),
            ),
            (
                "layer3",
                Tensor::stack(&cam::autograd_maps(&layer3, &classes, method, from_layer3), 0),
            ),
        ];
        for (layer, found) in found {
            let expected: Vec<Vec<f32>> =
                serde_json::from_value(golden["maps"][name][layer].clone()).unwrap();
            let found = cam::to_heat_maps(&found);
            assert_eq!(found.len(), expected.len());
            assert!(
                expected.iter().any(|map| map.iter().any(|&value| value > 0.9)),
                "{name} {layer}: all maps are 0"
            );
            for (class, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found.values.len(), expected.len(), "{name} {layer}");
                let differences = found
                    .values
                    .iter()
                    .zip(expected)
                    .map(|(found, expected)| (found - expected).abs());
                let worst = differences.fold(0.0, f32::max);
                assert!(worst <= CAM_TOLERANCE, "{name} {layer} class {class}: {worst}");
            }
        }
    }
}

/// These three steps amplify a rounding difference about a hundredfold each, so that even another
/// thread count or vector width leaves the tolerance at the third. They are compared with the
/// arithmetic of the golden values: two threads, AVX2, which a process must be told before its
/// first tensor.
#[test]
fn three_training_steps() {
    const ARITHMETIC: [(&str, &str); 3] =
        [("ONEDNN_MAX_CPU_ISA", "AVX2"), ("ATEN_CPU_CAPABILITY", "avx2"), ("OMP_NUM_THREADS", "2")];
    if ARITHMETIC.iter().any(|(name, value)| std::env::var(name).as_deref() != Ok(value)) {
        let test = ["golden::three_training_steps", "--exact", "--nocapture"];
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(test)
            .envs(ARITHMETIC)
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let tensors: HashMap<String, Tensor> =
        Tensor::read_safetensors(golden_folder().join("training.safetensors"))
            .unwrap()
            .into_iter()
            .collect();
    let architecture = Architecture { backbone: Backbone::ResNet50, classes: 11 };
    let weights = formula_weights(architecture, 11);
    let mut optimizer = Sgd::new(&weights, 0.9, 1e-4);
    let network = ResNet::new(architecture, &weights).unwrap();
    let mut losses = Vec::new();
    for _ in 0..3 {
        let layer4 = network.feature_maps(&tensors["images"], true).layer4;
        let loss = multi_label_soft_margin(&network.logits(&layer4, 0.0, true), &tensors["labels"]);
        optimizer.step(&loss, 0.01).unwrap();
        losses.push(f64::try_from(&loss).unwrap());
    }
    let losses = Tensor::from_slice(&losses);
    assert_close(&losses, &tensors["losses"], 1e-4, 0.0, "losses");
    for (name, expected) in
        tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("after/")?, tensor)))
    {
        let found = weights.get(name).unwrap().detach();
        let difference = f64::try_from((&found - expected).norm()).unwrap()
            / f64::try_from(expected.norm()).unwrap();
        assert!(difference <= 1e-4, "{name}: {difference}");
    }
}

/// The steps above, in doubles, from weights as they are given and laid out as training lays them
/// out: the layout changes the order of sums and so the last bits, which three steps of a network
/// with such weights make large; nothing else.
#[test]
fn training_steps_do_not_depend_on_the_layout() {
    let architecture = Architecture { backbone: Backbone::ResNet10, classes: 5 };
    let in_doubles = || {
        let weights = formula_weights(architecture, 11);
        Weights::new(
            weights
                .iter()
                .map(|(name, tensor)| (name.clone(), tensor.to_kind(Kind::Double)))
                .collect::<Vec<_>>(),
        )
    };
    let _kept = crate::generator::seeded(4);
    let images = Tensor::rand([4, 3, 48, 64], (Kind::Double, Device::Cpu));
    let labels = Tensor::rand([4, 5], (Kind::Double, Device::Cpu)).gt(0.5).to_kind(Kind::Double);
    let after = |weights: Weights, images: Tensor| {
        let mut optimizer = Sgd::new(&weights, 0.9, 1e-4);
        let network = ResNet::new(architecture, &weights).unwrap();
        for _ in 0..3 {
            let logits = network.feature_maps(&images, true).layer4.mean_dim(
                [2i64, 3].as_slice(),
                false,
                Kind::Double,
            );
            let logits = logits.linear(&network.head_weight, Some(&network.head_bias));
            optimizer.step(&multi_label_soft_margin(&logits, &labels), 0.01).unwrap();
        }
        weights
    };
    let plain = after(in_doubles(), images.shallow_clone());
    let laid_out = after(in_doubles().for_training(Device::Cpu), channels_last(&images));
    for (name, expected) in plain.iter() {
        let found = laid_out.get(name).unwrap().detach();
        let difference = f64::try_from((found - expected.detach()).norm()).unwrap()
            / f64::try_from(expected.norm()).unwrap().max(1.0);
        assert!(difference <= 1e-6, "{name}: {difference}");
    }
}

#[test]
fn mixed_precision_goes_down_nearly_the_same_gradient() {
    let architecture = Architecture { backbone: Backbone::ResNet18, classes: 5 };
    let _kept = crate::generator::seeded(4);
    let scenes = Tensor::randn([16, 3, 4, 5], (Kind::Float, Device::Cpu));
    let images = channels_last(&scenes.upsample_bilinear2d([128, 160], false, None, None));
    let labels = Tensor::rand([16, 5], (Kind::Float, Device::Cpu)).gt(0.5).to_kind(Kind::Float);
    let gradients = |kind: Kind| -> Vec<(String, Tensor)> {
        let weights = Weights::random(architecture, 3).for_training(Device::Cpu);
        let trained: Vec<(String, Tensor)> = weights
            .iter()
            .filter(|(name, _)| is_trained(name))
            .map(|(name, tensor)| (name.clone(), tensor.set_requires_grad(true)))
            .collect();
        let network = ResNet::new(architecture, &weights).unwrap().counting_in(kind);
        let loss = multi_label_soft_margin(
            &network.logits(&network.feature_maps(&images, true).layer4, 0.0, true),
            &labels,
        );
        let found = Tensor::run_backward(
            &[&loss],
            &trained.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>(),
            false,
            false,
        );
        trained.into_iter().map(|(name, _)| name).zip(found).collect()
    };
    let (full, mixed) = (gradients(Kind::Float), gradients(Kind::BFloat16));
    assert!(mixed.iter().all(|(_, gradient)| gradient.kind() == Kind::Float));
    let product = |left: &[(String, Tensor)], right: &[(String, Tensor)]| -> f64 {
        left.iter()
            .zip(right)
            .map(|((_, left), (_, right))| f64::try_from((left * right).sum(Kind::Double)).unwrap())
            .sum()
    };
    let off =
        1.0 - product(&full, &mixed) / (product(&full, &full) * product(&mixed, &mixed)).sqrt();
    println!("the gradient in mixed precision is off by 1 - cosine = {off:.5}");
    assert!(off > 1e-7, "nothing was counted in bf16");
    // An untrained network magnifies roundings; a wrong gradient would have nothing in common with
    // the right one.
    assert!(off < 0.15, "{off}");
}

#[test]
fn loss_and_learning_rate_schedule() {
    let metrics = read_json(&golden_folder().join("metrics.json"));
    let matrix = |name: &str| -> Tensor {
        let rows: Vec<Vec<f32>> =
            serde_json::from_value(metrics["classification"][name].clone()).unwrap();
        Tensor::from_slice2(&rows)
    };
    // The golden loss takes the scores' logits.
    let loss = f64::try_from(multi_label_soft_margin(
        &matrix("scores").to_kind(Kind::Double).logit(None),
        &matrix("labels"),
    ))
    .unwrap();
    assert!((loss - metrics["multilabel_soft_margin"].as_f64().unwrap()).abs() < 1e-6, "{loss}");

    let golden = &metrics["reduce_lr_on_plateau"];
    let number = |name: &str| golden[name].as_f64().unwrap();
    let plateau =
        Plateau { factor: number("factor"), patience: number("patience") as u32, threshold: 1e-4 };
    let mut schedule = Schedule::new(number("initial_lr"), plateau);
    let losses: Vec<f64> = serde_json::from_value(golden["val_loss"].clone()).unwrap();
    let expected: Vec<f64> = serde_json::from_value(golden["lr_after"].clone()).unwrap();
    for (epoch, (loss, expected)) in losses.into_iter().zip(expected).enumerate() {
        schedule.step(loss);
        assert!(
            (schedule.learning_rate - expected).abs() < 1e-12,
            "epoch {epoch}: {} for {expected}",
            schedule.learning_rate
        );
    }
}
