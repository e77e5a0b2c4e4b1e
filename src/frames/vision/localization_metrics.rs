//! How well boxes meet the ground truth: IoU, detection AP, and the control with the ground truth
//! of another frame (METHOD 7).

use super::average_precision::{detection_average_precision, mean};
use super::detection::{detection, match_detections};
use super::geometry::Box2;
use super::regions::{ScoredBox, used_regions};
use crate::metrics::Localization;

/// The lowest IoU at which a predicted box counts as correct.
const DETECTION_IOU: f64 = 0.5;

/// The predicted and the true boxes of one frame, each by class index.
#[derive(Debug, Clone, Default)]
pub struct FrameBoxes {
    pub predicted: Vec<Vec<ScoredBox>>,
    pub truth: Vec<Vec<Box2>>,
}

/// Which classes are scored, and which of them is the tissue.
#[derive(Debug, Clone)]
pub struct ScoredClasses {
    /// The indices of the classes that the ground truth can annotate.
    pub annotated: Vec<usize>,
    pub tissue: usize,
}

/// The IoU of each class in one frame, by class index. `None`: the class is not counted.
pub fn frame_ious(frame: &FrameBoxes, classes: &ScoredClasses) -> Vec<Option<f64>> {
    let mut ious = vec![None; frame.truth.len()];
    for &class in &classes.annotated {
        let is_tissue = class == classes.tissue;
        let predicted: Vec<Box2> =
            frame.predicted[class].iter().map(|scored| scored.bounds).collect();
        let predicted = used_regions(&predicted, is_tissue);
        let truth = used_regions(&frame.truth[class], is_tissue);
        ious[class] = match (predicted.as_slice(), truth.as_slice()) {
            ([], []) if !is_tissue => None,
            ([], truth) => Some(if is_tissue { best_iou(&Box2::default(), truth) } else { 0.0 }),
            (predicted, truth) => mean(predicted.iter().map(|bounds| best_iou(bounds, truth))),
        };
    }
    ious
}

/// The IoU with the true box that gives the highest one. Without a true box it is that with (0, 0,
/// 0, 0).
fn best_iou(bounds: &Box2, truth: &[Box2]) -> f64 {
    truth
        .iter()
        .map(|truth| bounds.iou(truth))
        .reduce(f64::max)
        .unwrap_or_else(|| bounds.iou(&Box2::default()))
}

pub fn score(frames: &[FrameBoxes], classes: &ScoredClasses, class_count: usize) -> Localization {
    let mut ious: Vec<Vec<f64>> = vec![Vec::new(); class_count];
    for frame in frames {
        for (class, iou) in frame_ious(frame, classes).into_iter().enumerate() {
            ious[class].extend(iou);
        }
    }
    let of_instruments = |class: &usize| *class != classes.tissue;
    let ap_per_class: Vec<Option<f64>> = (0..class_count)
        .map(|class| {
            classes.annotated.contains(&class).then(|| class_detection_ap(frames, class)).flatten()
        })
        .collect();
    Localization {
        mean_iou: mean(ious.iter().flatten().copied()),
        mean_iou_without_tissue: mean(
            (0..class_count).filter(of_instruments).flat_map(|class| ious[class].clone()),
        ),
        iou_per_class: ious.iter().map(|ious| mean(ious.iter().copied())).collect(),
        detection_map: mean(ap_per_class.iter().copied().flatten()),
        ap_per_class,
        detection: detection(frames, &classes.annotated, class_count),
    }
}

fn class_detection_ap(frames: &[FrameBoxes], class: usize) -> Option<f64> {
    let mut confidence = Vec::new();
    let mut correct = Vec::new();
    for frame in frames {
        for (scored, is_correct) in
            match_detections(&frame.predicted[class], &frame.truth[class], DETECTION_IOU)
        {
            confidence.push(f64::from(scored.confidence));
            correct.push(is_correct);
        }
    }
    let targets = frames.iter().map(|frame| frame.truth[class].len()).sum();
    detection_average_precision(&confidence, &correct, targets)
}

/// The control: the boxes of each frame with the ground truth of the frame that is half of all
/// frames away.
pub fn against_other_frames(frames: &[FrameBoxes]) -> Vec<FrameBoxes> {
    let with_other_truth = |(place, frame): (usize, &FrameBoxes)| FrameBoxes {
        predicted: frame.predicted.clone(),
        truth: frames[other_frame(place, frames.len())].truth.clone(),
    };
    frames.iter().enumerate().map(with_other_truth).collect()
}

/// The place of the frame whose ground truth the control takes for the frame at `place`, of `count`
/// frames.
pub fn other_frame(place: usize, count: usize) -> usize {
    (place + count / 2) % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(bounds: [i64; 4], confidence: f32) -> ScoredBox {
        ScoredBox { bounds: bounds.into(), confidence }
    }

    fn classes() -> ScoredClasses {
        ScoredClasses { annotated: vec![0, 1], tissue: 1 }
    }

    #[test]
    fn a_tool_on_neither_side_is_not_counted_and_the_tissue_always_is() {
        let frame = FrameBoxes { predicted: vec![vec![]; 2], truth: vec![vec![]; 2] };
        assert_eq!(frame_ious(&frame, &classes()), [None, Some(1.0)]);
    }

    #[test]
    fn a_box_without_truth_and_truth_without_a_box_count_as_misses() {
        let truth = vec![vec![Box2::from([10, 10, 20, 20])], vec![]];
        let only_truth = FrameBoxes { predicted: vec![vec![]; 2], truth };
        assert_eq!(frame_ious(&only_truth, &classes())[0], Some(0.0));
        let predicted = vec![vec![scored([10, 10, 20, 20], 0.5)], vec![]];
        let only_predicted = FrameBoxes { predicted, truth: vec![vec![]; 2] };
        assert_eq!(frame_ious(&only_predicted, &classes())[0], Some(0.0));
    }

    #[test]
    fn the_control_takes_the_truth_from_half_way_round() {
        let frame = |x: i64| FrameBoxes {
            predicted: vec![vec![scored([x, 0, x + 9, 9], 1.0)]],
            truth: vec![vec![Box2::from([x, 0, x + 9, 9])]],
        };
        let frames: Vec<FrameBoxes> = [0, 20, 40, 60].map(frame).into();
        let control = against_other_frames(&frames);
        assert_eq!(control[0].truth[0][0].x1, 40);
        assert_eq!(control[3].truth[0][0].x1, 20);
    }
}
