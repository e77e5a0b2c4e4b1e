//! Class activation maps (METHOD 4).
//!
//! With a head of global average pool and one linear layer, the gradient of logit c with respect to
//! A[k, i, j] is W[c, k] / (h w) in every cell, so the maps of all classes are one matrix product
//! and need no backward pass. Where an LSTM follows the pool, W is the gradient with respect to the
//! frame's pooled features, for which the backward pass goes through the LSTM alone. For another
//! layer, or another head, [`autograd_maps`] asks libtorch for the gradient; the two are tested
//! against each other.

use surgcam_frames::vision::heat_map::{self, HeatMap};
use surgcam_values::{CamMethod, Present};
use tch::{Kind, Tensor};

use crate::features::values_of;

/// Keeps Grad-CAM++'s quotient from being divided by 0.
const PLUS_PLUS_EPSILON: f64 = 1e-6;

/// The classes that count as present in a frame with these logits. They are the ones that get heat
/// maps.
pub fn present_classes(logits: &[f32], present: &Present) -> Vec<usize> {
    match present {
        Present::Classes(classes) => classes.clone(),
        Present::Above(threshold) => {
            let probability = |class: usize| 1.0 / (1.0 + (-f64::from(logits[class])).exp());
            (0..logits.len()).filter(|&class| probability(class) > threshold.value()).collect()
        }
    }
}

/// A [N, C, h, w] and W -> [N, classes, h, w], not yet rectified. W is the gradient of the logits
/// with respect to the pooled A: [classes, C] of a linear layer, or [N, classes, C] where each
/// frame has its own.
pub fn closed_form_maps(activation: &Tensor, head_weight: &Tensor, method: CamMethod) -> Tensor {
    let size = activation.size();
    let (frames, channels, height, width) = (size[0], size[1], size[2], size[3]);
    let cells = (height * width) as f64;
    let gradient = head_weight / cells;
    let weights = match method {
        // The gradient is the same in every cell, so to weigh cell by cell is to weigh by the mean.
        CamMethod::GradCam | CamMethod::HiResCam => gradient,
        CamMethod::LayerCam => gradient.relu(),
        // For the same reason the sum over cells is a product. [N, classes, C]
        CamMethod::GradCamPlusPlus => {
            let sums =
                activation.sum_dim_intlist([2i64, 3].as_slice(), false, Kind::Float).unsqueeze(1);
            let alpha = gradient.square()
                / (gradient.square() * 2.0
                    + gradient.pow_tensor_scalar(3) * sums
                    + PLUS_PLUS_EPSILON);
            gradient.relu() * alpha * cells
        }
    };
    // Cell by cell, as the map lies in memory.
    let cells = activation.permute([0, 2, 3, 1]).reshape([frames, height * width, channels]);
    cells.matmul(&weights.transpose(-1, -2)).transpose(1, 2).reshape([frames, -1, height, width])
}

/// The same for any differentiable function from A [C, h, w] to logits [classes], with one backward
/// pass for each of `classes`.
pub fn autograd_maps(
    activation: &Tensor,
    classes: &[usize],
    method: CamMethod,
    logits_of: impl Fn(&Tensor) -> Tensor,
) -> Vec<Tensor> {
    tch::with_grad(|| {
        let activation = activation.detach().copy().set_requires_grad(true);
        let logits = logits_of(&activation);
        classes
            .iter()
            .map(|&class| {
                let gradient =
                    Tensor::run_backward(&[logits.get(class as i64)], &[&activation], true, false)
                        .remove(0);
                tch::no_grad(|| {
                    // [C, 1, 1], or [C, h, w] where each cell has a weight of its own.
                    let weights = match method {
                        CamMethod::HiResCam => gradient,
                        CamMethod::LayerCam => gradient.relu(),
                        CamMethod::GradCam => {
                            gradient.mean_dim([1i64, 2].as_slice(), true, Kind::Float)
                        }
                        CamMethod::GradCamPlusPlus => {
                            let sums =
                                activation.sum_dim_intlist([1i64, 2].as_slice(), true, Kind::Float);
                            let alpha = gradient.square()
                                / (gradient.square() * 2.0
                                    + gradient.pow_tensor_scalar(3) * sums
                                    + PLUS_PLUS_EPSILON);
                            (gradient.relu() * alpha).sum_dim_intlist(
                                [1i64, 2].as_slice(),
                                true,
                                Kind::Float,
                            )
                        }
                    };
                    (weights * &activation).sum_dim_intlist([0i64].as_slice(), false, Kind::Float)
                })
            })
            .collect()
    })
}

/// [classes, h, w], or [N, classes, h, w] -> a heat map for each class, frame after frame. Negative
/// values become 0, and the map is normalised.
pub fn to_heat_maps(maps: &Tensor) -> Vec<HeatMap> {
    let size = maps.size();
    let (height, width) = (size[size.len() - 2] as usize, size[size.len() - 1] as usize);
    let of_class = |values: &[f32]| {
        let mut values: Vec<f32> = values.iter().map(|value| value.max(0.0)).collect();
        heat_map::normalize(&mut values);
        HeatMap { height, width, values }
    };
    values_of(maps).chunks(height * width).map(of_class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn closed_form_and_autograd_agree_for_every_method() {
        let _kept = crate::generator::seeded(3);
        let options = (Kind::Float, Device::Cpu);
        let activation = Tensor::rand([16, 4, 5], options);
        let (weight, bias) = (Tensor::randn([3, 16], options), Tensor::randn([3], options));
        let logits = |a: &Tensor| {
            a.mean_dim([1i64, 2].as_slice(), false, Kind::Float)
                .unsqueeze(0)
                .linear(&weight, Some(&bias))
                .squeeze()
        };
        for method in [
            CamMethod::GradCam,
            CamMethod::GradCamPlusPlus,
            CamMethod::HiResCam,
            CamMethod::LayerCam,
        ] {
            let closed = closed_form_maps(&activation.unsqueeze(0), &weight, method).squeeze_dim(0);
            for (class, map) in
                autograd_maps(&activation, &[0, 1, 2], method, logits).iter().enumerate()
            {
                let difference =
                    f64::try_from((map - closed.get(class as i64)).abs().max()).unwrap();
                let scale = f64::try_from(map.abs().max()).unwrap();
                assert!(
                    difference <= 1e-5 * scale,
                    "{method:?} class {class}: {difference} of {scale}"
                );
            }
        }
    }

    #[test]
    fn cells_weigh_one_by_one_where_the_gradient_differs_between_them() {
        let activation = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0]).view([2, 1, 2]);
        let slope = Tensor::from_slice(&[1f32, -1.0, 2.0, 0.5]).view([2, 1, 2]);
        let logits = |a: &Tensor| (a * &slope).sum(Kind::Float).unsqueeze(0);
        let map = |method| values_of(&autograd_maps(&activation, &[0], method, logits)[0]);
        assert_eq!(map(CamMethod::GradCam), [3.75, 5.0]);
        assert_eq!(map(CamMethod::HiResCam), [7.0, 0.0]);
        assert_eq!(map(CamMethod::LayerCam), [7.0, 2.0]);
    }
}
