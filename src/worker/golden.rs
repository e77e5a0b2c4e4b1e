//! Golden values: an independent PyTorch and OpenCV implementation of the method against this one (tests/golden).
//!
//! Each stage is fed the expected input of that stage, at the tolerances of docs/method.md.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use surgcam::dataset::index::Frame;
use surgcam::pipeline::stages::*;
use surgcam::recipe::values::*;
use surgcam::vision::geometry::Box2;
use surgcam::vision::heat_map::HeatMap;
use tch::{Device, Kind, Tensor};

use crate::model::fused_convolution::channels_last;
use crate::model::parameters::{Parameters, is_trained, network_shape};
use crate::model::resnet::ResNet;
use crate::perception::Perception;
use crate::seen::{Heat, SeenFrame};
use crate::training::multi_label_soft_margin;
use crate::training::plateau::Schedule;
use crate::training::sgd::Sgd;

#[path = "../../tests/common/formula.rs"]
mod formula;

fn formula_weights(architecture: Architecture, seed: u64) -> Parameters {
    Parameters::new(network_shape(architecture).tensors().into_iter().map(|(name, size)| {
        let sides: Vec<usize> = size.iter().map(|&side| side as usize).collect();
        let weight = Tensor::from_slice(&formula::formula_weight(&name, &sides, seed)).view(size.as_slice());
        (name, weight)
    }))
}

struct Golden {
    expected: Value,
    tensors: HashMap<String, Tensor>,
    image_size: [u32; 2],
    perception: Perception,
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

impl Golden {
    fn open(folder: &Path) -> Self {
        Golden::open_in(folder, Precision::F32)
    }

    fn open_in(folder: &Path, precision: Precision) -> Self {
        let expected = read_json(&folder.join("expected.json"));
        let backbone = match expected["architecture"].as_str().unwrap().split([' ', ',']).nth(1).unwrap() {
            "resnet18" => Backbone::ResNet18,
            _ => Backbone::ResNet50,
        };
        let architecture = Architecture { backbone, classes: expected["classes"].as_u64().unwrap() as usize };
        let weights = formula_weights(architecture, expected["weight_seed"].as_u64().unwrap());
        let image_size: [u32; 2] = serde_json::from_value(expected["image_hw"].clone()).unwrap();
        let normalization: Normalization =
            serde_json::from_value(serde_json::json!({"mean": expected["mean"], "std": expected["std"]})).unwrap();
        let perception = Perception::new(architecture, &weights, normalization, image_size, Device::Cpu, precision).unwrap();
        let tensors = Tensor::read_safetensors(folder.join("expected.safetensors")).unwrap().into_iter().collect();
        Golden { expected, tensors, image_size, perception }
    }

    fn frames(&self) -> Vec<GoldenFrame> {
        let frame = |value: &Value| {
            let name = value["name"].as_str().unwrap().to_string();
            let planes = Vec::<u8>::try_from(self.tensors[&format!("{name}/resized_u8")].flatten(0, 2)).unwrap();
            GoldenFrame { planes, present: serde_json::from_value(value["present"].clone()).unwrap(), value: value.clone(), name }
        };
        self.expected["frames"].as_array().unwrap().iter().map(frame).collect()
    }

    fn settings(&self, mode: Mode, threshold: f64, pool: u64, present: &[usize], layer: FeatureLayer) -> ExtractionSettings {
        let cam = CamSettings { method: CamMethod::GradCam, layer: FeatureLayer::Layer4, present: Present::Classes(present.to_vec()) };
        ExtractionSettings {
            mode,
            regions: Some(RegionSettings { cam, roi_threshold: threshold, minimum_area: Some(25), feature_layer: Some(layer) }),
            architecture: Architecture { backbone: Backbone::ResNet50, classes: self.expected["classes"].as_u64().unwrap() as usize },
            normalization: Normalization { mean: [0.0; 3], std: [1.0; 3] },
            pool: Pool::try_from(pool).unwrap(),
            precision: Precision::F32,
            crop_size: mode.cuts_out().then_some([224, 224]),
        }
    }
}

struct GoldenFrame {
    name: String,
    planes: Vec<u8>,
    present: Vec<usize>,
    value: Value,
}

fn plain_frame() -> Frame {
    Frame {
        sequence: "seq_1".into(),
        name: "frame000".into(),
        train: true,
        validation: true,
        labels: vec![],
        boxes: None,
        box_space: [0, 0],
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

fn tensor_of(map: &HeatMap) -> Tensor {
    Tensor::from_slice(&map.values).view([map.height as i64, map.width as i64])
}

fn look<'a>(golden: &Golden, frame: &'a GoldenFrame, plain: &'a Frame) -> (SeenFrame<'a>, Heat) {
    let seen = golden.perception.look(&[(plain, frame.planes.as_slice())]).unwrap().remove(0);
    let cam = CamSettings { method: CamMethod::GradCam, layer: FeatureLayer::Layer4, present: Present::Classes(frame.present.clone()) };
    let heat = golden.perception.heat(&seen, &cam);
    (seen, heat)
}

fn check_frame(golden: &Golden, frame: &GoldenFrame) {
    let plain = plain_frame();
    let (seen, heat) = look(golden, frame, &plain);
    let name = &frame.name;
    assert_close(&Tensor::from_slice(&seen.logits), &golden.tensors[&format!("{name}/logits")], 1e-3, 1e-4, "logits");
    let above_half: Vec<usize> = serde_json::from_value(frame.value["above_half"].clone()).unwrap();
    let half =
        CamSettings { method: CamMethod::GradCam, layer: FeatureLayer::Layer4, present: Present::Above(Threshold::new(0.5).unwrap()) };
    assert_eq!(golden.perception.heat(&seen, &half).present, above_half);
    for (&class, map) in heat.present.iter().zip(&heat.maps) {
        for (key, [height, width]) in [
            ("cam_input_size", golden.image_size.map(|side| side as usize)),
            ("cam_layer3_size", golden.image_size.map(|side| side as usize / 16)),
            ("cam_layer4_size", golden.image_size.map(|side| side as usize / 32)),
        ] {
            let expected = &golden.tensors[&format!("{name}/{key}/{class}")];
            assert_close(&tensor_of(&map.resized(height, width)), expected, 0.0, 1e-4, &format!("{name}/{key}/{class}"));
        }
    }
    check_features(golden, frame, &seen, &heat);
}

/// L-FE, LN-FE and SL-FE at every threshold, pool and class that the golden set has.
fn check_features(golden: &Golden, frame: &GoldenFrame, seen: &SeenFrame, heat: &Heat) {
    let mut checked = 0;
    for threshold in ["0.1", "0.3", "0.5", "0.7"] {
        for pool in [512u64, 128, 32] {
            let extract = |mode, layer| {
                let settings = golden.settings(mode, threshold.parse().unwrap(), pool, &frame.present, layer);
                golden.perception.extract(seen, Some(heat), &settings).unwrap()
            };
            for (key, mode, layer) in [
                ("l_fe".to_string(), Mode::LFe, FeatureLayer::Layer4),
                ("ln_fe".to_string(), Mode::LnFe, FeatureLayer::Layer4),
                ("sl_fe/layer3".to_string(), Mode::SlFe, FeatureLayer::Layer3),
                ("sl_fe/layer4".to_string(), Mode::SlFe, FeatureLayer::Layer4),
            ] {
                let keyed = |class: usize| golden.tensors.get(&format!("{}/{key}/{threshold}/{pool}/{class}", frame.name));
                if !frame.present.iter().any(|&class| keyed(class).is_some()) {
                    continue;
                }
                let extracted = extract(mode, layer);
                for &class in &frame.present {
                    let Some(expected) = keyed(class) else {
                        if mode == Mode::SlFe {
                            assert!(!extracted.regions.iter().any(|region| region.class == class), "{key} {class} should have no region");
                        }
                        continue;
                    };
                    let expected = expected.view([-1, 512]);
                    for (row, bounds) in
                        expected_order(golden, frame, mode, threshold, class).into_iter().take(expected.size()[0] as usize).enumerate()
                    {
                        let ours = extracted
                            .regions
                            .iter()
                            .position(|region| region.class == class && bounds.is_none_or(|bounds| region.bounds == bounds));
                        let ours = ours.unwrap_or_else(|| panic!("{key} {threshold} {class}: no region {bounds:?}"));
                        let ours = Tensor::from_slice(&extracted.features[512 * ours..][..512]);
                        let what = format!("{}/{key}/{threshold}/{pool}/{class} row {row}", frame.name);
                        assert_close(&ours, &expected.get(row as i64), 1e-3, 1e-4, &what);
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} golden features were compared");
}

/// The boxes of a class in the golden set's own order; the tissue's united. `None` in SL-FE, which has one region a class.
fn expected_order(golden: &Golden, frame: &GoldenFrame, mode: Mode, threshold: &str, class: usize) -> Vec<Option<Box2>> {
    if mode == Mode::SlFe {
        return vec![None];
    }
    let boxes: Vec<Box2> = serde_json::from_value(frame.value["boxes"][threshold][class.to_string()].clone()).unwrap();
    let is_tissue = golden.expected["tissue_class"].as_u64() == Some(class as u64);
    surgcam::vision::regions::used_regions(&boxes, is_tissue).into_iter().map(Some).collect()
}

#[test]
fn resnet50_at_256x320_with_11_classes() {
    let golden = Golden::open(&golden_folder());
    golden.frames().iter().for_each(|frame| check_frame(&golden, frame));
}

#[test]
fn resnet18_at_192x256_with_9_classes() {
    let golden = Golden::open(&golden_folder().join("small"));
    golden.frames().iter().for_each(|frame| check_frame(&golden, frame));
}

/// What half precision costs: docs/performance.md has the figures that this prints.
#[test]
fn half_precision_stays_near() {
    for (precision, tolerance) in [(Precision::Bf16, 0.08), (Precision::F16, 0.01)] {
        let golden = Golden::open_in(&golden_folder(), precision);
        let (mut heat_difference, mut feature_difference) = (0f64, 0f64);
        for frame in golden.frames() {
            let plain = plain_frame();
            let (seen, heat) = look(&golden, &frame, &plain);
            for (&class, map) in heat.present.iter().zip(&heat.maps) {
                let expected = &golden.tensors[&format!("{}/cam_layer4_size/{class}", frame.name)];
                let difference = (tensor_of(&map.resized(map.height, map.width)) - expected).abs().max();
                heat_difference = heat_difference.max(f64::try_from(difference).unwrap());
            }
            let settings = golden.settings(Mode::SlFe, 0.3, 512, &frame.present, FeatureLayer::Layer4);
            let extracted = golden.perception.extract(&seen, Some(&heat), &settings).unwrap();
            for (region, features) in extracted.regions.iter().zip(extracted.features.chunks(512)) {
                let Some(expected) = golden.tensors.get(&format!("{}/sl_fe/layer4/0.3/512/{}", frame.name, region.class)) else { continue };
                let expected = expected.flatten(0, -1);
                let difference = f64::try_from((Tensor::from_slice(features) - &expected).norm()).unwrap();
                feature_difference = feature_difference.max(difference / f64::try_from(expected.norm()).unwrap());
            }
        }
        println!(
            "{}: heat maps differ by at most {heat_difference:.4}, SL-FE features by {feature_difference:.4} of their length",
            precision.name()
        );
        assert!(heat_difference > 0.0 && heat_difference < tolerance && feature_difference < tolerance, "{precision:?}");
    }
}

#[test]
fn heat_maps_of_layer3_come_from_autograd_and_agree_at_layer4() {
    let golden = Golden::open(&golden_folder().join("small"));
    let frame = &golden.frames()[0];
    let plain = plain_frame();
    let (seen, _) = look(&golden, frame, &plain);
    let cam = CamSettings { method: CamMethod::GradCam, layer: FeatureLayer::Layer3, present: Present::Classes(frame.present.clone()) };
    let heat = golden.perception.heat(&seen, &cam);
    let [height, width] = golden.image_size.map(|side| side as usize / 16);
    assert!(heat.maps.iter().all(|map| (map.height, map.width) == (height, width)));
    assert!(heat.maps.iter().any(|map| map.values.iter().any(|&value| value > 0.9)));
}

/// These three steps amplify a rounding difference about a hundredfold each, so that even another thread count or vector
/// width leaves the tolerance at the third. They are compared with the arithmetic of the golden values: two threads, AVX2,
/// which a process must be told before its first tensor.
#[test]
fn three_training_steps() {
    const ARITHMETIC: [(&str, &str); 3] = [("ONEDNN_MAX_CPU_ISA", "AVX2"), ("ATEN_CPU_CAPABILITY", "avx2"), ("OMP_NUM_THREADS", "2")];
    if ARITHMETIC.iter().any(|(name, value)| std::env::var(name).as_deref() != Ok(value)) {
        let test = ["golden::three_training_steps", "--exact", "--nocapture"];
        let status = std::process::Command::new(std::env::current_exe().unwrap()).args(test).envs(ARITHMETIC).status().unwrap();
        assert!(status.success());
        return;
    }
    let tensors: HashMap<String, Tensor> =
        Tensor::read_safetensors(golden_folder().join("training.safetensors")).unwrap().into_iter().collect();
    let architecture = Architecture { backbone: Backbone::ResNet50, classes: 11 };
    let weights = formula_weights(architecture, 11);
    let mut optimizer = Sgd::new(&weights, 0.9, 1e-4);
    let network = ResNet::new(architecture, &weights).unwrap();
    let mut losses = Vec::new();
    for _ in 0..3 {
        let layer4 = network.feature_maps(&tensors["images"], true).layer4;
        let loss = multi_label_soft_margin(&network.logits(&layer4, 0.0, true), &tensors["labels"]);
        optimizer.step(&loss, 0.01);
        losses.push(f64::try_from(&loss).unwrap());
    }
    let losses = Tensor::from_slice(&losses);
    assert_close(&losses, &tensors["losses"], 1e-4, 0.0, "losses");
    for (name, expected) in tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("after/")?, tensor))) {
        let found = weights.get(name).unwrap().detach();
        let difference = f64::try_from((&found - expected).norm()).unwrap() / f64::try_from(expected.norm()).unwrap();
        assert!(difference <= 1e-4, "{name}: {difference}");
    }
}

/// The steps above, in doubles, from weights as they are given and laid out as training lays them out: the layout changes the
/// order of sums and so the last bits, which three steps of a network with such weights make large; nothing else.
#[test]
fn training_steps_do_not_depend_on_the_layout() {
    let architecture = Architecture { backbone: Backbone::ResNet10, classes: 5 };
    let in_doubles = || {
        let weights = formula_weights(architecture, 11);
        Parameters::new(weights.iter().map(|(name, tensor)| (name.clone(), tensor.to_kind(Kind::Double))).collect::<Vec<_>>())
    };
    let _kept = crate::generator::seeded(4);
    let images = Tensor::rand([4, 3, 48, 64], (Kind::Double, Device::Cpu));
    let labels = Tensor::rand([4, 5], (Kind::Double, Device::Cpu)).gt(0.5).to_kind(Kind::Double);
    let after = |weights: Parameters, images: Tensor| {
        let mut optimizer = Sgd::new(&weights, 0.9, 1e-4);
        let network = ResNet::new(architecture, &weights).unwrap();
        for _ in 0..3 {
            let logits = network.feature_maps(&images, true).layer4.mean_dim([2i64, 3].as_slice(), false, Kind::Double);
            let logits = logits.linear(&network.head_weight, Some(&network.head_bias));
            optimizer.step(&multi_label_soft_margin(&logits, &labels), 0.01);
        }
        weights
    };
    let plain = after(in_doubles(), images.shallow_clone());
    let laid_out = after(in_doubles().for_training(Device::Cpu), channels_last(&images));
    for (name, expected) in plain.iter() {
        let found = laid_out.get(name).unwrap().detach();
        let difference = f64::try_from((found - expected.detach()).norm()).unwrap() / f64::try_from(expected.norm()).unwrap().max(1.0);
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
        let weights = Parameters::random(architecture, 3).for_training(Device::Cpu);
        let trained: Vec<(String, Tensor)> = weights
            .iter()
            .filter(|(name, _)| is_trained(name))
            .map(|(name, tensor)| (name.clone(), tensor.set_requires_grad(true)))
            .collect();
        let network = ResNet::new(architecture, &weights).unwrap().counting_in(kind);
        let loss = multi_label_soft_margin(&network.logits(&network.feature_maps(&images, true).layer4, 0.0, true), &labels);
        let found = Tensor::run_backward(&[&loss], &trained.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>(), false, false);
        trained.into_iter().map(|(name, _)| name).zip(found).collect()
    };
    let (full, mixed) = (gradients(Kind::Float), gradients(Kind::BFloat16));
    assert!(mixed.iter().all(|(_, gradient)| gradient.kind() == Kind::Float));
    let product = |left: &[(String, Tensor)], right: &[(String, Tensor)]| -> f64 {
        left.iter().zip(right).map(|((_, left), (_, right))| f64::try_from((left * right).sum(Kind::Double)).unwrap()).sum()
    };
    let off = 1.0 - product(&full, &mixed) / (product(&full, &full) * product(&mixed, &mixed)).sqrt();
    println!("the gradient in mixed precision is off by 1 - cosine = {off:.5}");
    assert!(off > 1e-7, "nothing was counted in bf16");
    // An untrained network magnifies roundings; a wrong gradient would have nothing in common with the right one.
    assert!(off < 0.15, "{off}");
}

#[test]
fn loss_and_learning_rate_schedule() {
    let metrics = read_json(&golden_folder().join("metrics.json"));
    let matrix = |name: &str| -> Tensor {
        let rows: Vec<Vec<f32>> = serde_json::from_value(metrics["classification"][name].clone()).unwrap();
        Tensor::from_slice2(&rows)
    };
    // The golden loss takes the scores' logits.
    let loss = f64::try_from(multi_label_soft_margin(&matrix("scores").to_kind(Kind::Double).logit(None), &matrix("labels"))).unwrap();
    assert!((loss - metrics["multilabel_soft_margin"].as_f64().unwrap()).abs() < 1e-6, "{loss}");

    let golden = &metrics["reduce_lr_on_plateau"];
    let number = |name: &str| golden[name].as_f64().unwrap();
    let plateau = Plateau { factor: number("factor"), patience: number("patience") as u32, threshold: 1e-4 };
    let mut schedule = Schedule::new(number("initial_lr"), plateau);
    let losses: Vec<f64> = serde_json::from_value(golden["val_loss"].clone()).unwrap();
    let expected: Vec<f64> = serde_json::from_value(golden["lr_after"].clone()).unwrap();
    for (epoch, (loss, expected)) in losses.into_iter().zip(expected).enumerate() {
        schedule.step(loss);
        assert!((schedule.learning_rate - expected).abs() < 1e-12, "epoch {epoch}: {} for {expected}", schedule.learning_rate);
    }
}
