//! The losses of the interaction graph, over the annotated edges.

use surgcam_frames::dataset::annotations::INTERACTIONS;
use tch::{Kind, Tensor};

use super::cognition_tree::CognitionTree;
use crate::training::multi_label_soft_margin;

/// The beta of class-balanced weights (Cui, Jia, Lin, Song, Belongie: "Class-Balanced Loss Based on
/// Effective Number of Samples", CVPR 2019).
const BETA: f64 = 0.999;

/// A loss, with everything that it needs from the train frames.
pub enum LossFunction {
    /// Each interaction is a separate yes-or-no question.
    SoftMargin,
    CrossEntropy,
    /// Cross-entropy in which rarer interactions have a larger weight.
    ClassBalanced {
        weights: Tensor,
    },
    /// Class-balanced cross-entropy, and at each fork of a tree of interactions.
    CognitionTree {
        weights: Tensor,
        tree: CognitionTree,
    },
}

impl LossFunction {
    /// Logits [edges, 13] and the interactions [edges] -> a number.
    pub fn of(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        match self {
            LossFunction::SoftMargin => {
                let one_hot = targets.one_hot(INTERACTIONS.len() as i64).to_kind(Kind::Float);
                multi_label_soft_margin(logits, &one_hot)
            }
            LossFunction::CrossEntropy => logits.cross_entropy_for_logits(targets),
            LossFunction::ClassBalanced { weights } => weighted(logits, targets, weights),
            LossFunction::CognitionTree { weights, tree } => {
                weighted(logits, targets, weights) + tree.loss(logits, targets)
            }
        }
    }
}

/// The mean over edges of cross-entropy times the weight of the edge's interaction.
fn weighted(logits: &Tensor, targets: &Tensor, weights: &Tensor) -> Tensor {
    let own =
        logits.log_softmax(-1, Kind::Float).gather(1, &targets.unsqueeze(1), false).squeeze_dim(1);
    -(own * weights.to_device(targets.device()).index_select(0, targets)).mean(Kind::Float)
}

/// One over the effective number of each interaction's examples. An interaction that was never
/// annotated counts as if it was annotated once.
pub fn rarity_weights(counts: &[usize]) -> Vec<f64> {
    counts.iter().map(|&count| (1.0 - BETA) / (1.0 - BETA.powf(count.max(1) as f64))).collect()
}

/// The same, scaled so that their mean over the examples is 1.
pub fn balanced_weights(counts: &[usize]) -> Vec<f64> {
    let raw = rarity_weights(counts);
    let total: f64 = counts.iter().sum::<usize>().max(1) as f64;
    let mean =
        counts.iter().zip(&raw).map(|(&count, weight)| count as f64 * weight).sum::<f64>() / total;
    let mean = if mean > 0.0 { mean } else { 1.0 };
    raw.iter().map(|weight| weight / mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_interactions_weigh_more_and_a_mean_example_weighs_one() {
        let counts = [100, 10, 0, 1];
        let weights = balanced_weights(&counts);
        assert!(weights[1] > weights[0] && weights[3] > weights[1] && weights[2] == weights[3]);
        let mean =
            counts.iter().zip(&weights).map(|(&count, weight)| count as f64 * weight).sum::<f64>()
                / 111.0;
        assert!((mean - 1.0).abs() < 1e-12);
    }

    #[test]
    fn balanced_cross_entropy_with_equal_weights_is_cross_entropy() {
        let logits = Tensor::from_slice(&[0.5f32, -1.0, 2.0, 0.0, 1.0, -0.5]).view([2, 3]);
        let targets = Tensor::from_slice(&[2i64, 0]);
        let weights = Tensor::ones([3], (Kind::Float, tch::Device::Cpu));
        let difference = LossFunction::ClassBalanced { weights }.of(&logits, &targets)
            - LossFunction::CrossEntropy.of(&logits, &targets);
        assert!(f64::try_from(difference.abs()).unwrap() < 1e-6);
    }
}
