//! The training transform (METHOD 3): colour jitter, flip, a small rotation.
//!
//! Draws are independent and come from (seed, epoch, sample), so that a resumed run sees what an undisturbed one would have
//! seen. The authors reseed their three transforms with one shared counter, which ties a flip to a lower brightness and
//! repeats the draws every epoch; that slip is not repeated here (docs/method.md, deviations).

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::random::stream;

/// How far each draw may go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Factors are drawn from `[1 - x, 1 + x]`.
    pub brightness: f64,
    pub contrast: f64,
    pub saturation: f64,
    /// Turns of the colour circle, drawn from `[-x, x]`.
    pub hue: f64,
    pub flip_probability: f64,
    /// Whole degrees, drawn from `[-x, x]`.
    pub rotation: i64,
}

impl Augmentation {
    /// METHOD 3's.
    pub const PAPER: Augmentation =
        Augmentation { brightness: 0.1, contrast: 0.1, saturation: 0.1, hue: 0.05, flip_probability: 0.5, rotation: 5 };
}

/// One sample's draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    brightness: f32,
    contrast: f32,
    saturation: f32,
    hue: f32,
    flip: bool,
    rotation: i64,
}

impl Augmentation {
    pub fn draw(&self, seed: u64, epoch: usize, sample: usize) -> Draw {
        let mut stream = stream(&format!("augment/{seed}/{epoch}/{sample}"));
        let mut around = |middle: f64, reach: f64| (middle + reach * stream.random_range(-1.0..=1.0)) as f32;
        let (brightness, contrast) = (around(1.0, self.brightness), around(1.0, self.contrast));
        let (saturation, hue) = (around(1.0, self.saturation), around(0.0, self.hue));
        Draw {
            brightness,
            contrast,
            saturation,
            hue,
            flip: stream.random_bool(self.flip_probability),
            rotation: stream.random_range(-self.rotation..=self.rotation),
        }
    }
}

impl Draw {
    /// `[3, H, W]` u8 to the same, changed.
    pub fn apply(&self, planes: &[u8], height: usize, width: usize) -> Vec<u8> {
        let mut picture = planes.to_vec();
        self.jitter(&mut picture, height * width);
        if self.flip {
            picture.chunks_mut(width).for_each(<[u8]>::reverse);
        }
        if self.rotation == 0 { picture } else { rotate(&picture, height, width, self.rotation as f32) }
    }

    fn jitter(&self, picture: &mut [u8], area: usize) {
        let (red, rest) = picture.split_at_mut(area);
        let (green, blue) = rest.split_at_mut(area);
        for value in red.iter_mut().chain(green.iter_mut()).chain(blue.iter_mut()) {
            *value = blend(0.0, f32::from(*value), self.brightness);
        }
        let grey_sum: u64 = (0..area).map(|i| u64::from(grey(red[i], green[i], blue[i]))).sum();
        let mean = (grey_sum as f32 / area as f32 + 0.5).floor();
        for i in 0..area {
            let pixel = [red[i], green[i], blue[i]].map(|value| blend(mean, f32::from(value), self.contrast));
            let own_grey = f32::from(grey(pixel[0], pixel[1], pixel[2]));
            let pixel = pixel.map(|value| blend(own_grey, f32::from(value), self.saturation));
            [red[i], green[i], blue[i]] = turn_hue(pixel, self.hue);
        }
    }
}

/// From `other` towards `value`, and beyond for factors above 1.
fn blend(other: f32, value: f32, factor: f32) -> u8 {
    (other + factor * (value - other)).clamp(0.0, 255.0) as u8
}

/// ITU-R 601-2 luma, as Pillow's.
fn grey(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// Turns the hue by a part of the colour circle; value and saturation stay.
fn turn_hue(pixel: [u8; 3], turn: f32) -> [u8; 3] {
    let [red, green, blue] = pixel.map(f32::from);
    let high = red.max(green).max(blue);
    let low = red.min(green).min(blue);
    let chroma = high - low;
    if chroma == 0.0 {
        return pixel;
    }
    let sixth = if high == red {
        (green - blue) / chroma
    } else if high == green {
        2.0 + (blue - red) / chroma
    } else {
        4.0 + (red - green) / chroma
    };
    let hue = (sixth + 6.0 * turn).rem_euclid(6.0);
    let channel = |offset: f32| {
        let position = (offset + hue).rem_euclid(6.0);
        let share = position.min(4.0 - position).clamp(0.0, 1.0);
        (high - chroma * share).round() as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// By degrees counter-clockwise about the middle; nearest neighbour, black where nothing was.
fn rotate(picture: &[u8], height: usize, width: usize, degrees: f32) -> Vec<u8> {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let area = height * width;
    let mut rotated = vec![0; picture.len()];
    for y in 0..height {
        for x in 0..width {
            let (dx, dy) = (x as f32 + 0.5 - middle_x, y as f32 + 0.5 - middle_y);
            let source_x = (cosine * dx - sine * dy + middle_x).floor();
            let source_y = (sine * dx + cosine * dy + middle_y).floor();
            if source_x < 0.0 || source_y < 0.0 || source_x >= width as f32 || source_y >= height as f32 {
                continue;
            }
            let source = source_y as usize * width + source_x as usize;
            for channel in 0..3 {
                rotated[channel * area + y * width + x] = picture[channel * area + source];
            }
        }
    }
    rotated
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Draw = Draw { brightness: 1.0, contrast: 1.0, saturation: 1.0, hue: 0.0, flip: false, rotation: 0 };

    fn picture() -> Vec<u8> {
        (0..3 * 6 * 8).map(|i| (i * 5 % 256) as u8).collect()
    }

    #[test]
    fn a_draw_of_nothing_changes_nothing() {
        assert_eq!(NOTHING.apply(&picture(), 6, 8), picture());
    }

    #[test]
    fn flipping_twice_is_the_same_picture() {
        let flip = Draw { flip: true, ..NOTHING };
        assert_ne!(flip.apply(&picture(), 6, 8), picture());
        assert_eq!(flip.apply(&flip.apply(&picture(), 6, 8), 6, 8), picture());
    }

    #[test]
    fn a_third_of_a_turn_makes_red_green() {
        assert_eq!(turn_hue([200, 0, 0], 1.0 / 3.0), [0, 200, 0]);
        assert_eq!(turn_hue([90, 90, 90], 0.4), [90, 90, 90]);
    }

    #[test]
    fn rotation_leaves_black_corners_and_the_middle() {
        let white = vec![255; 3 * 100 * 100];
        let rotated = Draw { rotation: 5, ..NOTHING }.apply(&white, 100, 100);
        assert_eq!(rotated[0], 0);
        assert_eq!(rotated[50 * 100 + 50], 255);
    }

    #[test]
    fn draws_depend_on_epoch_and_sample_alone() {
        let paper = Augmentation::PAPER;
        assert_eq!(paper.draw(42, 3, 7), paper.draw(42, 3, 7));
        assert_ne!(paper.draw(42, 3, 7), paper.draw(42, 4, 7));
    }
}
