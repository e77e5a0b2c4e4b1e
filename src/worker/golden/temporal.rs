//! A temporal classifier as PyTorch computes it (tests/golden/temporal.py).

use std::collections::BTreeMap;

use serde::Deserialize;
use surgcam_frames::formula::uniform;
use surgcam_pipeline::settings::{Architecture, CamSettings, Normalization};
use surgcam_values::{
    Backbone, CamMethod, FeatureLayer, Precision, Present, Threshold, TrainingPrecision,
};
use tch::{Device, Kind, Tensor};

use super::{device, golden_folder, read_json};
use crate::cam;
use crate::feature_extractor::FeatureExtractor;
use crate::features::values_of;
use crate::model::classifier::{self, Cam, Classifier, DifferentiableClassifier};
use crate::model::clips::ClipMemory;
use crate::model::fused_convolution::channels_last;
use crate::model::inference::InferenceNetwork;
use crate::model::resnet::ResNet;
use crate::model::weights::Weights;
use crate::self_test::golden_set::formula_weights;
use crate::training::multi_label_soft_margin;
use crate::training::sgd::Sgd;

const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    classes: usize,
    clips: i64,
    clip_length: usize,
    /// [clips x clip length, 3, H, W]
    images: [i64; 4],
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    /// [clips, classes]
    logits: Vec<Vec<f32>>,
    /// By layer: [clips, classes, h w] of the last frames, normalised.
    maps: BTreeMap<String, Vec<Vec<Vec<f32>>>>,
    loss: f64,
    /// After the step: momenta, running statistics, and weights behind `after/`.
    tensors: BTreeMap<String, GoldenTensor>,
}

#[derive(Deserialize)]
struct GoldenTensor {
    length: f64,
    /// At places that are drawn from the tensor's name.
    values: Vec<f64>,
}

impl Golden {
    fn read() -> Self {
        serde_json::from_value(read_json(&golden_folder().join("temporal.json"))).unwrap()
    }

    fn architecture(&self) -> Architecture {
        Architecture {
            clip_length: Some(self.clip_length),
            ..Architecture::of_frames(Backbone::ResNet18, self.classes)
        }
    }

    fn weights(&self) -> Weights {
        formula_weights(self.architecture(), self.seed).for_training(device())
    }

    /// Noise, clip after clip.
    fn images(&self) -> Tensor {
        let pixel = uniform("images", self.seed);
        let pixels: Vec<f32> = (0..self.images.iter().product::<i64>() as u64)
            .map(|place| 2.0 * (pixel(place) as f32) - 1.0)
            .collect();
        channels_last(&Tensor::from_slice(&pixels).view(self.images).to_device(device()))
    }

    fn labels(&self) -> Tensor {
        let label = uniform("labels", self.seed);
        let values: Vec<bool> =
            (0..self.clips as u64 * self.classes as u64).map(|place| label(place) > 0.5).collect();
        let labels = Tensor::from_slice(&values).view([self.clips, self.classes as i64]);
        labels.to_kind(Kind::Float).to_device(device())
    }

    /// The largest difference of logits [clips, classes].
    fn difference_of_logits(&self, found: &Tensor) -> f64 {
        let expected = Tensor::from_slice2(&self.logits);
        assert_eq!(found.size(), expected.size());
        f64::try_from((found.to_device(Device::Cpu) - expected).abs().max()).unwrap()
    }

    fn check_maps(&self, layer: &str, clip: i64, found: &Tensor) {
        let found = cam::to_heat_maps(found);
        let expected = &self.maps[layer][clip as usize];
        assert_eq!(found.len(), expected.len());
        for (class, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found.values.len(), expected.len());
            let differences = found.values.iter().zip(expected);
            let worst = differences.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(f64::from(worst) < TOLERANCE, "{layer}, clip {clip}, class {class}: {worst}");
        }
    }
}

/// The same in doubles, where no rounding decides on which side of 0 an activation falls.
fn in_doubles(weights: &Weights) -> Weights {
    Weights::new(weights.iter().map(|(name, tensor)| (name.clone(), tensor.to_kind(Kind::Double))))
}

#[test]
fn logits_of_clips_and_heat_maps_of_their_last_frames_are_pytorchs() {
    let golden = Golden::read();
    let network = ResNet::new(golden.architecture(), &in_doubles(&golden.weights())).unwrap();
    let images = golden.images().to_kind(Kind::Double);
    let maps = tch::no_grad(|| network.feature_maps(&images, false));
    let logits = tch::no_grad(|| network.logits(&maps.layer4, 0.0, false));
    assert!(golden.difference_of_logits(&logits) < TOLERANCE);
    let length = golden.clip_length as i64;
    let pooled = network.pooled(&maps.layer4);
    let classes: Vec<usize> = (0..golden.classes).collect();
    for clip in 0..golden.clips {
        let of_clip = pooled.narrow(0, clip * length, length);
        let last = clip * length + length - 1;
        for (name, layer, map) in [
            ("layer4", FeatureLayer::Layer4, maps.layer4.get(last)),
            ("layer3", FeatureLayer::Layer3, maps.layer3.get(last)),
        ] {
            let Cam::BackwardPass { logits_of } = network.cam(layer, Some(&of_clip)) else {
                panic!("the gradient of a temporal classifier depends on the frame");
            };
            let found = cam::autograd_maps(&map, &classes, CamMethod::GradCam, &*logits_of);
            golden.check_maps(name, clip, &Tensor::stack(&found, 0));
        }
    }
}

/// As extraction has it: frame after frame, each through the network once, and a backward pass
/// through the LSTM alone.
#[test]
fn frames_that_come_one_by_one_make_the_same_clips() {
    let golden = Golden::read();
    let (architecture, weights, images) =
        (golden.architecture(), golden.weights(), golden.images());
    let network = InferenceNetwork::new(architecture, &weights, device(), Precision::F32).unwrap();
    let length = golden.clip_length as i64;
    let mut logits = Vec::new();
    for clip in 0..golden.clips {
        let mut memory = ClipMemory::new(length);
        let of_frame = |frame: i64| {
            let image = images.narrow(0, clip * length + frame, 1);
            let layer4 = network.feature_maps(&image).unwrap().layer4;
            (memory.clips_of(&network.pooled(&layer4)), layer4)
        };
        let frames: Vec<(Tensor, Tensor)> = (0..length).map(of_frame).collect();
        let (pooled, layer4) = &frames[golden.clip_length - 1];
        logits.push(network.logits(pooled));
        let gradients = network.head.last_frame_gradients(pooled);
        let maps = cam::closed_form_maps(layer4, &gradients, CamMethod::GradCam);
        golden.check_maps("layer4", clip, &maps);
    }
    assert!(golden.difference_of_logits(&Tensor::cat(&logits, 0)) < TOLERANCE);
}

#[test]
fn one_training_step_on_clips_is_pytorchs() {
    let golden = Golden::read();
    let weights = in_doubles(&golden.weights());
    let mut optimizer = Sgd::new(&weights, golden.momentum, golden.weight_decay);
    let classifier =
        classifier::differentiable(golden.architecture(), &weights, TrainingPrecision::F32)
            .unwrap();
    let logits = classifier.training_logits(&golden.images().to_kind(Kind::Double), 0.0);
    let loss = multi_label_soft_margin(&logits, &golden.labels().to_kind(Kind::Double));
    optimizer.step(&loss, golden.learning_rate).unwrap();
    let found_loss = f64::try_from(&loss).unwrap();
    assert!((found_loss - golden.loss).abs() < TOLERANCE * golden.loss, "{found_loss}");
    assert!(golden.tensors.len() > 150, "{}", golden.tensors.len());
    for (name, expected) in &golden.tensors {
        let found = match (name.strip_prefix("after/"), optimizer.buffers.get(name)) {
            (Some(name), _) => weights.get(name).unwrap(),
            (None, Some(momentum)) => momentum.shallow_clone(),
            (None, None) => weights.get(name).unwrap(),
        };
        let found = values_of(&found.detach());
        let length = found.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        let near = TOLERANCE * expected.length;
        assert!((length - expected.length).abs() <= near, "{name}: {length}");
        let place = uniform(&format!("sample/{name}"), golden.seed);
        for (sample, value) in expected.values.iter().enumerate() {
            let found = f64::from(found[(place(sample as u64) * found.len() as f64) as usize]);
            let difference = (found - value).abs();
            assert!(difference <= 1e-6 * expected.length, "{name}: {found} for {value}");
        }
    }
}

/// What extraction and a stream of single frames do with the same clips.
#[test]
fn an_extractor_sees_a_frame_with_those_before_it() {
    let golden = Golden::read();
    let weights = golden.weights();
    let size = [64, 96];
    let picture = |number: usize| -> Vec<u8> {
        (0..3 * 64 * 96).map(|place| (place * (7 + 5 * number) % 251) as u8).collect()
    };
    let pictures: Vec<Vec<u8>> = (0..4).map(picture).collect();
    let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    let extractor = FeatureExtractor::new(
        golden.architecture(),
        &weights.copied(),
        Normalization { mean: [0.4; 3], std: [0.2; 3] },
        size,
        device(),
        Precision::F32,
    )
    .unwrap();
    let mut memory = extractor.clip_memory();
    memory.enter("seq_1");
    let together = extractor.begin_next_frames(&pictures, &mut memory).unwrap();
    let together = extractor.activations_of(&together);
    let cam = |layer| CamSettings {
        method: CamMethod::GradCam,
        layer,
        present: Present::Above(Threshold::new(0.0).unwrap()),
    };
    let batch: Vec<_> = together.iter().collect();
    let maps_together = extractor.heat_maps_of_batch(&batch, &cam(FeatureLayer::Layer4));
    let mut memory = extractor.clip_memory();
    memory.enter("seq_1");
    let near = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    };
    for ((picture, together), maps) in pictures.iter().zip(&together).zip(&maps_together) {
        let pass = extractor.begin_next_frames(&[*picture], &mut memory).unwrap();
        let alone = extractor.activations_of(&pass).remove(0);
        near(&alone.logits, &together.logits);
        let found = extractor.heat_maps(&alone, &cam(FeatureLayer::Layer4));
        assert_eq!(found.maps.len(), golden.classes);
        for (found, expected) in found.maps.iter().zip(&maps.maps) {
            near(&found.values, &expected.values);
        }
        let of_layer3 = extractor.heat_maps(&alone, &cam(FeatureLayer::Layer3));
        assert_eq!((of_layer3.maps.len(), of_layer3.map_size), (golden.classes, [4, 6]));
    }
    // A frame of which nothing before it is known is another clip.
    let single = extractor.activations(&pictures[3..]).unwrap().remove(0);
    assert!(single.logits.iter().zip(&together[3].logits).any(|(a, b)| (a - b).abs() > 1e-4));
}

/// Every frame is predicted, those at the start of a sequence too.
#[test]
fn an_answer_about_single_pictures_is_that_of_clips_of_one_picture() {
    let golden = Golden::read();
    let weights = golden.weights();
    let network = ResNet::new(golden.architecture(), &weights).unwrap();
    let picture = golden.images().narrow(0, 0, 1);
    let repeated = picture.expand([golden.clip_length as i64, -1, -1, -1], false);
    let (answer, expected) = tch::no_grad(|| {
        let maps = network.feature_maps(&repeated, false);
        (network.answer(&picture).unwrap(), network.logits(&maps.layer4, 0.0, false))
    });
    let difference = f64::try_from((answer.logits - expected).abs().max()).unwrap();
    assert!(difference < TOLERANCE, "{difference}");
}
