//! The marks that actions leave on the tissue around the tip of an instrument, so that a picture
//! shows what is done.

use tiny_skia::{Color, PathBuilder, Pixmap, Transform};

use super::actions::Action;
use super::instruments::Pose;
use super::shapes::{circle, fill, polygon, polyline, rectangle, stroke};

impl Action {
    /// Draws the mark of the action on an empty canvas. The coordinates are those of the
    /// instrument, whose x axis points ahead of the tip.
    pub fn draw_mark(self, canvas: &mut Pixmap, pose: Pose) {
        let to_picture = pose.to_picture();
        match self {
            Action::Idle => {}
            Action::Grasping => grasping(canvas, to_picture),
            Action::Retraction => retraction(canvas, to_picture),
            Action::TissueManipulation => tissue_manipulation(canvas, to_picture),
            Action::ToolManipulation => tool_manipulation(canvas, to_picture),
            Action::Cutting => cutting(canvas, to_picture),
            Action::Cauterization => cauterization(canvas, to_picture),
            Action::Suction => suction(canvas, to_picture),
            Action::Looping => looping(canvas, to_picture),
            Action::Suturing => suturing(canvas, to_picture),
            Action::Clipping => clipping(canvas, to_picture),
            Action::Staple => staples(canvas, to_picture),
            Action::UltrasoundSensing => ultrasound_sensing(canvas, to_picture),
        }
    }
}

fn pale(alpha: u8) -> Color {
    Color::from_rgba8(245, 190, 175, alpha)
}

fn fold() -> Color {
    Color::from_rgba8(120, 40, 40, 200)
}

fn thread() -> Color {
    Color::from_rgba8(30, 70, 255, 255)
}

fn metal() -> Color {
    Color::from_rgba8(235, 240, 245, 255)
}

fn dark_edge() -> Color {
    Color::from_rgba8(45, 15, 15, 220)
}

/// A pale patch with folds that meet where the tissue is held.
fn grasping(canvas: &mut Pixmap, to_picture: Transform) {
    fill(canvas, circle(0.25, 0.0, 0.75), pale(120), to_picture);
    fill(canvas, circle(0.25, 0.0, 0.5), pale(200), to_picture);
    for angle in [-1.1, -0.55, 0.0, 0.55, 1.1_f32] {
        let ray = [
            (0.1 + 0.2 * angle.cos(), 0.2 * angle.sin()),
            (0.1 + 0.85 * angle.cos(), 0.85 * angle.sin()),
        ];
        stroke(canvas, polyline(&ray), 0.06, fold(), to_picture);
    }
}

/// Tissue pulled tight towards the shaft: long pale bands.
fn retraction(canvas: &mut Pixmap, to_picture: Transform) {
    let sheet = [(-0.7, -0.75), (1.4, -0.3), (1.4, 0.3), (-0.7, 0.75)];
    fill(canvas, polygon(&sheet), pale(170), to_picture);
    for side in [-1.0, -0.5, 0.0, 0.5, 1.0] {
        stroke(
            canvas,
            polyline(&[(-0.7, 0.72 * side), (1.4, 0.28 * side)]),
            0.05,
            pale(255),
            to_picture,
        );
    }
}

/// A dent: a pale rim with a shaded crescent.
fn tissue_manipulation(canvas: &mut Pixmap, to_picture: Transform) {
    fill(canvas, circle(0.25, 0.0, 0.8), pale(190), to_picture);
    fill(canvas, circle(0.12, 0.0, 0.6), Color::from_rgba8(125, 45, 45, 190), to_picture);
}

/// The clip that is moved about.
fn tool_manipulation(canvas: &mut Pixmap, to_picture: Transform) {
    for (width, colour) in [(0.3, dark_edge()), (0.18, metal())] {
        stroke(
            canvas,
            polyline(&[(0.9, -0.35), (0.35, -0.35), (0.35, 0.35), (0.9, 0.35)]),
            width,
            colour,
            to_picture,
        );
    }
}

/// A dark slit with a raw edge.
fn cutting(canvas: &mut Pixmap, to_picture: Transform) {
    for (half_width, colour) in
        [(0.32, Color::from_rgba8(235, 120, 110, 230)), (0.2, Color::from_rgba8(45, 0, 8, 255))]
    {
        let mut slit = PathBuilder::new();
        slit.move_to(-0.5, 0.0);
        slit.quad_to(0.4, 2.0 * half_width, 1.4, 0.0);
        slit.quad_to(0.4, -2.0 * half_width, -0.5, 0.0);
        fill(canvas, slit.finish(), colour, to_picture);
    }
}

/// A bright glow in a charred rim.
fn cauterization(canvas: &mut Pixmap, to_picture: Transform) {
    let glow = [
        (0.85, Color::from_rgba8(40, 22, 12, 130)),
        (0.7, Color::from_rgba8(35, 18, 10, 240)),
        (0.52, Color::from_rgba8(255, 120, 20, 255)),
        (0.38, Color::from_rgba8(255, 205, 80, 255)),
        (0.22, Color::from_rgba8(255, 255, 235, 255)),
    ];
    for (radius, colour) in glow {
        fill(canvas, circle(0.3, 0.0, radius), colour, to_picture);
    }
}

/// A pool of blood with a gleam on it.
fn suction(canvas: &mut Pixmap, to_picture: Transform) {
    let blood = Color::from_rgba8(95, 0, 8, 255);
    for (x, y, radius) in
        [(0.3, 0.0, 0.62), (0.75, 0.35, 0.38), (0.05, -0.5, 0.4), (0.65, -0.4, 0.32)]
    {
        fill(canvas, circle(x, y, radius), blood, to_picture);
    }
    stroke(
        canvas,
        polyline(&[(0.55, -0.3), (0.75, -0.1), (0.8, 0.15)]),
        0.08,
        Color::from_rgba8(230, 120, 120, 220),
        to_picture,
    );
}

/// A blue loop with crossing ends.
fn looping(canvas: &mut Pixmap, to_picture: Transform) {
    stroke(canvas, circle(0.6, 0.0, 0.5), 0.12, thread(), to_picture);
    for side in [-1.0, 1.0] {
        stroke(
            canvas,
            polyline(&[(0.25, 0.3 * side), (-0.1, -0.25 * side), (-0.4, -0.85 * side)]),
            0.12,
            thread(),
            to_picture,
        );
    }
}

/// Blue stitches across the view.
fn suturing(canvas: &mut Pixmap, to_picture: Transform) {
    let stitches = [
        (0.15, -1.1),
        (0.65, -0.8),
        (0.15, -0.5),
        (0.65, -0.2),
        (0.15, 0.1),
        (0.65, 0.4),
        (0.15, 0.7),
        (0.65, 1.0),
    ];
    stroke(canvas, polyline(&stitches), 0.12, thread(), to_picture);
}

/// Three bright clips side by side.
fn clipping(canvas: &mut Pixmap, to_picture: Transform) {
    for x in [0.15, 0.5, 0.85] {
        fill(canvas, rectangle(x - 0.14, -0.5, x + 0.14, 0.5), dark_edge(), to_picture);
        fill(canvas, rectangle(x - 0.08, -0.44, x + 0.08, 0.44), metal(), to_picture);
    }
}

/// Two rows of short strokes.
fn staples(canvas: &mut Pixmap, to_picture: Transform) {
    fill(canvas, rectangle(-0.1, -0.62, 1.5, 0.62), Color::from_rgba8(90, 25, 30, 170), to_picture);
    for row in [-0.35, 0.35] {
        for x in [0.1, 0.4, 0.7, 1.0, 1.3] {
            stroke(canvas, polyline(&[(x, row - 0.14), (x, row + 0.14)]), 0.1, metal(), to_picture);
        }
    }
}

/// Rings that spread from the probe.
fn ultrasound_sensing(canvas: &mut Pixmap, to_picture: Transform) {
    for (radius, alpha) in [(0.55, 255), (0.85, 210), (1.15, 160)] {
        stroke(
            canvas,
            circle(-0.1, 0.0, radius),
            0.1,
            Color::from_rgba8(150, 235, 255, alpha),
            to_picture,
        );
    }
}
