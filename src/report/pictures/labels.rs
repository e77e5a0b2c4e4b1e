//! Names beside boxes, where they cover no other name as long as there is room.

use crate::report::drawing::{
    Anchor, Colour, Drawing, Label, Outline, Paint, text_width, without_excess,
};
use surgcam_engine::error::Result;
use surgcam_engine::escape;

type Area = [f64; 4];

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
        let room = self.frame[2] - self.frame[0] - 8.0;
        let name = without_excess(&escape::line(name), self.size, room)?;
        let (width, height) = (text_width(&name, self.size)? + 6.0, self.size * 1.3);
        let area = self.free_place(found, width, height);
        self.taken.push(area);
        drawing.fill(Outline::rectangle(area), Paint { opacity: 0.85, ..Paint::rgb(colour) });
        drawing.label(Label {
            text: name,
            at: (area[0] + 3.0, area[3] - self.size * 0.32),
            size: self.size,
            paint: Paint::full(Colour::Rgb(readable_on(colour))),
            anchor: Anchor::Start,
            is_upright: false,
        });
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

/// Black or white, whichever stands out more.
fn readable_on([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let brightness = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
    if brightness > 140.0 { [1; 3] } else { [255; 3] }
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
