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

/// Bytes of a row that are worked on together.
const BLOCK: usize = 16;

/// As [`super::resize_columns`], two rows at a time, sums kept in registers.
#[target_feature(enable = "avx2")]
pub fn resize_columns(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    let mut resized = vec![0; taps.starts.len() * row_bytes];
    let whole = row_bytes / BLOCK * BLOCK;
    let targets = resized.chunks_exact_mut(row_bytes).zip(&taps.starts).zip(taps.weights.chunks_exact(taps.count));
    for ((resized, &start), weights) in targets {
        let rows = &pixels[start * row_bytes..];
        // Filled up by zeros, weights may reach beyond the last row.
        let weights = &weights[..weights.len().min(rows.len() / row_bytes)];
        let (blocks, rest) = resized.split_at_mut(whole);
        for (number, block) in blocks.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            *block = one_block(&rows[number * BLOCK..], row_bytes, weights);
        }
        for (place, value) in rest.iter_mut().enumerate() {
            let taken = rows[whole + place..].iter().step_by(row_bytes).zip(weights);
            *value = super::rounded(taken.fold(HALF, |sum, (&value, &weight)| sum + i32::from(value) * weight));
        }
    }
    resized
}

/// One weight for each of the rows, whose blocks begin `row_bytes` apart.
#[target_feature(enable = "avx2")]
fn one_block(rows: &[u8], row_bytes: usize, weights: &[i32]) -> [u8; BLOCK] {
    // SAFETY: an unaligned read of 16 bytes from what has so many.
    let load = |bytes: &[u8; BLOCK]| unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    let row = |number: usize| rows[number * row_bytes..].first_chunk::<BLOCK>().map_or(_mm_setzero_si128(), load);
    // Two 16-bit numbers side by side, as often as there is room.
    let both = |[a, b]: [i32; 2]| _mm256_set1_epi32((b << 16) | (a & 0xffff));
    let nothing = _mm256_setzero_si256();
    // Of the first and the last eight bytes: sums with the upper parts of the weights, and with the lower ones.
    let (mut high, mut low) = ([nothing; 2], [nothing; 2]);
    for (pair, weights) in weights.chunks(2).enumerate() {
        let (first, second) = (row(2 * pair), if weights.len() == 2 { row(2 * pair + 1) } else { _mm_setzero_si128() });
        let weights = [weights[0], weights.get(1).copied().unwrap_or(0)];
        let (upper, lower) = (both(weights.map(|weight| weight >> LOW_BITS)), both(weights.map(|weight| weight & ((1 << LOW_BITS) - 1))));
        let halves = [_mm_unpacklo_epi8(first, second), _mm_unpackhi_epi8(first, second)].map(|bytes| _mm256_cvtepu8_epi16(bytes));
        for half in 0..2 {
            high[half] = _mm256_add_epi32(high[half], _mm256_madd_epi16(halves[half], upper));
            low[half] = _mm256_add_epi32(low[half], _mm256_madd_epi16(halves[half], lower));
        }
    }
    let sum = |half: usize| {
        let sums = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(high[half]), low[half]);
        _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm256_add_epi32(sums, _mm256_set1_epi32(HALF)))
    };
    // Packing works on each half of a register by itself; the permutation puts the words in order.
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(sum(0), sum(1)));
    let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    let mut block = [0; BLOCK];
    // SAFETY: an unaligned write of 16 bytes to what has so many.
    unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), bytes) };
    block
}
