//! Resizes pictures as Pillow's `resize((width, height), BILINEAR)` does, to the last bit.
//!
//! This is a convolution with a triangle, which gets wider when a picture is made smaller
//! (antialiasing). It goes along rows first and then along columns. Weights are fixed-point numbers
//! of 22 bits, and the result of each pass is rounded to u8. Other libraries have weights of 16
//! bits or do not round between the passes. They differ in so many values that features do not
//! agree (docs/method.md, section 2).

#[cfg(target_arch = "x86_64")]
mod avx2;

use image::RgbImage;

/// The bits of a weight behind the point, as in Pillow: an i32 has 8 more for the result and 2 to
/// spare.
const PRECISION_BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// The weights with which the input pixels make each output pixel.
struct Taps {
    /// The first input pixel of each output pixel.
    starts: Vec<usize>,
    /// How many weights each output pixel has. Those that it does not need are 0.
    count: usize,
    weights: Vec<i32>,
}

impl Taps {
    fn new(from: u32, to: u32) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let support = scale.max(1.0);
        let of_pixel = |target: u32| {
            let center = (f64::from(target) + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from as usize);
            (start..end, move |pixel: usize| {
                (1.0 - ((pixel as f64 - center + 0.5) / support).abs()).max(0.0)
            })
        };
        let count = (0..to).map(|target| of_pixel(target).0.len()).max().unwrap_or(1);
        let mut weights = vec![0; to as usize * count];
        for (target, weights) in weights.chunks_exact_mut(count).enumerate() {
            let (pixels, triangle) = of_pixel(target as u32);
            let total: f64 = pixels.clone().map(triangle).sum();
            for (weight, pixel) in weights.iter_mut().zip(pixels) {
                *weight =
                    (triangle(pixel) / total * f64::from(1u32 << PRECISION_BITS) + 0.5) as i32;
            }
        }
        Taps { starts: (0..to).map(|target| of_pixel(target).0.start).collect(), count, weights }
    }
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Resizes to `height` x `width` pixels, which must both be above 0.
pub fn resize(picture: &RgbImage, height: u32, width: u32) -> RgbImage {
    let (from_height, from_width) = (picture.height(), picture.width());
    let mut resized = std::borrow::Cow::Borrowed(picture.as_raw().as_slice());
    if from_width != width {
        resized =
            resize_rows_fast(&resized, from_width as usize, &Taps::new(from_width, width)).into();
    }
    if from_height != height {
        resized =
            resize_columns_fast(&resized, 3 * width as usize, &Taps::new(from_height, height))
                .into();
    }
    RgbImage::from_raw(width, height, resized.into_owned())
        .unwrap_or_else(|| unreachable!("a buffer of the picture's size was filled"))
}

fn resize_rows_fast(pixels: &[u8], from: usize, taps: &Taps) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has what the function is compiled for.
    if is_x86_feature_detected!("avx2")
        && let Some(resized) = unsafe { avx2::resize_rows(pixels, from, taps) }
    {
        return resized;
    }
    resize_rows(pixels, from, taps)
}

fn resize_columns_fast(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { avx2::resize_columns(pixels, row_bytes, taps) };
    }
    resize_columns(pixels, row_bytes, taps)
}

/// The pass along rows. `from` is the number of pixels in a row of the input, each of three bytes.
fn resize_rows(pixels: &[u8], from: usize, taps: &Taps) -> Vec<u8> {
    let mut resized = Vec::with_capacity(pixels.len() / from * taps.starts.len());
    for row in pixels.chunks_exact(3 * from) {
        for (&start, weights) in taps.starts.iter().zip(taps.weights.chunks_exact(taps.count)) {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in row[3 * start..].as_chunks::<3>().0.iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            resized.extend(sums.map(rounded));
        }
    }
    resized
}

/// The pass along columns. `row_bytes` is the length of a row, which stays the same.
fn resize_columns(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    let mut resized = vec![0; taps.starts.len() * row_bytes];
    let mut sums = vec![0i32; row_bytes];
    let rows = resized
        .chunks_exact_mut(row_bytes)
        .zip(&taps.starts)
        .zip(taps.weights.chunks_exact(taps.count));
    for ((resized, &start), weights) in rows {
        sums.fill(HALF);
        for (row, &weight) in pixels[start * row_bytes..].chunks_exact(row_bytes).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        resized.iter_mut().zip(&sums).for_each(|(value, &sum)| *value = rounded(sum));
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
        // This is what Pillow makes of the row [0, 80, 160, 240] when it is resized to two pixels.
        let row = RgbImage::from_fn(4, 1, |x, _| Rgb([x as u8 * 80; 3]));
        let halved = resize(&row, 1, 2);
        assert_eq!(halved.pixels().map(|pixel| pixel.0[0]).collect::<Vec<_>>(), [57, 183]);
    }

    proptest! {
        #[test]
        fn the_fast_and_the_plain_passes_agree(
            seed: u64,
            from in (1u32..90, 1u32..30),
            to in (1u32..90, 1u32..30),
        ) {
            let noise = |x: u32, y: u32| {
                (seed.wrapping_mul(u64::from(x * 131 + y * 7919 + 1)) >> 40).to_le_bytes()
            };
            let picture = RgbImage::from_fn(from.0, from.1, |x, y| {
                let [r, g, b, ..] = noise(x, y);
                Rgb([r, g, b])
            });
            let (rows, columns) = (Taps::new(from.0, to.0), Taps::new(from.1, to.1));
            let plain = resize_rows(picture.as_raw(), from.0 as usize, &rows);
            prop_assert_eq!(&resize_rows_fast(picture.as_raw(), from.0 as usize, &rows), &plain);
            let row_bytes = 3 * to.0 as usize;
            let fast = resize_columns_fast(&plain, row_bytes, &columns);
            prop_assert_eq!(fast, resize_columns(&plain, row_bytes, &columns));
        }

        #[test]
        fn one_colour_stays_that_colour(
            value: u8,
            from in (1u32..40, 1u32..40),
            to in (1u32..40, 1u32..40),
        ) {
            let picture = RgbImage::from_pixel(from.0, from.1, Rgb([value, 0, 255]));
            let resized = resize(&picture, to.1, to.0);
            prop_assert!(resized.pixels().all(|pixel| pixel.0 == [value, 0, 255]));
        }
    }
}
