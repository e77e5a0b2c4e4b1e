//! The two passes of [`super`] for processors with AVX2: the same numbers, a third of the time.
//!
//! A weight of 22 bits is taken apart into its upper and lower 11, so that 16-bit multiplications of four pixels at once are
//! exact: their sums are put together again at the end.

use std::arch::x86_64::*;

use super::{HALF, PRECISION_BITS, Taps};

const LOW_BITS: i32 = 11;

/// Weights of four pixels, one number for each product: those of pixels 0 and 1 for each channel, then of 2 and 3.
type Quad = [i16; 16];

fn quads<'a>(weights: &'a [i32], part: impl Fn(i32) -> i32 + 'a) -> impl Iterator<Item = Quad> + 'a {
    weights.chunks(4).map(move |weights| {
        let [a, b, c, d] = std::array::from_fn(|pixel| weights.get(pixel).map_or(0, |&weight| part(weight) as i16));
        [a, b, a, b, a, b, 0, 0, c, d, c, d, c, d, 0, 0]
    })
}

/// As [`super::resize_rows`].
#[target_feature(enable = "avx2")]
pub fn resize_rows(pixels: &[u8], from: usize, taps: &Taps) -> Vec<u8> {
    let quads_of_pixel = taps.count.div_ceil(4);
    let of_pixel = |weights| quads(weights, |weight| weight >> LOW_BITS).zip(quads(weights, |weight| weight & ((1 << LOW_BITS) - 1)));
    let weights: Vec<(Quad, Quad)> = taps.weights.chunks(taps.count).flat_map(of_pixel).collect();
    // Bytes of four pixels, each widened by a zero, in the order of a Quad.
    #[rustfmt::skip]
    let order = _mm256_setr_epi8(
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,
        6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
    );
    let mut resized = vec![0; pixels.len() / from * taps.starts.len()];
    // 16 bytes are read where 12 are meant, and taps are filled up to fours: beyond the row there must be something.
    let mut padded = vec![0; 3 * from + 12 * quads_of_pixel + 4];
    for (row, resized) in pixels.chunks_exact(3 * from).zip(resized.chunks_exact_mut(3 * taps.starts.len())) {
        padded[..3 * from].copy_from_slice(row);
        let pixels = resized.as_chunks_mut::<3>().0.iter_mut();
        for ((pixel, &start), weights) in pixels.zip(&taps.starts).zip(weights.chunks_exact(quads_of_pixel)) {
            let (mut high, mut low) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            for (four, (high_weights, low_weights)) in padded[3 * start..].windows(16).step_by(12).zip(weights) {
                // SAFETY: unaligned reads of 16, 32 and 32 bytes from slices that have so many.
                let (four, high_weights, low_weights) = unsafe {
                    (
                        _mm_loadu_si128(four.as_ptr().cast()),
                        _mm256_loadu_si256(high_weights.as_ptr().cast()),
                        _mm256_loadu_si256(low_weights.as_ptr().cast()),
                    )
                };
                let values = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(four), order);
                high = _mm256_add_epi32(high, _mm256_madd_epi16(values, high_weights));
                low = _mm256_add_epi32(low, _mm256_madd_epi16(values, low_weights));
            }
            let sums = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(high), low);
            let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
            let rounded = _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm_add_epi32(sums, _mm_set1_epi32(HALF)));
            let bytes = _mm_packus_epi16(_mm_packs_epi32(rounded, rounded), _mm_setzero_si128());
            let [red, green, blue, _] = _mm_cvtsi128_si32(bytes).to_le_bytes();
            *pixel = [red, green, blue];
        }
    }
    resized
}

/// As [`super::resize_columns`], compiled for wider registers.
#[target_feature(enable = "avx2")]
pub fn resize_columns(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    super::resize_columns(pixels, row_bytes, taps)
}
