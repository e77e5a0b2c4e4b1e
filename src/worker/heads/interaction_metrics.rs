//! How well a graph tells the annotated interactions (METHOD 8).

use surgcam_artifacts::interaction_predictions::InteractionPrediction;
use surgcam_frames::dataset::annotations::INTERACTIONS;
use surgcam_frames::metrics::{InteractionMetrics, OneInteraction};
use surgcam_frames::vision::average_precision::label_average_precision;

/// Accuracy is that of the highest score. mAP is the mean over all 13 interactions, in which one
/// without an example counts as 0. Recall is the mean over those with an example.
pub fn metrics(
    predictions: &[InteractionPrediction],
    train_instruments: usize,
) -> InteractionMetrics {
    let answers: Vec<usize> = predictions.iter().map(InteractionPrediction::answer).collect();
    let right =
        predictions.iter().zip(&answers).filter(|(found, answer)| found.right == **answer).count();
    let one = |interaction: usize| {
        let scores: Vec<f64> = predictions.iter().map(|found| found.scores[interaction]).collect();
        let positive: Vec<bool> =
            predictions.iter().map(|found| found.right == interaction).collect();
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
        train_edges: train_instruments,
        edges: predictions.len(),
        without_region: predictions.iter().filter(|found| !found.is_seen).count(),
        accuracy: right as f64 / predictions.len().max(1) as f64,
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

    fn prediction(right: usize, answer: usize) -> InteractionPrediction {
        let mut scores = vec![0.05; INTERACTIONS.len()];
        scores[answer] = 0.4;
        InteractionPrediction { row: 0, class: 0, right, is_seen: answer == right, scores }
    }

    #[test]
    fn an_interaction_without_example_counts_zero_in_map_and_nothing_in_recall() {
        let predictions = [(0, 0), (0, 0), (5, 5), (5, 0)].map(|(a, b)| prediction(a, b));
        let found = metrics(&predictions, 7);
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
