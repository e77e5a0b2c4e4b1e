//! How well heat maps meet the ground truth, without a threshold (METHOD 7): energy in box, and the
//! pointing game.

use std::ops::Range;

use super::average_precision::mean;
use super::geometry::Box2;
use super::heat_map::HeatMap;
use crate::metrics::HeatLocalization;

/// How the heat map of a class meets its true boxes in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeatInBoxes {
    /// The share of the heat that lies in the boxes, from 0 to 1.
    pub energy: f64,
    /// Whether the hottest pixel lies in one of the boxes. Of equal pixels the first one counts.
    pub is_hit: bool,
}

/// `None` where the class has no true box. A map without any heat has no energy in the boxes and
/// hits none. `heat` has the size of the picture that the boxes count in.
pub fn heat_in_boxes(heat: &HeatMap, truth: &[Box2]) -> Option<HeatInBoxes> {
    if truth.is_empty() {
        return None;
    }
    let (mut inside, mut everywhere) = (0.0, 0.0);
    let (mut hottest, mut is_hit) = (0.0, false);
    for (&value, is_inside) in heat.values.iter().zip(pixels_inside(truth, heat.height, heat.width))
    {
        everywhere += f64::from(value);
        if is_inside {
            inside += f64::from(value);
        }
        if value > hottest {
            (hottest, is_hit) = (value, is_inside);
        }
    }
    let energy = if everywhere > 0.0 { inside / everywhere } else { 0.0 };
    Some(HeatInBoxes { energy, is_hit })
}

/// Whether each pixel lies in one of the boxes.
fn pixels_inside(boxes: &[Box2], height: usize, width: usize) -> Vec<bool> {
    let mut inside = vec![false; height * width];
    for bounds in boxes {
        for y in side(bounds.y1, bounds.y2, height) {
            inside[y * width..][side(bounds.x1, bounds.x2, width)].fill(true);
        }
    }
    inside
}

/// The pixels of a side of a box that lie in the picture. Both `first` and `last` belong to the
/// box.
fn side(first: i64, last: i64, length: usize) -> Range<usize> {
    let within = |pixel: i64| pixel.clamp(0, length as i64) as usize;
    let start = within(first);
    start..within(last.saturating_add(1)).max(start)
}

/// The means over the frames of each class, and over the classes that have frames.
pub fn heat_localization(per_class: &[Vec<HeatInBoxes>]) -> HeatLocalization {
    let of_classes = |value: fn(&HeatInBoxes) -> f64| -> Vec<Option<f64>> {
        per_class.iter().map(|frames| mean(frames.iter().map(value))).collect()
    };
    let energy_in_box_per_class = of_classes(|frame| frame.energy);
    let pointing_game_per_class = of_classes(|frame| f64::from(u8::from(frame.is_hit)));
    HeatLocalization {
        energy_in_box: mean(energy_in_box_per_class.iter().copied().flatten()),
        pointing_game: mean(pointing_game_per_class.iter().copied().flatten()),
        energy_in_box_per_class,
        pointing_game_per_class,
        frames_per_class: per_class.iter().map(Vec::len).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat() -> HeatMap {
        HeatMap { height: 2, width: 3, values: vec![0.0, 0.25, 0.0, 0.25, 0.5, 1.0] }
    }

    #[test]
    fn pixels_in_several_boxes_count_once_and_the_last_ones_belong_to_a_box() {
        let found =
            heat_in_boxes(&heat(), &[Box2::from([0, 0, 1, 1]), Box2::from([1, 0, 1, 1])]).unwrap();
        assert_eq!(found, HeatInBoxes { energy: 0.5, is_hit: false });
        let over_the_edge = heat_in_boxes(&heat(), &[Box2::from([2, 1, 3, 2])]).unwrap();
        assert_eq!(over_the_edge, HeatInBoxes { energy: 0.5, is_hit: true });
    }

    #[test]
    fn no_heat_hits_nothing_and_no_box_is_not_counted() {
        let cold = HeatMap { height: 1, width: 2, values: vec![0.0; 2] };
        assert_eq!(
            heat_in_boxes(&cold, &[Box2::from([0, 0, 1, 0])]),
            Some(HeatInBoxes { energy: 0.0, is_hit: false })
        );
        assert_eq!(heat_in_boxes(&heat(), &[]), None);
    }

    #[test]
    fn means_are_over_the_classes_that_have_frames() {
        let frame = |energy, is_hit| HeatInBoxes { energy, is_hit };
        let found = heat_localization(&[
            vec![frame(0.5, true), frame(0.0, false)],
            vec![],
            vec![frame(0.75, true)],
        ]);
        assert_eq!((found.energy_in_box, found.pointing_game), (Some(0.5), Some(0.75)));
        assert_eq!(found.pointing_game_per_class, [Some(0.5), None, Some(1.0)]);
        assert_eq!(found.frames_per_class, [2, 0, 1]);
    }
}
