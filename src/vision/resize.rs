//! Pillow's `resize((width, height), BILINEAR)`, to the last bit.
//!
//! A convolution with a triangle whose support grows when shrinking (antialias), first along rows, then along columns, each
//! with weights in 22-bit fixed point and a result rounded to u8. The libraries that come close use 16-bit weights or do not
//! round between the passes, and differ in too many values for features to agree (docs/method.md, section 2).

use image::RgbImage;

/// Pillow's: 8 bits for the result and 2 to spare in an i32.
const PRECISION_BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// What one output pixel takes of the input pixels from `start` on.
struct Taps {
    start: usize,
    weights: Vec<i32>,
}

fn taps(from: u32, to: u32) -> Vec<Taps> {
    let scale = f64::from(from) / f64::from(to);
    let support = scale.max(1.0);
    (0..to)
        .map(|target| {
            let center = (f64::from(target) + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from as usize);
            let triangle = |pixel: usize| (1.0 - ((pixel as f64 - center + 0.5) / support).abs()).max(0.0);
            let total: f64 = (start..end).map(triangle).sum();
            let fixed = |weight: f64| (weight / total * f64::from(1u32 << PRECISION_BITS) + 0.5) as i32;
            Taps { start, weights: (start..end).map(|pixel| fixed(triangle(pixel))).collect() }
        })
        .collect()
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// To `height` x `width` pixels, both above 0.
pub fn resize(picture: &RgbImage, height: u32, width: u32) -> RgbImage {
    let narrowed = resize_rows(picture.as_raw(), picture.width(), width);
    let resized = resize_columns(&narrowed, picture.height(), height, 3 * width as usize);
    RgbImage::from_raw(width, height, resized).unwrap_or_else(|| unreachable!("a buffer of the picture's size was filled"))
}

fn resize_rows(pixels: &[u8], from: u32, to: u32) -> Vec<u8> {
    if from == to {
        return pixels.to_vec();
    }
    let taps = taps(from, to);
    let mut resized = Vec::with_capacity(pixels.len() / from as usize * to as usize);
    for row in pixels.chunks_exact(3 * from as usize) {
        for tap in &taps {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in row[3 * tap.start..].as_chunks::<3>().0.iter().zip(&tap.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            resized.extend(sums.map(rounded));
        }
    }
    resized
}

/// `row_bytes`: of every row, before and after.
fn resize_columns(pixels: &[u8], from: u32, to: u32, row_bytes: usize) -> Vec<u8> {
    if from == to {
        return pixels.to_vec();
    }
    let mut resized = Vec::with_capacity(to as usize * row_bytes);
    let mut sums = vec![0i32; row_bytes];
    for tap in taps(from, to) {
        sums.fill(HALF);
        for (row, &weight) in pixels[tap.start * row_bytes..].chunks_exact(row_bytes).zip(&tap.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        resized.extend(sums.iter().map(|&sum| rounded(sum)));
    }
    resized
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use proptest::prelude::*;

    #[test]
    fn halving_a_row_as_pillow_does() {
        // PIL.Image: [0, 80, 160, 240] of one row to two pixels, BILINEAR.
        let row = RgbImage::from_fn(4, 1, |x, _| Rgb([x as u8 * 80; 3]));
        let halved = resize(&row, 1, 2);
        assert_eq!(halved.pixels().map(|pixel| pixel.0[0]).collect::<Vec<_>>(), [57, 183]);
    }

    proptest! {
        #[test]
        fn one_colour_stays_that_colour(value: u8, from in (1u32..40, 1u32..40), to in (1u32..40, 1u32..40)) {
            let picture = RgbImage::from_pixel(from.0, from.1, Rgb([value, 0, 255]));
            let resized = resize(&picture, to.1, to.0);
            prop_assert!(resized.pixels().all(|pixel| pixel.0 == [value, 0, 255]));
        }
    }
}
