//! The drawn instruments: a shaft from the edge of the picture, and a tip with the shape and colour
//! of its class.

use tiny_skia::{Color, PathBuilder, Pixmap, Transform};

use super::shapes::{circle, fill, polygon, polyline, rectangle, stroke};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instrument {
    BipolarForceps,
    PrograspForceps,
    LargeNeedleDriver,
    MonopolarCurvedScissors,
    UltrasoundProbe,
    Suction,
    ClipApplier,
    Stapler,
    Hook,
    SpecimenBag,
}

/// Where an instrument is: its tip, the direction it points to, and its size.
#[derive(Debug, Clone, Copy)]
pub struct Pose {
    pub tip: (f32, f32),
    /// The direction in radians. The shaft lies behind the tip.
    pub angle: f32,
    /// The length of the tip in pixels. All other lengths are in proportion to it.
    pub size: f32,
    /// How far jaws are open, from 0 to 1.
    pub opening: f32,
}

impl Pose {
    /// The transform from the coordinates of the instrument to those of the picture. One unit is
    /// the length of the tip. The tip ends at 0, and the shaft begins at -1 and goes back from
    /// there.
    pub fn to_picture(self) -> Transform {
        Transform::from_translate(self.tip.0, self.tip.1)
            .pre_concat(Transform::from_rotate(self.angle.to_degrees()))
            .pre_scale(self.size, self.size)
    }
}

impl Instrument {
    /// Where the instrument works on the tissue. This is at its tip, except for a bag, which covers
    /// it.
    pub fn at_work(self, pose: Pose) -> Pose {
        let ahead = if self == Instrument::SpecimenBag { 0.75 * pose.size } else { 0.0 };
        Pose {
            tip: (pose.tip.0 + ahead * pose.angle.cos(), pose.tip.1 + ahead * pose.angle.sin()),
            ..pose
        }
    }

    /// The name of its class in the label spaces.
    pub fn class(self) -> &'static str {
        match self {
            Instrument::BipolarForceps => "bipolar forceps",
            Instrument::PrograspForceps => "prograsp forceps",
            Instrument::LargeNeedleDriver => "large needle driver",
            Instrument::MonopolarCurvedScissors => "monopolar curved scissors",
            Instrument::UltrasoundProbe => "ultrasound probe",
            Instrument::Suction => "suction",
            Instrument::ClipApplier => "clip applier",
            Instrument::Stapler => "stapler",
            Instrument::Hook => "hook",
            Instrument::SpecimenBag => "specimen bag",
        }
    }

    fn tip_colour(self) -> Color {
        let [r, g, b] = match self {
            Instrument::BipolarForceps => [25, 25, 35],
            Instrument::PrograspForceps => [60, 90, 220],
            Instrument::LargeNeedleDriver => [70, 200, 90],
            Instrument::MonopolarCurvedScissors => [240, 240, 235],
            Instrument::UltrasoundProbe => [235, 220, 60],
            Instrument::Suction => [160, 60, 200],
            Instrument::ClipApplier => [70, 215, 225],
            Instrument::Stapler => [40, 110, 85],
            Instrument::Hook => [110, 75, 45],
            Instrument::SpecimenBag => [250, 150, 190],
        };
        Color::from_rgba8(r, g, b, 255)
    }

    /// Draws the instrument on an empty canvas.
    pub fn draw(self, canvas: &mut Pixmap, pose: Pose) {
        let to_picture = pose.to_picture();
        let metal = Color::from_rgba8(120, 124, 130, 255);
        let shine = Color::from_rgba8(185, 190, 195, 255);
        let tip = self.tip_colour();
        fill(canvas, rectangle(-30.0, -0.24, -0.95, 0.24), metal, to_picture);
        fill(canvas, rectangle(-30.0, -0.14, -0.95, -0.04), shine, to_picture);
        fill(canvas, rectangle(-1.9, -0.26, -1.35, 0.26), tip, to_picture);
        self.draw_tip(canvas, pose.opening, tip, to_picture);
    }

    fn draw_tip(self, canvas: &mut Pixmap, opening: f32, colour: Color, to_picture: Transform) {
        let spread = 0.12 + 0.3 * opening;
        match self {
            Instrument::BipolarForceps => {
                for side in [-1.0, 1.0] {
                    stroke(
                        canvas,
                        polyline(&[
                            (-1.0, 0.1 * side),
                            (-0.5, spread * side),
                            (0.0, 0.6 * spread * side),
                        ]),
                        0.24,
                        colour,
                        to_picture,
                    );
                }
            }
            Instrument::PrograspForceps => {
                for side in [-1.0, 1.0] {
                    let jaw = [
                        (-1.0, 0.0),
                        (-0.6, (spread + 0.18) * side),
                        (0.0, spread * side),
                        (-0.1, (spread - 0.12) * side),
                        (-0.7, 0.02 * side),
                    ];
                    fill(canvas, polygon(&jaw), colour, to_picture);
                }
            }
            Instrument::LargeNeedleDriver => {
                for side in [-1.0, 1.0] {
                    let jaw = [
                        (-1.0, 0.05 * side),
                        (-1.0, 0.32 * side),
                        (-0.05, (0.5 * spread + 0.1) * side),
                        (0.0, 0.35 * spread * side),
                    ];
                    fill(canvas, polygon(&jaw), colour, to_picture);
                }
                fill(
                    canvas,
                    circle(-0.75, 0.0, 0.14),
                    Color::from_rgba8(30, 40, 30, 255),
                    to_picture,
                );
            }
            Instrument::MonopolarCurvedScissors => {
                for side in [-1.0, 1.0] {
                    let mut path = PathBuilder::new();
                    path.move_to(-1.0, 0.0);
                    path.quad_to(-0.5, (spread + 0.35) * side, 0.0, spread * side - 0.15);
                    path.quad_to(-0.5, spread * side, -1.0, 0.0);
                    fill(canvas, path.finish(), colour, to_picture);
                }
                fill(
                    canvas,
                    circle(-0.95, 0.0, 0.16),
                    Color::from_rgba8(50, 50, 60, 255),
                    to_picture,
                );
            }
            Instrument::UltrasoundProbe => {
                fill(canvas, rectangle(-1.0, -0.34, -0.15, 0.34), colour, to_picture);
                fill(canvas, circle(-0.2, 0.0, 0.34), colour, to_picture);
                fill(
                    canvas,
                    rectangle(-0.8, -0.1, -0.2, 0.1),
                    Color::from_rgba8(80, 70, 20, 255),
                    to_picture,
                );
            }
            Instrument::Suction => {
                fill(canvas, rectangle(-1.0, -0.18, 0.0, 0.18), colour, to_picture);
                for x in [-0.75, -0.5, -0.25] {
                    fill(
                        canvas,
                        circle(x, 0.0, 0.08),
                        Color::from_rgba8(20, 10, 25, 255),
                        to_picture,
                    );
                }
            }
            Instrument::ClipApplier => {
                for side in [-1.0, 1.0] {
                    stroke(
                        canvas,
                        polyline(&[
                            (-1.0, 0.0),
                            (-0.8, 0.42 * side),
                            (-0.15, 0.42 * side),
                            (0.0, 0.2 * side),
                        ]),
                        0.14,
                        colour,
                        to_picture,
                    );
                }
            }
            Instrument::Stapler => {
                fill(canvas, rectangle(-1.3, -0.46, 0.0, -0.08), colour, to_picture);
                fill(canvas, rectangle(-1.3, 0.08, 0.0, 0.46), colour, to_picture);
                for x in [-1.1, -0.8, -0.5, -0.2] {
                    fill(
                        canvas,
                        rectangle(x, -0.36, x + 0.1, -0.18),
                        Color::from_rgba8(200, 205, 205, 255),
                        to_picture,
                    );
                }
            }
            Instrument::Hook => {
                stroke(
                    canvas,
                    polyline(&[(-1.0, 0.0), (-0.2, 0.0), (-0.05, 0.2), (-0.1, 0.55), (-0.35, 0.6)]),
                    0.18,
                    colour,
                    to_picture,
                );
            }
            Instrument::SpecimenBag => {
                let bag = [
                    (-1.0, 0.1),
                    (-0.6, 0.75),
                    (0.2, 0.85),
                    (0.6, 0.3),
                    (0.5, -0.5),
                    (-0.1, -0.85),
                    (-0.8, -0.6),
                ];
                fill(canvas, polygon(&bag), colour, to_picture);
                stroke(
                    canvas,
                    polyline(&[(-0.8, -0.55), (-0.3, 0.1), (0.5, 0.2)]),
                    0.06,
                    Color::from_rgba8(190, 90, 130, 255),
                    to_picture,
                );
            }
        }
    }
}
