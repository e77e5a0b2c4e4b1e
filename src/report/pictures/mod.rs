//! Pictures of frames: the heat map of a class over the frame, and beside it the boxes, predicted
//! and true.

pub mod frame_view;
mod lettering;
pub mod sheet;

use image::{Rgb, RgbImage};

use surgcam_artifacts::boxes::BoxRow;
use surgcam_artifacts::heat_maps::FrameHeat;
use surgcam_frames::dataset::index::{Frame, LabelledBox};
use surgcam_frames::dataset::labels::CLASS_COLOURS;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;

/// How many times pictures are enlarged, so that lines and dashes can be told apart.
const ENLARGED: u32 = 2;
const GAP: u32 = 8;
/// The opacity of the heat map over the picture.
const OPACITY: f32 = 0.5;
const DASH: i64 = 8;

pub struct ClassBox {
    pub class: usize,
    pub bounds: Box2,
}

/// Left: `heat` (at the picture's size) over the picture. Right: predicted boxes in full lines,
/// true ones dashed.
pub fn draw(
    picture: &RgbImage,
    heat: Option<&HeatMap>,
    predicted: &[ClassBox],
    truth: &[ClassBox],
) -> RgbImage {
    let (width, height) = (picture.width() * ENLARGED, picture.height() * ENLARGED);
    let mut canvas = RgbImage::from_pixel(2 * width + GAP, height, Rgb([255, 255, 255]));
    let overlaid = heat.map_or_else(|| picture.clone(), |heat| overlay(picture, heat));
    let enlarge = |picture: &RgbImage| {
        image::imageops::resize(picture, width, height, image::imageops::FilterType::Triangle)
    };
    image::imageops::replace(&mut canvas, &enlarge(&overlaid), 0, 0);
    let mut boxed = enlarge(picture);
    // The tissue fills the frame: drawn first, so that it hides nothing.
    for (boxes, dashed) in [(truth, true), (predicted, false)] {
        for found in boxes.iter().rev() {
            outline(
                &mut boxed,
                &found.bounds,
                CLASS_COLOURS[found.class % CLASS_COLOURS.len()],
                dashed,
            );
        }
    }
    image::imageops::replace(&mut canvas, &boxed, i64::from(width + GAP), 0);
    canvas
}

/// The boxes that were found in a row of the index.
pub fn predicted_boxes(found: &[BoxRow], row: usize) -> Vec<ClassBox> {
    let of_row = found.iter().filter(|found| found.row == row);
    of_row.map(|found| ClassBox { class: found.class, bounds: found.scored.bounds }).collect()
}

/// The true boxes of a frame, in pixels of a picture of `[height, width]`.
pub fn true_boxes(frame: &Frame, [height, width]: [u32; 2]) -> Vec<ClassBox> {
    let scaled = |labelled: &LabelledBox| ClassBox {
        class: labelled.class,
        bounds: labelled.bounds.scaled(frame.box_space, [width, height]),
    };
    frame.boxes.iter().flatten().map(scaled).collect()
}

/// The heat map of a class at the size `[height, width]`, if the class is present.
pub fn map_of_class(heat: &FrameHeat, class: usize, [height, width]: [u32; 2]) -> Option<HeatMap> {
    let position = heat.present.iter().position(|&present| present == class)?;
    heat.maps.get(position).map(|map| map.resized(height as usize, width as usize))
}

fn overlay(picture: &RgbImage, heat: &HeatMap) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let colour = jet(heat.values[y as usize * heat.width + x as usize]);
        let pixel = picture.get_pixel(x, y).0;
        Rgb(std::array::from_fn(|channel| {
            (f32::from(pixel[channel]) * (1.0 - OPACITY) + f32::from(colour[channel]) * OPACITY)
                as u8
        }))
    })
}

/// The colour map "jet": blue, cyan, yellow, red.
fn jet(value: f32) -> [u8; 3] {
    let channel =
        |middle: f32| ((1.5 - (4.0 * value - middle).abs()).clamp(0.0, 1.0) * 255.0) as u8;
    [channel(3.0), channel(2.0), channel(1.0)]
}

fn outline(picture: &mut RgbImage, bounds: &Box2, colour: [u8; 3], dashed: bool) {
    let scale = i64::from(ENLARGED);
    let corners =
        [bounds.x1 * scale, bounds.y1 * scale, bounds.x2 * scale - 1, bounds.y2 * scale - 1];
    rectangle(picture, corners, colour, dashed);
}

/// In the pixels of the picture, which both corners belong to.
fn rectangle(picture: &mut RgbImage, corners: [i64; 4], colour: [u8; 3], dashed: bool) {
    let [x1, y1, x2, y2] = corners;
    let mut dot = |x: i64, y: i64| {
        let inside =
            x >= 0 && y >= 0 && x < i64::from(picture.width()) && y < i64::from(picture.height());
        if inside && !(dashed && (x + y).rem_euclid(2 * DASH) >= DASH) {
            picture.put_pixel(x as u32, y as u32, Rgb(colour));
        }
    };
    for thickness in 0..2 {
        for x in x1..=x2 {
            dot(x, y1 + thickness);
            dot(x, y2 - thickness);
        }
        for y in y1..=y2 {
            dot(x1 + thickness, y);
            dot(x2 - thickness, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jet_goes_from_blue_to_red() {
        assert_eq!(jet(0.0), [0, 0, 127]);
        assert_eq!(jet(0.5), [127, 255, 127]);
        assert_eq!(jet(1.0), [127, 0, 0]);
    }

    #[test]
    fn boxes_at_and_beyond_the_edge_are_drawn_without_harm() {
        let picture = RgbImage::new(20, 10);
        let boxes = [
            ClassBox { class: 0, bounds: Box2::from([0, 0, 20, 10]) },
            ClassBox { class: 30, bounds: Box2::from([-5, -5, 40, 40]) },
        ];
        let drawn = draw(&picture, None, &boxes, &boxes);
        assert_eq!((drawn.width(), drawn.height()), (88, 20));
    }
}
