//! The two passes of [`super`] for processors with AVX2: the same numbers, a third of the time.
//!
//! A weight of 22 bits is taken apart into its upper and lower 11, so that 16-bit multiplications of four pixels at once are
//! exact: their sums are put together again at the end.

use std::arch::x86_64::*;

use super::{HALF, PRECISION_BITS, Taps};

const LOW_BITS: i32 = 11;

/// Weights of two neighbouring pixels, for each channel.
type Pair = [i16; 8];

/// Weights of four pixels, two by two: the upper parts, then the lower ones.
type Quad = [Pair; 4];

fn quad(weights: &[i32]) -> Quad {
    let pair = |first: usize, part: fn(i32) -> i32| {
        let [a, b] = [first, first + 1].map(|pixel| weights.get(pixel).map_or(0, |&weight| part(weight) as i16));
        [a, b, a, b, a, b, 0, 0]
    };
    let [upper, lower]: [fn(i32) -> i32; 2] = [|weight| weight >> LOW_BITS, |weight| weight & ((1 << LOW_BITS) - 1)];
    [pair(0, upper), pair(2, upper), pair(0, lower), pair(2, lower)]
}

/// As [`super::resize_rows`], two rows at a time.
#[target_feature(enable = "avx2")]
pub fn resize_rows(pixels: &[u8], from: usize, taps: &Taps) -> Vec<u8> {
    let (row_bytes, resized_bytes) = (3 * from, 3 * taps.starts.len());
    let quads_of_pixel = taps.count.div_ceil(4);
    let quads: Vec<Quad> = taps.weights.chunks(taps.count).flat_map(|weights| weights.chunks(4).map(quad)).collect();
    // 16 bytes are read where 12 are meant, and taps are filled up to fours: what lies beyond a row weighs nothing, but must be there.
    let reach = row_bytes + 12 * quads_of_pixel + 4;
    let rows = pixels.len() / row_bytes;
    // The last of an odd number of rows is its own neighbour.
    let mut resized = vec![0; rows.next_multiple_of(2) * resized_bytes];
    let mut below = pixels;
    for resized in resized.chunks_exact_mut(2 * resized_bytes) {
        let next = row_bytes.min(below.len() - row_bytes);
        let (first, second) = resized.split_at_mut(resized_bytes);
        if next + reach <= below.len() {
            two_rows([below, &below[next..]], &taps.starts, &quads, [first, second]);
        } else {
            let padded = [0, next].map(|start| [&below[start..][..row_bytes], &vec![0; reach - row_bytes]].concat());
            two_rows([&padded[0], &padded[1]], &taps.starts, &quads, [first, second]);
        }
        below = &below[next + row_bytes..];
    }
    resized.truncate(rows * resized_bytes);
    resized
}

/// One row in the lower half of each register, the other in the upper half.
#[target_feature(enable = "avx2")]
fn two_rows(rows: [&[u8]; 2], starts: &[usize], quads: &[Quad], resized: [&mut [u8]; 2]) {
    // Bytes of two pixels in a row, each widened by a zero, in the order of a Pair.
    let order = |a: i8, b: i8| {
        let of_row = _mm_setr_epi8(a, -1, b, -1, a + 1, -1, b + 1, -1, a + 2, -1, b + 2, -1, -1, -1, -1, -1);
        _mm256_broadcastsi128_si256(of_row)
    };
    let (first_pair, second_pair) = (order(0, 3), order(6, 9));
    // SAFETY: an unaligned read of 16 bytes from what has so many.
    let load = |bytes: &[u8; 16]| unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    // SAFETY: the same.
    let weights = |pair: &Pair| _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(pair.as_ptr().cast()) });
    let [first, second] = resized.map(|row| row.as_chunks_mut::<3>().0.iter_mut());
    for (((first, second), &start), quads) in first.zip(second).zip(starts).zip(quads.chunks_exact(quads.len() / starts.len())) {
        let (mut high, mut low) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        let [of_first, of_second] = rows.map(|row| row[3 * start..].array_windows::<16>().step_by(12));
        for ((of_first, of_second), quad) in of_first.zip(of_second).zip(quads) {
            let values = _mm256_set_m128i(load(of_second), load(of_first));
            let (one, two) = (_mm256_shuffle_epi8(values, first_pair), _mm256_shuffle_epi8(values, second_pair));
            let madd = |a: &Pair, b: &Pair| _mm256_add_epi32(_mm256_madd_epi16(one, weights(a)), _mm256_madd_epi16(two, weights(b)));
            high = _mm256_add_epi32(high, madd(&quad[0], &quad[1]));
            low = _mm256_add_epi32(low, madd(&quad[2], &quad[3]));
        }
        let sums = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(high), low);
        let rounded = _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm256_add_epi32(sums, _mm256_set1_epi32(HALF)));
        let words = _mm256_packs_epi32(rounded, rounded);
        let bytes = _mm256_packus_epi16(words, words);
        for (pixel, value) in [(first, _mm256_extract_epi32::<0>(bytes)), (second, _mm256_extract_epi32::<4>(bytes))] {
            let [red, green, blue, _] = value.to_le_bytes();
            *pixel = [red, green, blue];
        }
    }
}

/// As [`super::resize_columns`], compiled for wider registers.
#[target_feature(enable = "avx2")]
pub fn resize_columns(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    super::resize_columns(pixels, row_bytes, taps)
}
