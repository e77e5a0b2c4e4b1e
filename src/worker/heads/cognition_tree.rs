//! CogTree (Yu, Chai, Wang, Hu, Wu: "CogTree: Cognition Tree Loss for Unbiased Scene Graph
//! Generation", IJCAI 2021, arXiv 2009.07526): a tree of interactions that is made from the
//! mistakes of a biased model, and a loss on the way from its root to each answer.
//!
//! For each interaction, the biased model has a favourite: the answer that it gives most often when
//! this interaction is right. Interactions with the same favourite form a concept, which is named
//! after the favourite. If the favourite itself has another favourite, it joins the concept of that
//! one, and so on. Such a chain ends at an interaction that is its own favourite, and a circle ends
//! at its most frequent member. The branches of the root are the concepts. A concept branches into
//! its favourite, which is the coarse answer, and into the group of all finer answers. The group
//! branches into the single interactions. At each fork on the way to the right answer there is a
//! cross-entropy among the branches of the fork. The score of a branch is the mean logit of its
//! leaves. The weight of a branch is the mean weight of its leaves by rarity, scaled so that the
//! train examples that pass the fork have a mean weight of 1. So neither a frequent interaction nor
//! one that was never annotated reduces the weight of the others.

use tch::{Kind, Tensor};

use super::interaction_loss::rarity_weights;

/// A node of the tree with more than one branch.
#[derive(Debug, PartialEq)]
struct Fork {
    /// The leaves of each branch.
    branches: Vec<Vec<usize>>,
    /// The weight of each branch. The mean over the train examples that pass the fork is 1.
    weights: Vec<f64>,
}

pub struct CognitionTree {
    forks: Vec<Fork>,
}

impl Fork {
    /// `None` if there is nothing to choose from.
    fn of(branches: Vec<Vec<usize>>, rarity: &[f64], counts: &[usize]) -> Option<Self> {
        let branches: Vec<Vec<usize>> =
            branches.into_iter().filter(|leaves| !leaves.is_empty()).collect();
        let mean = |leaves: &Vec<usize>| {
            leaves.iter().map(|&leaf| rarity[leaf]).sum::<f64>() / leaves.len() as f64
        };
        let raw: Vec<f64> = branches.iter().map(mean).collect();
        let examples =
            |leaves: &Vec<usize>| leaves.iter().map(|&leaf| counts[leaf]).sum::<usize>() as f64;
        let all: f64 = branches.iter().map(examples).sum();
        let weighed: f64 =
            branches.iter().zip(&raw).map(|(leaves, weight)| examples(leaves) * weight).sum();
        // Without an example nothing comes by.
        let scale = if weighed > 0.0 { all / weighed } else { 1.0 };
        (branches.len() > 1)
            .then(|| Fork { weights: raw.iter().map(|weight| weight * scale).collect(), branches })
    }

    /// The sum over those edges whose right answer lies behind this fork. Logits [edges, leaves],
    /// the right leaves [edges].
    fn loss(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        let leaves = logits.size()[1] as usize;
        let mut means = vec![0f32; leaves * self.branches.len()];
        let mut branch_of = vec![0i64; leaves];
        // An answer that does not lie behind this fork weighs nothing.
        let mut weight_of = vec![0f32; leaves];
        for (branch, of_branch) in self.branches.iter().enumerate() {
            for &leaf in of_branch {
                means[leaf * self.branches.len() + branch] = 1.0 / of_branch.len() as f32;
                branch_of[leaf] = branch as i64;
                weight_of[leaf] = self.weights[branch] as f32;
            }
        }
        let device = logits.device();
        let means = Tensor::from_slice(&means)
            .view([leaves as i64, self.branches.len() as i64])
            .to_device(device);
        let right = Tensor::from_slice(&branch_of).to_device(device).index_select(0, targets);
        let weights = Tensor::from_slice(&weight_of).to_device(device).index_select(0, targets);
        let log_probabilities = logits.matmul(&means).log_softmax(-1, Kind::Float);
        -(log_probabilities.gather(1, &right.unsqueeze(1), false).squeeze_dim(1) * weights)
            .sum(Kind::Float)
    }
}

impl CognitionTree {
    /// `confusions[right][answered]`, counted on the train frames; `counts` of each interaction
    /// there.
    pub fn of(confusions: &[Vec<usize>], counts: &[usize]) -> Self {
        let concept_of = concepts(confusions, counts);
        let rarity = rarity_weights(counts);
        let mut names = concept_of.clone();
        names.sort_unstable();
        names.dedup();
        let members = |name: usize| {
            (0..counts.len()).filter(|&leaf| concept_of[leaf] == name).collect::<Vec<usize>>()
        };
        let finer = |name: usize| {
            members(name).into_iter().filter(|&leaf| leaf != name).collect::<Vec<usize>>()
        };
        let root = Fork::of(names.iter().map(|&name| members(name)).collect(), &rarity, counts);
        let below = names.iter().flat_map(|&name| {
            let fine = finer(name).into_iter().map(|leaf| vec![leaf]).collect();
            [
                Fork::of(vec![vec![name], finer(name)], &rarity, counts),
                Fork::of(fine, &rarity, counts),
            ]
        });
        CognitionTree { forks: root.into_iter().chain(below.flatten()).collect() }
    }

    /// Logits [edges, leaves] and the right leaves [edges] -> the mean over edges of the sum over
    /// the forks on the way.
    pub fn loss(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        let nothing = Tensor::zeros([], (Kind::Float, logits.device()));
        let sum = self.forks.iter().fold(nothing, |sum, fork| sum + fork.loss(logits, targets));
        sum / targets.size()[0].max(1) as f64
    }
}

/// For each interaction, the one that its concept is named after.
fn concepts(confusions: &[Vec<usize>], counts: &[usize]) -> Vec<usize> {
    let favourite = |right: usize| {
        let answered = &confusions[right];
        // If answers are equally frequent, the right one counts, or else the first. An interaction
        // without an example counts as answered rightly.
        (0..answered.len())
            .max_by_key(|&answer| (answered[answer], answer == right, std::cmp::Reverse(answer)))
            .unwrap_or(right)
    };
    (0..confusions.len())
        .map(|start| {
            let mut chain = vec![start];
            loop {
                let next = favourite(chain[chain.len() - 1]);
                match chain.iter().position(|&seen| seen == next) {
                    // A circle: its most frequent member, of equals the first.
                    Some(begin) => {
                        break chain[begin..]
                            .iter()
                            .copied()
                            .max_by_key(|&member| (counts[member], std::cmp::Reverse(member)))
                            .unwrap_or(start);
                    }
                    None => chain.push(next),
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 is its own favourite, 1 is taken for 0, 2 for 1; 3 and 4 for each other.
    fn tree() -> CognitionTree {
        let confusions = vec![
            vec![9, 0, 0, 0, 0],
            vec![5, 4, 0, 0, 0],
            vec![0, 3, 1, 0, 0],
            vec![0, 0, 0, 1, 2],
            vec![0, 0, 0, 6, 5],
        ];
        CognitionTree::of(&confusions, &[9, 9, 4, 3, 11])
    }

    #[test]
    fn concepts_follow_the_chains_of_favourites_and_branch_into_coarse_and_fine() {
        let branches: Vec<Vec<Vec<usize>>> =
            tree().forks.into_iter().map(|fork| fork.branches).collect();
        assert_eq!(
            branches,
            [
                vec![vec![0, 1, 2], vec![3, 4]], // the root's concepts, named after 0 and 4
                vec![vec![0], vec![1, 2]],
                vec![vec![1], vec![2]],
                vec![vec![4], vec![3]],
            ]
        );
    }

    /// By hand: logits [1, -1, 0 | 2, 0], so that concepts score 0 and 1.
    #[test]
    fn the_loss_asks_for_the_branch_at_each_fork_on_the_way() {
        let tree = tree();
        let rarity = rarity_weights(&[9, 9, 4, 3, 11]);
        // A branch's weight and examples, and those of its sibling.
        let relative = |(own, count): (f64, f64), (other, others): (f64, f64)| {
            own * (count + others) / (own * count + other * others)
        };
        let concepts = [(rarity[0] + rarity[1] + rarity[2]) / 3.0, (rarity[3] + rarity[4]) / 2.0];
        let logits = Tensor::from_slice(&[1f32, -1.0, 0.0, 2.0, 0.0]).view([1, 5]);
        let found =
            |leaf: i64| f64::try_from(tree.loss(&logits, &Tensor::from_slice(&[leaf]))).unwrap();
        let cross_entropy = |own: f64, other: f64| -(own.exp() / (own.exp() + other.exp())).ln();
        // To 3: its concept against the other, then itself against the coarse answer 4.
        let expected = relative((concepts[1], 14.0), (concepts[0], 22.0)) * cross_entropy(1.0, 0.0)
            + relative((rarity[3], 3.0), (rarity[4], 11.0)) * cross_entropy(2.0, 0.0);
        assert!((found(3) - expected).abs() < 1e-6, "{} {expected}", found(3));
        // To 2: its concept, the fine ones (scoring -0.5) against 0, itself against 1.
        let fine = (rarity[1] + rarity[2]) / 2.0;
        let expected = relative((concepts[0], 22.0), (concepts[1], 14.0)) * cross_entropy(0.0, 1.0)
            + relative((fine, 13.0), (rarity[0], 9.0)) * cross_entropy(-0.5, 1.0)
            + relative((rarity[2], 4.0), (rarity[1], 9.0)) * cross_entropy(0.0, -1.0);
        assert!((found(2) - expected).abs() < 1e-6, "{} {expected}", found(2));
        // Of two edges the mean.
        let both = tree.loss(&Tensor::cat(&[&logits, &logits], 0), &Tensor::from_slice(&[2i64, 3]));
        assert!((f64::try_from(both).unwrap() - (found(2) + found(3)) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_model_that_confuses_nothing_makes_every_interaction_a_concept() {
        let confusions: Vec<Vec<usize>> = (0..4)
            .map(|right| (0..4).map(|answer| usize::from(answer == right)).collect())
            .collect();
        let tree = CognitionTree::of(&confusions, &[1, 1, 1, 0]);
        assert_eq!(tree.forks.len(), 1);
        assert_eq!(tree.forks[0].branches.len(), 4);
    }

    #[test]
    fn however_unbalanced_the_examples_each_weighs_one_in_the_mean() {
        let of_counts = |counts: &[usize]| {
            let confusions: Vec<Vec<usize>> = (0..counts.len())
                .map(|right| {
                    (0..counts.len())
                        .map(|answer| if answer == right { counts[right] } else { 0 })
                        .collect()
                })
                .collect();
            CognitionTree::of(&confusions, counts).forks.remove(0).weights
        };
        let counts = [1400, 600, 80, 10];
        let weights = of_counts(&counts);
        let mean =
            counts.iter().zip(&weights).map(|(&count, weight)| count as f64 * weight).sum::<f64>()
                / 2090.0;
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        // Interactions that were never annotated take nothing from them.
        let with_absent = of_counts(&[1400, 600, 80, 10, 0, 0, 0]);
        assert!(
            weights.iter().zip(&with_absent).all(|(one, other)| (one - other).abs() < 1e-12),
            "{weights:?} {with_absent:?}"
        );
    }
}
