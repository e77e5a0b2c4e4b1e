//! Heat maps of every CAM method, as pytorch-grad-cam makes them.

use surgcam_frames::formula::uniform;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::{Backbone, CamMethod};
use tch::Tensor;

use super::{golden_folder, read_json};
use crate::cam;
use crate::model::resnet::ResNet;
use crate::self_test::golden_set::formula_weights;

/// How far a map may be from pytorch-grad-cam's, which counts in f64: a rounding can decide on
/// which side of 0 an activation of layer 4 falls, and with it which way a gradient of layer 3
/// goes.
const CAM_TOLERANCE: f32 = 2e-3;

#[test]
fn heat_maps_of_every_cam_method_are_those_of_pytorch_grad_cam() {
    let golden = read_json(&golden_folder().join("cam_methods.json"));
    let number = |name: &str| golden[name].as_u64().unwrap();
    let architecture = Architecture::of_frames(Backbone::ResNet18, number("classes") as usize);
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
            cam::closed_form_maps(&maps.layer4, &network.head.weight, method).squeeze_dim(0);
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
