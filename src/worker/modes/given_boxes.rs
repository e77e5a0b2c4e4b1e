//! What the modes share whose boxes come with the frame: the yardstick of annotated boxes and the
//! boxes of a detector.

use std::sync::Arc;

use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::regions::used_regions;

use crate::regions::{FoundRegions, FrameSpace, Region};

/// A frame's regions, class by class. `boxes_of_class` gives the boxes of a class, in pixels of the
/// frame and each with its score. They may lie over the frame's edge, where they are cut.
pub(super) fn regions(
    space: FrameSpace,
    boxes_of_class: impl Fn(usize) -> Vec<(Box2, f32)>,
) -> Arc<FoundRegions> {
    let of_class = |class| regions_of_class(boxes_of_class(class), class, space);
    let regions = (0..space.classes).flat_map(of_class).collect();
    Arc::new(FoundRegions { regions, empty_classes: 0 })
}

/// In the order of all regions. Where boxes become one, the best score counts.
fn regions_of_class(boxes: Vec<(Box2, f32)>, class: usize, space: FrameSpace) -> Vec<Region> {
    let [height, width] = space.image_size;
    let mut found: Vec<(Box2, f32)> = boxes
        .into_iter()
        .map(|(bounds, score)| (bounds.inside([width, height]), score))
        .filter(|(bounds, _)| bounds.width() > 0 && bounds.height() > 0)
        .collect();
    found.sort_by_key(|(bounds, _)| *bounds);
    let (boxes, scores): (Vec<Box2>, Vec<f32>) = found.into_iter().unzip();
    let used = used_regions(&boxes, class + 1 == space.classes);
    let best = scores.iter().copied().fold(0.0, f32::max);
    let score = |index: usize| if used.len() == scores.len() { scores[index] } else { best };
    used.iter()
        .enumerate()
        .map(|(index, &bounds)| Region { class, index, bounds, confidence: score(index) })
        .collect()
}
