//! A drawn scene: textured tissue, one to three instruments, the marks of what they do, and their
//! exact boxes.

use std::f32::consts::{PI, TAU};

use image::{Rgb, RgbImage};
use rand::RngExt;
use tiny_skia::Pixmap;

use super::actions::Action;
use super::instruments::{Instrument, Pose};
use crate::random::{Stream, stream};
use crate::vision::geometry::Box2;

/// For how many frames the same instruments are in the picture and move, before others come.
const SHOT_FRAMES: u32 = 3;
/// The lowest opacity of a pixel that counts for the box of an instrument.
const SOLID: u8 = 128;
/// The smallest visible area of an instrument, in pixels. With less it counts as absent.
const LEAST_VISIBLE: usize = 60;

/// The look of one of the two data sets: the colour of the tissue, and the round view of Cholec80.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surroundings {
    Robotic,
    Laparoscopic,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawnInstrument {
    pub instrument: Instrument,
    pub action: Action,
    /// The box of its visible pixels, without the mark of the action.
    pub bounds: Box2,
}

#[derive(Debug, Clone)]
pub struct DrawnScene {
    pub picture: RgbImage,
    pub instruments: Vec<DrawnInstrument>,
}

impl DrawnScene {
    pub fn box_of(&self, instrument: Instrument) -> Option<Box2> {
        self.instruments
            .iter()
            .find(|drawn| drawn.instrument == instrument)
            .map(|drawn| drawn.bounds)
    }
}

/// Draws a frame of a sequence. `sequence_name` is the seed of all draws. `picture_size` is
/// `[height, width]`.
pub fn draw(
    sequence_name: &str,
    frame: u32,
    tools: &[Instrument],
    surroundings: Surroundings,
    picture_size: [u32; 2],
) -> DrawnScene {
    let shot = frame / SHOT_FRAMES;
    let mut shot_stream = stream(&format!("{sequence_name}/shot {shot}"));
    let cast = choose_instruments(&mut shot_stream, tools);
    let start_side = shot_stream.random_range(0.0..TAU);
    let mut frame_stream = stream(&format!("{sequence_name}/frame {frame}"));
    let mut picture = draw_tissue(&mut frame_stream, surroundings, picture_size);
    let mut placed = Vec::new();
    for (index, &instrument) in cast.iter().enumerate() {
        // Instruments come from different sides, so that they seldom cover each other.
        let side = start_side
            + TAU * index as f32 / cast.len() as f32
            + frame_stream.random_range(-0.35..0.35);
        let pose = choose_pose(&mut frame_stream, side, picture_size);
        let action = Action::choose(
            &format!("{sequence_name}/frame {frame}/action {instrument:?}"),
            instrument,
        );
        placed.push((instrument, action, pose));
    }
    for &(instrument, action, pose) in &placed {
        draw_over(&mut picture, |canvas| action.draw_mark(canvas, instrument.at_work(pose)));
    }
    let mut instruments = Vec::new();
    for (instrument, action, pose) in placed {
        let canvas = draw_over(&mut picture, |canvas| instrument.draw(canvas, pose));
        if let Some(bounds) = canvas.and_then(|canvas| visible_bounds(&canvas)) {
            instruments.push(DrawnInstrument { instrument, action, bounds });
        }
    }
    finish_light(&mut frame_stream, &mut picture, surroundings);
    DrawnScene { picture, instruments }
}

fn choose_instruments(stream: &mut Stream, tools: &[Instrument]) -> Vec<Instrument> {
    let count = stream.random_range(1..=3);
    let mut left = tools.to_vec();
    (0..count).map(|_| left.swap_remove(stream.random_range(0..left.len()))).collect()
}

fn choose_pose(stream: &mut Stream, side: f32, [height, width]: [u32; 2]) -> Pose {
    let (height, width) = (height as f32, width as f32);
    let reach = stream.random_range(0.12..0.5);
    Pose {
        tip: (width * (0.5 + reach * side.cos() * 0.8), height * (0.5 + reach * side.sin() * 0.8)),
        // It points from the edge on that side towards the middle.
        angle: side + PI + stream.random_range(-0.4..0.4),
        size: height * stream.random_range(0.18..0.26),
        opening: stream.random_range(0.0..1.0),
    }
}

/// Lays a canvas over the picture and returns what was drawn on it.
fn draw_over(picture: &mut RgbImage, draw: impl FnOnce(&mut Pixmap)) -> Option<Pixmap> {
    let mut canvas = Pixmap::new(picture.width(), picture.height())?;
    draw(&mut canvas);
    for (pixel, drawn) in picture.pixels_mut().zip(canvas.pixels()) {
        // The drawn colour is already multiplied by its opacity.
        let rest = 255 - u16::from(drawn.alpha());
        for (channel, over) in [drawn.red(), drawn.green(), drawn.blue()].into_iter().enumerate() {
            pixel.0[channel] = over + (u16::from(pixel.0[channel]) * rest / 255) as u8;
        }
    }
    Some(canvas)
}

/// The exact box of the solid pixels. `None`: there are too few.
fn visible_bounds(canvas: &Pixmap) -> Option<Box2> {
    let mut bounds: Option<Box2> = None;
    let mut solid_pixels = 0;
    for (index, _) in canvas.pixels().iter().enumerate().filter(|(_, drawn)| drawn.alpha() >= SOLID)
    {
        solid_pixels += 1;
        let (x, y) =
            (index as i64 % i64::from(canvas.width()), index as i64 / i64::from(canvas.width()));
        let here = Box2::from([x, y, x + 1, y + 1]);
        bounds = Some(bounds.map_or(here, |bounds| bounds.united(&here)));
    }
    bounds.filter(|_| solid_pixels >= LEAST_VISIBLE)
}

fn draw_tissue(
    stream: &mut Stream,
    surroundings: Surroundings,
    [height, width]: [u32; 2],
) -> RgbImage {
    let base = match surroundings {
        Surroundings::Robotic => [168.0, 72.0, 66.0],
        Surroundings::Laparoscopic => [182.0, 110.0, 68.0],
    };
    let shift = stream.random_range(0.8..1.15);
    let coarse = Noise::new(stream, height as f32 / 4.0);
    let fine = Noise::new(stream, height as f32 / 18.0);
    let vessels = Noise::new(stream, height as f32 / 7.0);
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32, y as f32);
        let light = shift * (0.72 + 0.38 * coarse.at(x, y) + 0.16 * fine.at(x, y));
        let vessel = ((vessels.at(x, y) - 0.5).abs() < 0.025) as u8 as f32;
        let channel = |value: f32, vessel_weight: f32| {
            (value * light * (1.0 - vessel_weight * vessel)).clamp(0.0, 255.0) as u8
        };
        Rgb([channel(base[0], 0.25), channel(base[1], 0.5), channel(base[2], 0.45)])
    })
}

/// Makes the picture darker towards its edges, adds the round view of Cholec80, and a little noise.
fn finish_light(stream: &mut Stream, picture: &mut RgbImage, surroundings: Surroundings) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (dx, dy) = (x as f32 / width - 0.5, y as f32 / height - 0.5);
        let from_middle = (dx * dx + dy * dy).sqrt();
        let mut light = 1.0 - 0.5 * from_middle * from_middle;
        if surroundings == Surroundings::Laparoscopic && from_middle > 0.62 {
            light *= 0.15;
        }
        let noise = stream.random_range(-6.0..6.0);
        for value in &mut pixel.0 {
            *value = (f32::from(*value) * light + noise).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Smooth noise in [0, 1]: random values on a lattice, with blended values between them.
struct Noise {
    cell: f32,
    values: Vec<f32>,
}

impl Noise {
    const SIDE: usize = 64;

    fn new(stream: &mut Stream, cell: f32) -> Self {
        Noise {
            cell: cell.max(1.0),
            values: (0..Self::SIDE * Self::SIDE).map(|_| stream.random_range(0.0..1.0)).collect(),
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x / self.cell, y / self.cell);
        let (column, row) = (x as usize, y as usize);
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let (tx, ty) = (smooth(x.fract()), smooth(y.fract()));
        let value = |row: usize, column: usize| {
            self.values[(row % Self::SIDE) * Self::SIDE + column % Self::SIDE]
        };
        let upper = value(row, column) * (1.0 - tx) + value(row, column + 1) * tx;
        let lower = value(row + 1, column) * (1.0 - tx) + value(row + 1, column + 1) * tx;
        upper * (1.0 - ty) + lower * ty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_is_the_same_whenever_it_is_drawn() {
        let tools = [Instrument::Suction, Instrument::Hook, Instrument::Stapler];
        let one = draw("test/1", 4, &tools, Surroundings::Robotic, [96, 120]);
        let two = draw("test/1", 4, &tools, Surroundings::Robotic, [96, 120]);
        assert_eq!(one.picture, two.picture);
        assert_eq!(one.instruments, two.instruments);
    }

    #[test]
    fn boxes_lie_in_the_picture() {
        for frame in 0..20 {
            let scene = draw(
                "test/2",
                frame,
                &[Instrument::Suction, Instrument::SpecimenBag, Instrument::ClipApplier],
                Surroundings::Laparoscopic,
                [96, 120],
            );
            for bounds in scene.instruments.iter().map(|drawn| drawn.bounds) {
                assert!(
                    bounds.x1 >= 0
                        && bounds.y1 >= 0
                        && bounds.x2 <= 120
                        && bounds.y2 <= 96
                        && bounds.area() > 0
                );
            }
        }
    }
}
