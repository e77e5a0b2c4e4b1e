//! Average precision, for labels (METHOD 3) and for boxes (METHOD 7).

/// The indices of the scores, the highest score first. Equal scores keep their order.
pub(super) fn ranking(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

/// The average precision of the labels of one class, as a sum of steps like scikit-learn's. `None`:
/// no example is positive.
pub fn label_average_precision(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let total = positive.iter().filter(|&&positive| positive).count();
    if total == 0 {
        return None;
    }
    let order = ranking(scores);
    let (mut found, mut found_before, mut sum) = (0, 0, 0.0);
    for (position, &index) in order.iter().enumerate() {
        found += usize::from(positive[index]);
        // Equal scores are one step of the curve, which ends at the last of them.
        let last_of_its_score =
            order.get(position + 1).is_none_or(|&next| scores[next] != scores[index]);
        if last_of_its_score {
            let precision = found as f64 / (position + 1) as f64;
            sum += precision * (found - found_before) as f64 / total as f64;
            found_before = found;
        }
    }
    Some(sum)
}

/// The mean of some values. `None`: there is no value.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// The average precision of the boxes of one class, from the confidence of each predicted box and
/// whether it met a true box: the envelope of the precision, interpolated at 101 points (METHOD 7).
/// `None`: there is no true box.
pub fn detection_average_precision(
    confidence: &[f64],
    correct: &[bool],
    targets: usize,
) -> Option<f64> {
    if targets == 0 {
        return None;
    }
    if confidence.is_empty() {
        return Some(0.0);
    }
    let mut recall = vec![0.0];
    let mut precision = vec![1.0];
    let mut found = 0;
    for (position, index) in ranking(confidence).into_iter().enumerate() {
        found += usize::from(correct[index]);
        recall.push(found as f64 / targets as f64);
        precision.push(found as f64 / (position + 1) as f64);
    }
    recall.push(1.0);
    precision.push(0.0);
    for index in (0..precision.len() - 1).rev() {
        precision[index] = f64::max(precision[index], precision[index + 1]);
    }
    let curve = |at: f64| interpolate(&recall, &precision, at);
    // The integral by the trapezoid rule over 101 recalls.
    let area = (0..100)
        .map(|step| (curve(f64::from(step) / 100.0) + curve(f64::from(step + 1) / 100.0)) / 200.0)
        .sum();
    Some(area)
}

/// Linear interpolation in a curve whose `x` never falls. Of points with equal `x` the last one
/// counts.
fn interpolate(x: &[f64], y: &[f64], at: f64) -> f64 {
    let after = x.partition_point(|&value| value <= at);
    match (after.checked_sub(1), x.get(after)) {
        (None, _) => y[0],
        (Some(before), None) => y[before],
        (Some(before), Some(&next)) => {
            y[before] + (y[after] - y[before]) * (at - x[before]) / (next - x[before])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_ranking_has_1_and_no_positive_has_none() {
        assert_eq!(label_average_precision(&[0.9, 0.8, 0.1], &[true, true, false]), Some(1.0));
        assert_eq!(label_average_precision(&[0.9, 0.8], &[false, false]), None);
    }

    #[test]
    fn equal_scores_are_one_step() {
        assert_eq!(label_average_precision(&[0.5, 0.5], &[true, false]), Some(0.5));
        assert_eq!(label_average_precision(&[0.5, 0.5], &[false, true]), Some(0.5));
    }

    #[test]
    fn detection_without_targets_or_predictions() {
        assert_eq!(detection_average_precision(&[0.5], &[false], 0), None);
        assert_eq!(detection_average_precision(&[], &[], 3), Some(0.0));
    }
}
