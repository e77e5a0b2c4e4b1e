//! CogTree (Yu, Chai, Wang, Hu, Wu: "CogTree: Cognition Tree Loss for Unbiased Scene Graph Generation", IJCAI 2021, arXiv
//! 2009.07526): a tree of interactions made from what a biased model confuses, and a loss on each level of it.
//!
//! For each interaction the biased model has a favourite: what it answers most often where this one is right. Interactions with
//! one favourite are a concept, named after it; a favourite whose own favourite is another joins that one's concept (chains end
//! where an interaction is its own favourite, and circles at their most frequent member). The root's children are the concepts, a
//! concept's children its interactions. The loss asks on each level for the branch of the right answer among its siblings, and
//! weighs branches by how rare they are; a branch scores the mean of its leaves' logits.

use tch::{Device, Kind, Tensor};

use super::interaction_loss::balanced_weights;

pub struct CognitionTree {
    /// The leaves of each branch, level by level: [levels][branches][leaves].
    levels: Vec<Vec<Vec<usize>>>,
    /// By level: of each leaf its branch and that branch's weight.
    branch_of: Vec<Vec<usize>>,
    weights: Vec<Vec<f64>>,
    /// By level: of each branch those it is compared with, itself among them.
    siblings: Vec<Vec<Vec<usize>>>,
}

impl CognitionTree {
    /// `confusions[right][answered]`, counted on the train frames; `counts` of each interaction there.
    pub fn of(confusions: &[Vec<usize>], counts: &[usize]) -> Self {
        let concept_of = concepts(confusions, counts);
        let mut names = concept_of.clone();
        names.sort_unstable();
        names.dedup();
        let members = |name: &usize| (0..counts.len()).filter(|&leaf| concept_of[leaf] == *name).collect::<Vec<usize>>();
        let concepts: Vec<Vec<usize>> = names.iter().map(members).collect();
        let leaves: Vec<Vec<usize>> = (0..counts.len()).map(|leaf| vec![leaf]).collect();
        let place = |leaf: usize| names.iter().position(|&name| name == concept_of[leaf]).unwrap_or_default();
        let sum = |branch: &Vec<usize>| branch.iter().map(|&leaf| counts[leaf]).sum();
        let weights = vec![balanced_weights(&concepts.iter().map(sum).collect::<Vec<usize>>()), balanced_weights(counts)];
        let siblings = vec![
            vec![(0..concepts.len()).collect(); concepts.len()],
            (0..counts.len()).map(|leaf| concepts[place(leaf)].clone()).collect(),
        ];
        CognitionTree {
            branch_of: vec![(0..counts.len()).map(place).collect(), (0..counts.len()).collect()],
            levels: vec![concepts, leaves],
            weights,
            siblings,
        }
    }

    /// Logits [edges, leaves] and the right leaves [edges] -> the mean over edges and levels.
    pub fn loss(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        let device = logits.device();
        let sum: Tensor = (0..self.levels.len()).map(|level| self.level_loss(level, logits, targets, device)).sum();
        sum / self.levels.len() as f64
    }

    fn level_loss(&self, level: usize, logits: &Tensor, targets: &Tensor, device: Device) -> Tensor {
        let (branches, leaves) = (self.levels[level].len(), logits.size()[1] as usize);
        let mut means = vec![0f32; leaves * branches];
        for (branch, of_branch) in self.levels[level].iter().enumerate() {
            of_branch.iter().for_each(|&leaf| means[leaf * branches + branch] = 1.0 / of_branch.len() as f32);
        }
        let scores = logits.matmul(&Tensor::from_slice(&means).view([leaves as i64, branches as i64]).to_device(device));
        let no_sibling: Vec<bool> = (0..leaves)
            .flat_map(|leaf| {
                let siblings = &self.siblings[level][self.branch_of[level][leaf]];
                (0..branches).map(|branch| !siblings.contains(&branch)).collect::<Vec<_>>()
            })
            .collect();
        let no_sibling = Tensor::from_slice(&no_sibling).view([leaves as i64, branches as i64]).to_device(device);
        let of_leaves = |values: Vec<f32>| Tensor::from_slice(&values).to_device(device).index_select(0, targets);
        let branch: Vec<i64> = self.branch_of[level].iter().map(|&branch| branch as i64).collect();
        let right = Tensor::from_slice(&branch).to_device(device).index_select(0, targets);
        let weights = of_leaves(self.branch_of[level].iter().map(|&branch| self.weights[level][branch] as f32).collect());
        let among_siblings = scores.masked_fill(&no_sibling.index_select(0, targets), f64::NEG_INFINITY).log_softmax(-1, Kind::Float);
        -(among_siblings.gather(1, &right.unsqueeze(1), false).squeeze_dim(1) * weights).mean(Kind::Float)
    }
}

/// Of each interaction the one that its concept is named after.
fn concepts(confusions: &[Vec<usize>], counts: &[usize]) -> Vec<usize> {
    let favourite = |right: usize| {
        let answered = &confusions[right];
        // Of equals the right one, then the first; without an example its own.
        (0..answered.len()).max_by_key(|&answer| (answered[answer], answer == right, std::cmp::Reverse(answer))).unwrap_or(right)
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
        let confusions = vec![vec![9, 0, 0, 0, 0], vec![5, 4, 0, 0, 0], vec![0, 3, 1, 0, 0], vec![0, 0, 0, 1, 2], vec![0, 0, 0, 6, 5]];
        CognitionTree::of(&confusions, &[9, 9, 4, 3, 11])
    }

    #[test]
    fn concepts_follow_the_chains_of_favourites() {
        assert_eq!(tree().levels[0], [vec![0, 1, 2], vec![3, 4]]);
    }

    /// By hand, with all weights 1: concepts score the means (0 and 1 of logits [1, -1, 0 | 2, 0]), leaves against their siblings.
    #[test]
    fn the_loss_asks_for_the_branch_on_each_level() {
        let mut tree = tree();
        tree.weights = vec![vec![1.0; 2], vec![1.0; 5]];
        let logits = Tensor::from_slice(&[1f32, -1.0, 0.0, 2.0, 0.0]).view([1, 5]);
        let found = f64::try_from(tree.loss(&logits, &Tensor::from_slice(&[3i64]))).unwrap();
        let level_one = -(1f64.exp() / (0f64.exp() + 1f64.exp())).ln();
        let level_two = -(2f64.exp() / (2f64.exp() + 0f64.exp())).ln();
        assert!((found - (level_one + level_two) / 2.0).abs() < 1e-6, "{found}");
    }

    #[test]
    fn a_model_that_confuses_nothing_makes_every_interaction_a_concept() {
        let confusions: Vec<Vec<usize>> = (0..4).map(|right| (0..4).map(|answer| usize::from(answer == right)).collect()).collect();
        let tree = CognitionTree::of(&confusions, &[1, 1, 1, 0]);
        assert_eq!(tree.levels[0].len(), 4);
    }
}
