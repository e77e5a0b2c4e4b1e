//! Colours and marks that the colour-blind tell apart, and the sizes that figures share.

use crate::report::drawing::{Colour, Drawing, Outline, Paint, Point, Shape, Stroke};

/// A figure as wide as a column of a paper, in pixels.
pub const COLUMN: u32 = 504;
/// As wide as the page of a paper.
pub const PAGE: u32 = 1008;
/// So many PDF points are a pixel: then a column is 3.5 inches wide, and its letters have 8 points.
pub const POINTS: f64 = 0.5;
/// So many pixels of a PNG are one of a figure: nearly 300 for each inch.
pub const PNG_SCALE: f64 = 2.0;

pub const TITLE: f64 = 17.0;
pub const TEXT: f64 = 16.0;
pub const TICKS: f64 = 15.0;

/// Okabe and Ito's colours, which the colour-blind tell apart, without black and yellow, which one
/// of the two grounds swallows.
const COLOURS: [[u8; 3]; 6] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [230, 159, 0], [204, 121, 167], [86, 180, 233]];
/// White and black of a coloured area, on whatever ground the figure lies.
const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [1; 3];
pub const INK: Paint = Paint { colour: Colour::Ink, opacity: 1.0 };
pub const FAINT_INK: Paint = Paint { colour: Colour::Ink, opacity: 0.6 };

pub fn colour(place: usize) -> [u8; 3] {
    COLOURS[place % COLOURS.len()]
}

/// The colour of an area, which has no mark: after six colours come their lighter tints.
pub fn colour_of_area(place: usize) -> [u8; 3] {
    let is_tint = place / COLOURS.len() % 2 == 1;
    colour(place).map(|channel| if is_tint { channel / 2 + 127 } else { channel })
}

/// Letters on a coloured area: white or black, whichever stands out more.
pub fn letters_on(area: [u8; 3]) -> Paint {
    let is_dark = contrast(WHITE, area) > contrast(BLACK, area);
    Paint::rgb(if is_dark { WHITE } else { BLACK })
}

/// The contrast of two colours as WCAG 2 defines it. Letters need 4.5.
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|channel| {
        let share = f64::from(channel) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[derive(Debug, Clone, Copy)]
enum Mark {
    Disc,
    Square,
    Triangle,
    Diamond,
    TurnedTriangle,
}

/// There are five marks and six colours, so thirty series differ in one of the two.
const MARKS: [Mark; 5] =
    [Mark::Disc, Mark::Square, Mark::Triangle, Mark::Diamond, Mark::TurnedTriangle];
const RADIUS: f64 = 5.0;

/// The mark of a series.
pub fn mark(drawing: &mut Drawing, place: usize, at: Point, meaning: Option<String>) {
    let outline = outline_of_mark(place, at);
    let fill = Some(Paint::rgb(colour(place)));
    drawing.shapes.push(Shape::Figure { outline, fill, stroke: None, meaning });
}

/// The same mark, hollow. A little colour in it lets a pointer find it.
pub fn hollow_mark(drawing: &mut Drawing, place: usize, at: Point, meaning: Option<String>) {
    let outline = outline_of_mark(place, at);
    let paint = Paint::rgb(colour(place));
    let fill = Some(Paint { opacity: 0.2, ..paint });
    let stroke = Some(Stroke { paint, width: 1.6, dash: None });
    drawing.shapes.push(Shape::Figure { outline, fill, stroke, meaning });
}

/// Only a pointer finds it.
pub fn unseen_mark(drawing: &mut Drawing, at: Point, meaning: String) {
    drawing.shapes.push(Shape::Figure {
        outline: Outline::Circle(at, RADIUS),
        fill: Some(Paint { opacity: 0.0, ..INK }),
        stroke: None,
        meaning: Some(meaning),
    });
}

fn outline_of_mark(place: usize, (x, y): Point) -> Outline {
    let polygon = |corners: &[Point]| {
        Outline::Polygon(corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect())
    };
    // Marks of equal radius would look unequally large.
    match MARKS[place % MARKS.len()] {
        Mark::Disc => Outline::Circle((x, y), RADIUS),
        Mark::Square => Outline::rectangle([x - 4.5, y - 4.5, x + 4.5, y + 4.5]),
        Mark::Triangle => polygon(&[(0.0, -6.0), (5.5, 4.5), (-5.5, 4.5)]),
        Mark::Diamond => polygon(&[(0.0, -6.5), (6.5, 0.0), (0.0, 6.5), (-6.5, 0.0)]),
        Mark::TurnedTriangle => polygon(&[(0.0, 6.0), (5.5, -4.5), (-5.5, -4.5)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_out_on_every_area() {
        for area in (0..2 * COLOURS.len()).map(colour_of_area) {
            let Colour::Rgb(letters) = letters_on(area).colour else {
                panic!("letters on an area do not depend on the ground of the figure");
            };
            assert!(contrast(letters, area) >= 4.5, "{letters:?} on {area:?}");
        }
    }
}
