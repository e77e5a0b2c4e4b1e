//! Axis-aligned boxes in pixels.

use serde::{Deserialize, Serialize};

/// A box `[x1, y1, x2, y2]` in pixels. When a picture is cut out, `x2` and `y2` are the first
/// column and row outside.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(from = "[i64; 4]", into = "[i64; 4]")]
pub struct Box2 {
    // The order of the fields sorts boxes as the exports have them: by y1, x1, y2, x2.
    pub y1: i64,
    pub x1: i64,
    pub y2: i64,
    pub x2: i64,
}

impl From<[i64; 4]> for Box2 {
    fn from([x1, y1, x2, y2]: [i64; 4]) -> Self {
        Box2 { y1, x1, y2, x2 }
    }
}

impl From<Box2> for [i64; 4] {
    fn from(b: Box2) -> Self {
        [b.x1, b.y1, b.x2, b.y2]
    }
}

impl Box2 {
    pub fn width(&self) -> i64 {
        self.x2 - self.x1
    }

    pub fn height(&self) -> i64 {
        self.y2 - self.y1
    }

    /// `width * height` in square pixels.
    pub fn area(&self) -> i64 {
        self.width() * self.height()
    }

    /// The smallest box around two boxes.
    pub fn united(&self, other: &Box2) -> Box2 {
        Box2 {
            y1: self.y1.min(other.y1),
            x1: self.x1.min(other.x1),
            y2: self.y2.max(other.y2),
            x2: self.x2.max(other.x2),
        }
    }

    /// Intersection over union. The pixels of both corners count, so a side has `x2 - x1 + 1`
    /// pixels (METHOD 7).
    pub fn iou(&self, other: &Box2) -> f64 {
        let side = |low: i64, high: i64| (high - low + 1).max(0);
        let area = |b: &Box2| side(b.x1, b.x2) * side(b.y1, b.y2);
        let intersection = side(self.x1.max(other.x1), self.x2.min(other.x2))
            * side(self.y1.max(other.y1), self.y2.min(other.y2));
        let union = area(self) + area(other) - intersection;
        intersection as f64 / union as f64
    }

    /// The part of the box inside a picture of `[width, height]`. It has no width or no height if
    /// the box lies outside.
    pub fn inside(&self, [width, height]: [u32; 2]) -> Box2 {
        let (width, height) = (i64::from(width), i64::from(height));
        Box2 {
            y1: self.y1.clamp(0, height),
            x1: self.x1.clamp(0, width),
            y2: self.y2.clamp(0, height),
            x2: self.x2.clamp(0, width),
        }
    }

    /// The box scaled from one picture size to another and truncated to whole pixels (METHOD 2).
    /// Sizes are `[width, height]`.
    pub fn scaled(&self, from: [u32; 2], to: [u32; 2]) -> Box2 {
        let scale = |value: i64, axis: usize| {
            (value as f64 * f64::from(to[axis]) / f64::from(from[axis])) as i64
        };
        Box2 {
            y1: scale(self.y1, 1),
            x1: scale(self.x1, 0),
            y2: scale(self.y2, 1),
            x2: scale(self.x2, 0),
        }
    }

    /// The text `x1,y1,x2,y2`, which is part of the names of exported files.
    pub fn file_name_part(&self) -> String {
        format!("{},{},{},{}", self.x1, self.y1, self.x2, self.y2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = Box2> {
        (0i64..300, 0i64..200, 0i64..100, 0i64..100)
            .prop_map(|(x, y, w, h)| Box2::from([x, y, x + w, y + h]))
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_between_0_and_1(a in any_box(), b in any_box()) {
            let iou = a.iou(&b);
            prop_assert!((0.0..=1.0).contains(&iou));
            prop_assert_eq!(iou, b.iou(&a));
            prop_assert_eq!(a.iou(&a), 1.0);
        }

        #[test]
        fn a_union_holds_both(a in any_box(), b in any_box()) {
            let united = a.united(&b);
            prop_assert_eq!(united.united(&a), united);
            prop_assert_eq!(united.united(&b), united);
        }
    }

    #[test]
    fn boxes_sort_by_row_then_column() {
        let mut boxes =
            [Box2::from([5, 0, 9, 9]), Box2::from([0, 1, 9, 9]), Box2::from([0, 0, 9, 9])];
        boxes.sort();
        assert_eq!(boxes.map(<[i64; 4]>::from), [[0, 0, 9, 9], [5, 0, 9, 9], [0, 1, 9, 9]]);
    }

    #[test]
    fn an_absent_box_meets_another_absent_box_fully() {
        assert_eq!(Box2::default().iou(&Box2::default()), 1.0);
    }
}
