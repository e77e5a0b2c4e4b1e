//! The shapes that scenes consist of: filled and stroked paths in the coordinates of an instrument.
//! A path without an area draws nothing.

use tiny_skia::{Color, FillRule, LineCap, Paint, Path, PathBuilder, Pixmap, Stroke, Transform};

fn paint(colour: Color) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour);
    paint.anti_alias = true;
    paint
}

pub fn fill(canvas: &mut Pixmap, path: Option<Path>, colour: Color, transform: Transform) {
    if let Some(path) = path {
        canvas.fill_path(&path, &paint(colour), FillRule::Winding, transform, None);
    }
}

pub fn stroke(
    canvas: &mut Pixmap,
    path: Option<Path>,
    width: f32,
    colour: Color,
    transform: Transform,
) {
    if let Some(path) = path {
        let stroke = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
        canvas.stroke_path(&path, &paint(colour), &stroke, transform, None);
    }
}

pub fn rectangle(x1: f32, y1: f32, x2: f32, y2: f32) -> Option<Path> {
    polygon(&[(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
}

pub fn circle(x: f32, y: f32, radius: f32) -> Option<Path> {
    PathBuilder::from_circle(x, y, radius)
}

pub fn polygon(points: &[(f32, f32)]) -> Option<Path> {
    let mut path = polyline_builder(points);
    path.close();
    path.finish()
}

pub fn polyline(points: &[(f32, f32)]) -> Option<Path> {
    polyline_builder(points).finish()
}

fn polyline_builder(points: &[(f32, f32)]) -> PathBuilder {
    let mut path = PathBuilder::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        if index == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    path
}
