//! Three training steps against PyTorch's, which were computed in f64 (tests/golden/training.py).
//!
//! A step's loss shows whether the step before changed the weights rightly, the momentum whether
//! the gradients are right. In f32 some gradients are off by 0.2 % of their length, for a rounding
//! decides on which side of 0 an activation falls.

use serde::Deserialize;
use surgcam_engine::error::Result;
use surgcam_frames::metrics::SelfTestCheck;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::{Backbone, Precision};
use tch::{Device, Kind, Tensor};

use super::comparison::{Comparison, Tolerance};
use super::golden_set::{formula_weights, malformed};
use crate::features::values_of;
use crate::model::fused_convolution::channels_last;
use crate::model::resnet::ResNet;
use crate::training::multi_label_soft_margin;
use crate::training::sgd::Sgd;
use surgcam_frames::formula::uniform;

const LOSS_TOLERANCE: Tolerance = Tolerance::Relative { share: 1e-5, more: 0.0, of_all: 0.0 };
const LENGTH_TOLERANCE: Tolerance = Tolerance::Relative { share: 2e-3, more: 0.0, of_all: 0.0 };
const VALUE_TOLERANCE: Tolerance = Tolerance::OfLength(0.05);

#[derive(Deserialize)]
struct Expected {
    seed: u64,
    classes: usize,
    /// [N, 3, H, W]
    images: [i64; 4],
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
    losses: Vec<f64>,
    /// The momentum of each weight, and the running statistics, after the last step.
    tensors: std::collections::BTreeMap<String, ExpectedTensor>,
}

#[derive(Deserialize)]
struct ExpectedTensor {
    length: f64,
    /// At places that are drawn from the tensor's name.
    values: Vec<f32>,
}

/// `expected`: the text of `training_small.json`.
pub fn check(expected: &str, device: Device) -> Result<Vec<SelfTestCheck>> {
    let expected: Expected =
        serde_json::from_str(expected).map_err(|_| malformed("training steps"))?;
    let architecture = Architecture::of_frames(Backbone::ResNet18, expected.classes);
    let weights = formula_weights(architecture, expected.seed).for_training(device);
    let mut optimizer = Sgd::new(&weights, expected.momentum, expected.weight_decay);
    let network = ResNet::new(architecture, &weights)?;
    let (images, labels) = batch(&expected, device);
    let mut losses = Comparison::new(LOSS_TOLERANCE);
    for &expected_loss in &expected.losses {
        let layer4 = network.feature_maps(&images, true).layer4;
        let loss = multi_label_soft_margin(&network.logits(&layer4, 0.0, true), &labels);
        optimizer.step(&loss, expected.learning_rate)?;
        losses.value(values_of(&loss.detach().unsqueeze(0))[0].into(), expected_loss);
    }
    let (mut lengths, mut values) =
        (Comparison::new(LENGTH_TOLERANCE), Comparison::new(VALUE_TOLERANCE));
    for (name, expected_tensor) in &expected.tensors {
        let found = match optimizer.buffers.get(name) {
            Some(momentum) => momentum.shallow_clone(),
            None => weights.get(name)?,
        };
        let found = values_of(&found.detach());
        lengths.value(
            found.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt(),
            expected_tensor.length,
        );
        let place = uniform(&format!("sample/{name}"), expected.seed);
        let sampled = (0..expected_tensor.values.len() as u64)
            .map(|sample| found[(place(sample) * found.len() as f64) as usize]);
        values.values(&sampled.collect::<Vec<_>>(), &expected_tensor.values);
    }
    Ok(vec![
        losses.into_check("training, losses", Precision::F32),
        lengths.into_check("training, lengths of gradients", Precision::F32),
        values.into_check("training, gradients", Precision::F32),
    ])
}

/// Pictures of noise, and labels by chance.
fn batch(expected: &Expected, device: Device) -> (Tensor, Tensor) {
    let [frames, channels, height, width] = expected.images;
    let pixel = uniform("images", expected.seed);
    let pixels: Vec<f32> = (0..(frames * channels * height * width) as u64)
        .map(|place| 2.0 * (pixel(place) as f32) - 1.0)
        .collect();
    let label = uniform("labels", expected.seed);
    let labels: Vec<bool> =
        (0..frames as u64 * expected.classes as u64).map(|place| label(place) > 0.5).collect();
    let images = Tensor::from_slice(&pixels).view(expected.images);
    let labels =
        Tensor::from_slice(&labels).view([frames, expected.classes as i64]).to_kind(Kind::Float);
    (channels_last(&images.to_device(device)), labels.to_device(device))
}
