//! How well a graph tells the annotated interactions (METHOD 8).

use surgcam_frames::dataset::annotations::INTERACTIONS;
use surgcam_frames::metrics::{InteractionMetrics, OneInteraction};
use surgcam_frames::vision::average_precision::label_average_precision;

use super::graph_batch::Edge;

/// An annotated instrument: what is right, and the softmax scores of the 13 interactions, the mean
/// over its nodes.
#[derive(Debug, Clone)]
pub struct JudgedEdge {
    pub right: usize,
    pub scores: Vec<f64>,
}

impl JudgedEdge {
    pub fn answer(&self) -> usize {
        highest(&self.scores)
    }
}

/// The place of the highest score. If several are equal, it is the first one.
pub fn highest(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, place| if scores[place] > scores[best] { place } else { best })
}

/// The mean over the nodes of one instrument. `scores` [frames, nodes, 13].
pub fn mean_scores(scores: &[f32], nodes: usize, edges: &[Edge]) -> Vec<f64> {
    let of_edge = |edge: &Edge, interaction: usize| {
        f64::from(scores[(edge.frame * nodes + edge.node) * INTERACTIONS.len() + interaction])
    };
    let mean = |interaction| {
        edges.iter().map(|edge| of_edge(edge, interaction)).sum::<f64>() / edges.len() as f64
    };
    (0..INTERACTIONS.len()).map(mean).collect()
}

/// Accuracy is that of the highest score. mAP is the mean over all 13 interactions, in which one
/// without an example counts as 0. Recall is the mean over those with an example.
pub fn metrics(
    edges: &[JudgedEdge],
    train_edges: usize,
    without_region: usize,
) -> InteractionMetrics {
    let answers: Vec<usize> = edges.iter().map(JudgedEdge::answer).collect();
    let right = edges.iter().zip(&answers).filter(|(edge, answer)| edge.right == **answer).count();
    let one = |interaction: usize| {
        let scores: Vec<f64> = edges.iter().map(|edge| edge.scores[interaction]).collect();
        let positive: Vec<bool> = edges.iter().map(|edge| edge.right == interaction).collect();
        let count = positive.iter().filter(|positive| **positive).count();
        let found = positive
            .iter()
            .zip(&answers)
            .filter(|(positive, answer)| **positive && **answer == interaction)
            .count();
        OneInteraction {
            interaction: INTERACTIONS[interaction].into(),
            edges: count,
            average_precision: label_average_precision(&scores, &positive),
            recall: (count > 0).then(|| found as f64 / count as f64),
        }
    };
    let per_interaction: Vec<OneInteraction> = (0..INTERACTIONS.len()).map(one).collect();
    let recalls: Vec<f64> = per_interaction.iter().filter_map(|one| one.recall).collect();
    InteractionMetrics {
        train_edges,
        edges: edges.len(),
        without_region,
        accuracy: right as f64 / edges.len().max(1) as f64,
        mean_average_precision: per_interaction
            .iter()
            .filter_map(|one| one.average_precision)
            .sum::<f64>()
            / INTERACTIONS.len() as f64,
        recall: recalls.iter().sum::<f64>() / recalls.len().max(1) as f64,
        per_interaction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(right: usize, answer: usize) -> JudgedEdge {
        let mut scores = vec![0.05; INTERACTIONS.len()];
        scores[answer] = 0.4;
        JudgedEdge { right, scores }
    }

    #[test]
    fn an_interaction_without_example_counts_zero_in_map_and_nothing_in_recall() {
        let found = metrics(&[edge(0, 0), edge(0, 0), edge(5, 5), edge(5, 0)], 7, 1);
        assert_eq!(
            (found.accuracy, found.edges, found.train_edges, found.without_region),
            (0.75, 4, 7, 1)
        );
        assert_eq!(found.recall, (1.0 + 0.5) / 2.0);
        let [idle, cutting] =
            [0, 5].map(|interaction| found.per_interaction[interaction].average_precision.unwrap());
        assert!((found.mean_average_precision - (idle + cutting) / 13.0).abs() < 1e-12);
        assert_eq!(found.per_interaction[3].average_precision, None);
    }
}
