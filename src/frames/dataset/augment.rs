//! The random changes of training frames: colour jitter, a flip and a small rotation (METHOD 3).
//!
//! The draws are independent of each other and depend on seed, epoch and sample alone, so that a
//! resumed run sees the same frames as an undisturbed one. The authors reseed their three
//! transforms with one shared counter. This connects flips with a lower brightness and repeats the
//! draws in every epoch. It is a mistake and is not repeated here (docs/method.md, deviations).

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::random::stream;
use surgcam_values::{Reach, Share, Whole};

/// How far each draw may go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Factors are drawn from `[1 - x, 1 + x]`.
    pub brightness: Reach,
    pub contrast: Reach,
    pub saturation: Reach,
    /// Turns of the colour circle, drawn from `[-x, x]`.
    pub hue: Share,
    pub flip_probability: Share,
    /// Whole degrees, drawn from `[-x, x]`.
    pub rotation: Whole<0, 360>,
}

impl Augmentation {
    /// The values of the paper (METHOD 3).
    pub const PAPER: Augmentation = Augmentation {
        brightness: Reach::new(0.1),
        contrast: Reach::new(0.1),
        saturation: Reach::new(0.1),
        hue: Share::new(0.05),
        flip_probability: Share::new(0.5),
        rotation: Whole::new(5),
    };
}

/// The draws for one sample.
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
        let mut around =
            |middle: f64, reach: f64| (middle + reach * stream.random_range(-1.0..=1.0)) as f32;
        let (brightness, contrast) =
            (around(1.0, self.brightness.value()), around(1.0, self.contrast.value()));
        let (saturation, hue) =
            (around(1.0, self.saturation.value()), around(0.0, self.hue.value()));
        let degrees = i64::from(u32::from(self.rotation));
        Draw {
            brightness,
            contrast,
            saturation,
            hue,
            flip: stream.random_bool(self.flip_probability.value()),
            rotation: stream.random_range(-degrees..=degrees),
        }
    }
}

impl Draw {
    /// The changed picture. Both are `[3, H, W]` u8.
    pub fn apply(&self, planes: &[u8], height: usize, width: usize) -> Vec<u8> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.apply_with_avx2(planes, height, width) };
        }
        self.apply_anywhere(planes, height, width)
    }

    /// The same, compiled for wider registers. The operations are the same, so the numbers are,
    /// too.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn apply_with_avx2(&self, planes: &[u8], height: usize, width: usize) -> Vec<u8> {
        self.apply_anywhere(planes, height, width)
    }

    #[inline(always)]
    fn apply_anywhere(&self, planes: &[u8], height: usize, width: usize) -> Vec<u8> {
        let mut picture = planes.to_vec();
        self.jitter(&mut picture);
        if self.flip {
            picture.chunks_mut(width).for_each(<[u8]>::reverse);
        }
        if self.rotation == 0 {
            picture
        } else {
            rotate(&picture, height, width, self.rotation as f32)
        }
    }

    #[inline(always)]
    fn jitter(&self, picture: &mut [u8]) {
        picture
            .iter_mut()
            .for_each(|value| *value = blend(0.0, f32::from(*value), self.brightness));
        let (red, rest) = picture.split_at_mut(picture.len() / 3);
        let (green, blue) = rest.split_at_mut(rest.len() / 2);
        let area = red.len();
        let greys = red
            .iter()
            .zip(&*green)
            .zip(&*blue)
            .map(|((&red, &green), &blue)| u64::from(grey(red, green, blue)));
        let mean = (greys.sum::<u64>() as f32 / area as f32 + 0.5).floor();
        let turn = (6.0 * self.hue).rem_euclid(6.0);
        for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
            let pixel =
                [*red, *green, *blue].map(|value| blend(mean, f32::from(value), self.contrast));
            let own_grey = f32::from(grey(pixel[0], pixel[1], pixel[2]));
            let pixel = pixel.map(|value| blend(own_grey, f32::from(value), self.saturation));
            [*red, *green, *blue] = turn_hue(pixel, turn);
        }
    }
}

/// The number on the way from `other` to `value`, or beyond `value` if the factor is above 1.
#[inline(always)]
fn blend(other: f32, value: f32, factor: f32) -> u8 {
    byte(other + factor * (value - other))
}

#[inline(always)]
fn byte(value: f32) -> u8 {
    whole(value, 255.0) as u8
}

/// The value limited to 0 and `highest` (below 2^31) and truncated. Rust's own conversion checks
/// for NaN and for large numbers, and `f32::max` checks for NaN, and with these checks a compiler
/// cannot convert several values at once.
#[inline(always)]
fn whole(value: f32, highest: f32) -> i32 {
    // SAFETY: the value lies between 0 and `highest`, and NaN became 0.
    unsafe { lower(higher(value, 0.0), highest).to_int_unchecked() }
}

#[inline(always)]
fn higher(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn lower(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The luma of ITU-R 601-2, as Pillow computes it.
#[inline(always)]
fn grey(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16)
        as u8
}

/// Turns the hue by some sixths of the colour circle, in [0, 6). Value and saturation stay. There
/// are no branches, so that several pixels can be turned at once.
#[inline(always)]
fn turn_hue(pixel: [u8; 3], sixths: f32) -> [u8; 3] {
    let [red, green, blue] = pixel.map(f32::from);
    let high = higher(higher(red, green), blue);
    let chroma = high - lower(lower(red, green), blue);
    // A grey pixel has no hue. It is divided by 1, and the result is multiplied by its chroma, 0.
    let divisor = higher(chroma, 1.0);
    let between_others =
        if high == green { 2.0 + (blue - red) / divisor } else { 4.0 + (red - green) / divisor };
    let sixth = if high == red { (green - blue) / divisor } else { between_others };
    let hue = within_circle(sixth + sixths);
    let channel = |offset: f32| {
        let position = within_circle(offset + hue);
        let share = lower(higher(lower(position, 4.0 - position), 0.0), 1.0);
        byte(high - chroma * share + 0.5)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// Brings a hue in [-6, 12) to [0, 6).
#[inline(always)]
fn within_circle(sixths: f32) -> f32 {
    let sixths = if sixths < 0.0 { sixths + 6.0 } else { sixths };
    if sixths >= 6.0 { sixths - 6.0 } else { sixths }
}

/// Rotates counter-clockwise about the middle, by degrees, with the nearest neighbour. Pixels that
/// come from outside the picture are black.
#[inline(always)]
fn rotate(picture: &[u8], height: usize, width: usize, degrees: f32) -> Vec<u8> {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let (last_row, last_column) = (height as f32 - 1.0, width as f32 - 1.0);
    let area = height * width;
    let mut rotated = vec![0; picture.len()];
    let mut sources = vec![NOWHERE; width];
    for y in 0..height {
        let dy = y as f32 + 0.5 - middle_y;
        for (x, source) in sources.iter_mut().enumerate() {
            let dx = x as f32 + 0.5 - middle_x;
            let (source_x, source_y) =
                (cosine * dx - sine * dy + middle_x, sine * dx + cosine * dy + middle_y);
            let is_inside = source_x >= 0.0
                && source_y >= 0.0
                && source_x < width as f32
                && source_y < height as f32;
            let place = whole(source_y, last_row) * width as i32 + whole(source_x, last_column);
            *source = if is_inside { place as u32 } else { NOWHERE };
        }
        for (plane, rotated) in picture.chunks_exact(area).zip(rotated.chunks_exact_mut(area)) {
            for (pixel, &source) in rotated[y * width..][..width].iter_mut().zip(&sources) {
                *pixel = plane.get(source as usize).copied().unwrap_or(0);
            }
        }
    }
    rotated
}

/// An index beyond the end of any plane.
const NOWHERE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Draw = Draw {
        brightness: 1.0,
        contrast: 1.0,
        saturation: 1.0,
        hue: 0.0,
        flip: false,
        rotation: 0,
    };

    fn picture() -> Vec<u8> {
        (0..3 * 6 * 8).map(|i| (i * 5 % 256) as u8).collect()
    }

    #[test]
    fn a_draw_of_nothing_changes_nothing() {
        assert_eq!(NOTHING.apply(&picture(), 6, 8), picture());
    }

    #[test]
    fn wider_registers_change_no_number() {
        let (height, width) = (37, 53);
        let picture: Vec<u8> = (0..3 * height * width).map(|i| (i * 7919 % 251) as u8).collect();
        for sample in 0..50 {
            let draw = Augmentation::PAPER.draw(1, 1, sample);
            assert_eq!(
                draw.apply(&picture, height, width),
                draw.apply_anywhere(&picture, height, width)
            );
        }
    }

    #[test]
    fn flipping_twice_is_the_same_picture() {
        let flip = Draw { flip: true, ..NOTHING };
        assert_ne!(flip.apply(&picture(), 6, 8), picture());
        assert_eq!(flip.apply(&flip.apply(&picture(), 6, 8), 6, 8), picture());
    }

    #[test]
    fn a_third_of_a_turn_makes_red_green() {
        assert_eq!(turn_hue([200, 0, 0], 2.0), [0, 200, 0]);
        assert_eq!(turn_hue([90, 90, 90], 2.4), [90, 90, 90]);
    }

    #[test]
    fn a_sixth_of_a_turn_and_five_more_are_none() {
        for pixel in [[200, 30, 90], [10, 250, 11], [0, 1, 255], [77, 76, 75]] {
            assert_eq!(turn_hue(turn_hue(pixel, 1.0), 5.0), pixel);
            assert_eq!(turn_hue(pixel, 0.0), pixel);
        }
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
