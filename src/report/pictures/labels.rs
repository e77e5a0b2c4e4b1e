//! Names beside boxes, where they cover no other name as long as there is room.

use super::name_tags::Tag;
use crate::report::drawing::Drawing;
use surgcam_engine::error::Result;

type Area = [f64; 4];

/// What lies below a name is seen a little.
const OPACITY: f64 = 0.85;

pub struct Labels {
    frame: Area,
    size: f64,
    taken: Vec<Area>,
}

impl Labels {
    /// Inside the area `frame`.
    pub fn in_frame(frame: Area, size: f64) -> Self {
        Labels { frame, size, taken: Vec::new() }
    }

    /// Writes a name on a ground of its box's colour.
    pub fn add(
        &mut self,
        drawing: &mut Drawing,
        name: &str,
        colour: [u8; 3],
        found: Area,
    ) -> Result<()> {
        if name.is_empty() {
            return Ok(());
        }
        let tag = Tag::of(name, self.size, self.frame[2] - self.frame[0] - 2.0)?;
        let area = self.free_place(found, tag.width, tag.height());
        self.taken.push(area);
        tag.draw(drawing, (area[0], area[1]), colour, OPACITY);
        Ok(())
    }

    /// Above the box, below it, or inside it: the first place that is inside the frame and free.
    fn free_place(&self, [left, top, right, bottom]: Area, width: f64, height: f64) -> Area {
        let [frame_left, frame_top, frame_right, frame_bottom] = self.frame;
        let at = |x: f64, y: f64| {
            let x = x.min(frame_right - width).max(frame_left);
            let y = y.min(frame_bottom - height).max(frame_top);
            [x, y, x + width, y + height]
        };
        let candidates = [
            (left, top - height),
            (left, bottom),
            (left, top),
            (right - width, top),
            (left, bottom - height),
            (right - width, bottom - height),
            (left, (top + bottom - height) / 2.0),
        ];
        let is_free = |area: &Area| self.taken.iter().all(|other| !overlap(area, other));
        let mut areas = candidates.iter().map(|&(x, y)| at(x, y));
        areas.find(is_free).unwrap_or_else(|| at(left, top - height))
    }
}

fn overlap(one: &Area, other: &Area) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_equal_boxes_lie_apart_and_inside_the_frame() {
        let mut drawing = Drawing::new(200, 100, "").unwrap();
        let mut labels = Labels::in_frame([0.0, 0.0, 200.0, 100.0], 12.0);
        for _ in 0..4 {
            labels.add(&mut drawing, "grasper 0.91", [255; 3], [0.0, 0.0, 200.0, 100.0]).unwrap();
        }
        let taken = &labels.taken;
        for (place, one) in taken.iter().enumerate() {
            assert!(taken[..place].iter().all(|other| !overlap(one, other)), "{taken:?}");
            assert!(one[0] >= 0.0 && one[1] >= 0.0 && one[2] <= 200.0 && one[3] <= 100.0);
        }
    }
}
