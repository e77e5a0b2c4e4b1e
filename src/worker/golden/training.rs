//! Training steps, the loss and the schedule, as PyTorch computes them.

use std::collections::HashMap;

use surgcam_pipeline::settings::{Architecture, Plateau};
use surgcam_values::Backbone;
use tch::{Device, Kind, Tensor};

use super::{golden_folder, read_json};
use crate::model::fused_convolution::channels_last;
use crate::model::resnet::ResNet;
use crate::model::weights::{Weights, is_trained};
use crate::self_test::golden_set::formula_weights;
use crate::training::multi_label_soft_margin;
use crate::training::plateau::Schedule;
use crate::training::sgd::Sgd;

fn assert_close(found: &Tensor, expected: &Tensor, relative: f64, absolute: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let beyond: Tensor = (found - expected).abs() - (expected.abs() * relative + absolute);
    if beyond.numel() > 0 {
        let worst = f64::try_from(beyond.max()).unwrap();
        assert!(worst <= 0.0, "{what}: beyond its tolerance by {worst}");
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
        let test = ["golden::training::three_training_steps", "--exact", "--nocapture"];
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
    let architecture = Architecture::of_frames(Backbone::ResNet50, 11);
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
    let architecture = Architecture::of_frames(Backbone::ResNet10, 5);
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
            let logits = logits.linear(&network.head.weight, Some(&network.head.bias));
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
    let architecture = Architecture::of_frames(Backbone::ResNet18, 5);
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
