//! How well boxes are detected, as pycocotools judges it (METHOD 7): precision, recall, F1 and
//! average precision.
//!
//! This is COCO's evaluation with all areas and at most 100 boxes. COCO's boxes have a corner, a
//! width and a height. A side from `x1` to `x2` has `x2 - x1 + 1` pixels, as in [`Box2::iou`].

use super::average_precision::{mean, ranking};
use super::geometry::Box2;
use super::localization_metrics::FrameBoxes;
use super::regions::ScoredBox;
use crate::metrics::{Detection, DetectionMetrics};

/// How many boxes of a class are judged in a frame. These are the most confident ones.
const MOST_BOXES: usize = 100;
/// How many recalls from 0 to 1 average precision is a mean over.
const RECALLS: usize = 101;
/// How many IoUs there are from 0.5 to 0.95.
const IOUS: usize = 10;

/// The judgement of each class that the ground truth can annotate, and the mean over those that
/// have a true box.
pub fn detection(
    frames: &[FrameBoxes],
    annotated: &[usize],
    class_count: usize,
) -> DetectionMetrics {
    let of_class =
        |class: usize| annotated.contains(&class).then(|| class_detection(frames, class)).flatten();
    let per_class: Vec<Option<Detection>> = (0..class_count).map(of_class).collect();
    DetectionMetrics { mean: mean_detection(&per_class), per_class }
}

fn mean_detection(per_class: &[Option<Detection>]) -> Option<Detection> {
    let over_classes = |value: fn(&Detection) -> f64| mean(per_class.iter().flatten().map(value));
    Some(Detection {
        precision: over_classes(|detection| detection.precision)?,
        recall: over_classes(|detection| detection.recall)?,
        f1: over_classes(|detection| detection.f1)?,
        average_precision_at_50: over_classes(|detection| detection.average_precision_at_50)?,
        average_precision_50_to_95: over_classes(|detection| detection.average_precision_50_to_95)?,
    })
}

/// The judgement of one class. `None`: the class has no true box.
fn class_detection(frames: &[FrameBoxes], class: usize) -> Option<Detection> {
    let targets: usize = frames.iter().map(|frame| frame.truth[class].len()).sum();
    if targets == 0 {
        return None;
    }
    let hits = ious().map(|iou| ranked_hits(frames, class, iou));
    let average_precisions =
        hits.each_ref().map(|hits| interpolated_average_precision(hits, targets));
    let (predicted, found) = (hits[0].len(), hits[0].iter().filter(|&&is_hit| is_hit).count());
    Some(Detection {
        // Without a predicted box the precision is 0, as in scikit-learn.
        precision: found as f64 / predicted.max(1) as f64,
        recall: found as f64 / targets as f64,
        f1: 2.0 * found as f64 / (predicted + targets) as f64,
        average_precision_at_50: average_precisions[0],
        average_precision_50_to_95: average_precisions.iter().sum::<f64>() / IOUS as f64,
    })
}

/// 0.5, 0.55, and so on to 0.95, computed as numpy does it: an IoU may be equal to one of them, so
/// the last bit counts.
fn ious() -> [f64; IOUS] {
    let step = (0.95 - 0.5) / 9.0;
    std::array::from_fn(|place| if place + 1 == IOUS { 0.95 } else { place as f64 * step + 0.5 })
}

/// Whether each predicted box of all frames meets a true box. The most confident boxes come first.
fn ranked_hits(frames: &[FrameBoxes], class: usize, iou: f64) -> Vec<bool> {
    let (mut confidence, mut is_hit) = (Vec::new(), Vec::new());
    for frame in frames {
        for (scored, met) in match_detections(&frame.predicted[class], &frame.truth[class], iou)
            .into_iter()
            .take(MOST_BOXES)
        {
            confidence.push(f64::from(scored.confidence));
            is_hit.push(met);
        }
    }
    ranking(&confidence).into_iter().map(|place| is_hit[place]).collect()
}

/// Boxes with the most confident first, and whether each meets a true box. Each takes the free true
/// box that it meets best, the last of equal ones, if their IoU is at least `lowest_iou`.
pub(super) fn match_detections<'a>(
    predicted: &'a [ScoredBox],
    truth: &[Box2],
    lowest_iou: f64,
) -> Vec<(&'a ScoredBox, bool)> {
    let mut order: Vec<&ScoredBox> = predicted.iter().collect();
    order.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut is_free = vec![true; truth.len()];
    let mut matched = Vec::with_capacity(order.len());
    for scored in order {
        let free = truth.iter().enumerate().filter(|(place, _)| is_free[*place]);
        let met = free
            .map(|(place, truth)| (scored.bounds.iou(truth), place))
            .filter(|(iou, _)| *iou >= lowest_iou);
        let best = met.max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, place)) = best {
            is_free[place] = false;
        }
        matched.push((scored, best.is_some()));
    }
    matched
}

/// The mean over the recalls of the highest precision at that recall or a higher one.
fn interpolated_average_precision(hits: &[bool], targets: usize) -> f64 {
    let (mut recall, mut precision) =
        (Vec::with_capacity(hits.len()), Vec::with_capacity(hits.len()));
    let mut found = 0;
    for (place, &is_hit) in hits.iter().enumerate() {
        found += usize::from(is_hit);
        recall.push(found as f64 / targets as f64);
        precision.push(found as f64 / (place + 1) as f64);
    }
    for place in (1..precision.len()).rev() {
        precision[place - 1] = f64::max(precision[place - 1], precision[place]);
    }
    let at = |wanted: f64| {
        precision.get(recall.partition_point(|&reached| reached < wanted)).copied().unwrap_or(0.0)
    };
    // numpy has the same recalls, as multiples of 0.01.
    (0..RECALLS).map(|step| at(step as f64 * 0.01)).sum::<f64>() / RECALLS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(bounds: [i64; 4], confidence: f32) -> ScoredBox {
        ScoredBox { bounds: bounds.into(), confidence }
    }

    #[test]
    fn a_true_box_is_matched_once() {
        let predicted = [scored([0, 0, 10, 10], 0.4), scored([0, 0, 10, 10], 0.9)];
        let matched = match_detections(&predicted, &[Box2::from([0, 0, 10, 10])], 0.5);
        assert_eq!(
            matched.iter().map(|(scored, hit)| (scored.confidence, *hit)).collect::<Vec<_>>(),
            [(0.9, true), (0.4, false)]
        );
    }

    #[test]
    fn a_class_without_true_boxes_is_left_out_of_the_mean_and_one_without_predictions_is_not() {
        let exact: [i64; 4] = [0, 0, 9, 9];
        let frame = FrameBoxes {
            predicted: vec![vec![scored(exact, 0.5)], vec![scored(exact, 0.5)], vec![]],
            truth: vec![vec![exact.into()], vec![], vec![exact.into()]],
        };
        let found = detection(&[frame], &[0, 1, 2], 3);
        let [perfect, absent, missed] = found.per_class[..] else { panic!("{found:?}") };
        assert_eq!(
            (perfect.map(|found| found.f1), absent, missed.map(|found| found.precision)),
            (Some(1.0), None, Some(0.0))
        );
        assert_eq!(found.mean.map(|mean| mean.average_precision_50_to_95), Some(0.5));
    }

    #[test]
    fn a_box_that_meets_by_three_quarters_counts_up_to_that_iou() {
        let frame = FrameBoxes {
            predicted: vec![vec![scored([0, 0, 14, 9], 0.5)]],
            truth: vec![vec![Box2::from([0, 0, 19, 9])]],
        };
        let found = detection(&[frame], &[0], 1).per_class[0].unwrap();
        assert_eq!(
            (found.recall, found.average_precision_at_50, found.average_precision_50_to_95),
            (1.0, 1.0, 0.6)
        );
    }
}
