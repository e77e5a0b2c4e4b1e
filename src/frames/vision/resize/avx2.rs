//! The two passes of [`super`] for processors with AVX2. They give the same numbers in a third of
//! the time.
//!
//! A weight of 22 bits is split into its upper and its lower 11 bits, so that multiplications of 16
//! bits, which do four pixels at once, are exact. The two sums are put together at the end.

use std::arch::x86_64::*;

use super::{HALF, PRECISION_BITS, Taps};

const LOW_BITS: i32 = 11;

/// The weights of two neighbouring pixels, repeated for each channel.
type Pair = [i16; 8];

/// The weights of four pixels in pairs: the upper parts of both pairs, then the lower parts.
type Quad = [Pair; 4];

/// The weights of one output pixel, filled up with zeros.
fn quads<const QUADS: usize>(weights: &[i32]) -> [Quad; QUADS] {
    std::array::from_fn(|number| quad(weights.get(4 * number..).unwrap_or_default()))
}

fn quad(weights: &[i32]) -> Quad {
    let pair = |first: usize, part: fn(i32) -> i32| {
        let [a, b] = [first, first + 1]
            .map(|pixel| weights.get(pixel).map_or(0, |&weight| part(weight) as i16));
        [a, b, a, b, a, b, 0, 0]
    };
    let [upper, lower]: [fn(i32) -> i32; 2] =
        [|weight| weight >> LOW_BITS, |weight| weight & ((1 << LOW_BITS) - 1)];
    [pair(0, upper), pair(2, upper), pair(0, lower), pair(2, lower)]
}

/// How many rows are computed together: two registers with a row in each half.
const ROWS: usize = 4;

/// How many groups of four input pixels an output pixel may have. Where a picture gets smaller by
/// more than a factor of 8, the plain pass is used.
const MOST_QUADS: usize = 4;

/// The same as [`super::resize_rows`], four rows at a time. `None`: an output pixel has too many
/// input pixels.
#[target_feature(enable = "avx2")]
pub fn resize_rows(pixels: &[u8], from: usize, taps: &Taps) -> Option<Vec<u8>> {
    let quads_of_pixel = taps.count.div_ceil(4);
    // When the number is known at compile time, the loop over the groups is unrolled, which saves a
    // third of the time.
    match quads_of_pixel {
        1 => Some(resize_rows_by::<1>(pixels, from, taps)),
        2 => Some(resize_rows_by::<2>(pixels, from, taps)),
        3 => Some(resize_rows_by::<3>(pixels, from, taps)),
        MOST_QUADS => Some(resize_rows_by::<MOST_QUADS>(pixels, from, taps)),
        _ => None,
    }
}

#[target_feature(enable = "avx2")]
fn resize_rows_by<const QUADS: usize>(pixels: &[u8], from: usize, taps: &Taps) -> Vec<u8> {
    let (row_bytes, resized_bytes) = (3 * from, 3 * taps.starts.len());
    let quads: Vec<[Quad; QUADS]> = taps.weights.chunks(taps.count).map(quads).collect();
    // Weights are filled up to groups of four. Pixels beyond the end of a row have the weight 0,
    // but they are read.
    let reach = row_bytes + reach::<QUADS>();
    let rows = pixels.len() / row_bytes;
    let mut resized = vec![0; rows.next_multiple_of(ROWS) * resized_bytes];
    for (number, resized) in resized.chunks_exact_mut(ROWS * resized_bytes).enumerate() {
        // If fewer rows are left, the last one is taken several times.
        let starts: [usize; ROWS] =
            std::array::from_fn(|row| (ROWS * number + row).min(rows - 1) * row_bytes);
        if starts[ROWS - 1] + reach <= pixels.len() {
            four_rows(starts.map(|start| &pixels[start..][..reach]), &taps.starts, &quads, resized);
        } else {
            let padded = starts
                .map(|start| [&pixels[start..][..row_bytes], &vec![0; reach - row_bytes]].concat());
            four_rows(padded.each_ref().map(Vec::as_slice), &taps.starts, &quads, resized);
        }
    }
    resized.truncate(rows * resized_bytes);
    resized
}

/// How many bytes are read from the first input pixel of an output pixel on. For the last four
/// pixels 16 bytes are read.
const fn reach<const QUADS: usize>() -> usize {
    12 * QUADS + 4
}

/// Computes four rows. `resized` has them one after the other.
#[target_feature(enable = "avx2")]
fn four_rows<const QUADS: usize>(
    rows: [&[u8]; ROWS],
    starts: &[usize],
    quads: &[[Quad; QUADS]],
    resized: &mut [u8],
) {
    // The bytes of two neighbouring pixels in the order of a Pair, each widened with a zero.
    let order = |a: i8, b: i8| {
        let of_row =
            _mm_setr_epi8(a, -1, b, -1, a + 1, -1, b + 1, -1, a + 2, -1, b + 2, -1, -1, -1, -1, -1);
        _mm256_broadcastsi128_si256(of_row)
    };
    let (first_pair, second_pair) = (order(0, 3), order(6, 9));
    // SAFETY: this is an unaligned read of 16 bytes, and a Pair has 16 bytes.
    let weights =
        |pair: &Pair| _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(pair.as_ptr().cast()) });
    let resized_bytes = 3 * starts.len();
    // Checked once for everything that the loop reads and writes.
    let furthest = starts.iter().max().map_or(0, |start| 3 * start + reach::<QUADS>());
    assert!(rows.iter().all(|row| row.len() >= furthest) && resized.len() == ROWS * resized_bytes);
    let rows = rows.map(<[u8]>::as_ptr);
    let resized = resized.as_mut_ptr();
    for (pixel, (&start, quads)) in starts.iter().zip(quads).enumerate() {
        let (mut high, mut low) = ([_mm256_setzero_si256(); 2], [_mm256_setzero_si256(); 2]);
        for (number, quad) in quads.iter().enumerate() {
            // SAFETY: the 16 bytes end at or before `furthest`, and every row has as many.
            let load = |row: usize| unsafe {
                _mm_loadu_si128(rows[row].add(3 * start + 12 * number).cast())
            };
            let [upper_first, upper_second, lower_first, lower_second] =
                quad.each_ref().map(weights);
            for two in 0..2 {
                let values = _mm256_set_m128i(load(2 + two), load(two));
                let (first, second) = (
                    _mm256_shuffle_epi8(values, first_pair),
                    _mm256_shuffle_epi8(values, second_pair),
                );
                let sum = |a: __m256i, b: __m256i| {
                    _mm256_add_epi32(_mm256_madd_epi16(first, a), _mm256_madd_epi16(second, b))
                };
                high[two] = _mm256_add_epi32(high[two], sum(upper_first, upper_second));
                low[two] = _mm256_add_epi32(low[two], sum(lower_first, lower_second));
            }
        }
        let rounded = |two: usize| {
            let sums = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(high[two]), low[two]);
            _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm256_add_epi32(
                sums,
                _mm256_set1_epi32(HALF),
            ))
        };
        let words = _mm256_packs_epi32(rounded(0), rounded(1));
        let bytes = _mm256_packus_epi16(words, words);
        // The pixels of the first two rows, and of the other two.
        let (upper, lower) = (_mm256_extract_epi64::<0>(bytes), _mm256_extract_epi64::<2>(bytes));
        for (row, value) in [upper, upper >> 32, lower, lower >> 32].into_iter().enumerate() {
            let [red, green, blue, ..] = value.to_le_bytes();
            // SAFETY: `resized` has four rows with this number of pixels.
            unsafe {
                resized
                    .add(row * resized_bytes + 3 * pixel)
                    .cast::<[u8; 3]>()
                    .write([red, green, blue])
            };
        }
    }
}

/// How many bytes of a row are computed together.
const BLOCK: usize = 16;

/// The same as [`super::resize_columns`], two rows at a time, with the sums in registers.
#[target_feature(enable = "avx2")]
pub fn resize_columns(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    let mut resized = vec![0; taps.starts.len() * row_bytes];
    let whole = row_bytes / BLOCK * BLOCK;
    let targets = resized
        .chunks_exact_mut(row_bytes)
        .zip(&taps.starts)
        .zip(taps.weights.chunks_exact(taps.count));
    for ((resized, &start), weights) in targets {
        let rows = &pixels[start * row_bytes..];
        // Weights that were filled up with zeros may reach beyond the last row.
        let weights = &weights[..weights.len().min(rows.len() / row_bytes)];
        let (blocks, rest) = resized.split_at_mut(whole);
        for (number, block) in blocks.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            *block = one_block(&rows[number * BLOCK..], row_bytes, weights);
        }
        for (place, value) in rest.iter_mut().enumerate() {
            let taken = rows[whole + place..].iter().step_by(row_bytes).zip(weights);
            *value = super::rounded(
                taken.fold(HALF, |sum, (&value, &weight)| sum + i32::from(value) * weight),
            );
        }
    }
    resized
}

/// Computes one block of an output row. There is a weight for each input row, and the blocks of
/// these rows begin `row_bytes` apart.
#[target_feature(enable = "avx2")]
fn one_block(rows: &[u8], row_bytes: usize, weights: &[i32]) -> [u8; BLOCK] {
    // SAFETY: this is an unaligned read of 16 bytes, and a block has 16 bytes.
    let load = |bytes: &[u8; BLOCK]| unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    let row = |number: usize| {
        rows[number * row_bytes..].first_chunk::<BLOCK>().map_or(_mm_setzero_si128(), load)
    };
    // A pair of 16-bit numbers, repeated through the register.
    let both = |[a, b]: [i32; 2]| _mm256_set1_epi32((b << 16) | (a & 0xffff));
    let nothing = _mm256_setzero_si256();
    // The sums with the upper and with the lower parts of the weights, each for the first and the
    // last eight bytes.
    let (mut high, mut low) = ([nothing; 2], [nothing; 2]);
    for (pair, weights) in weights.chunks(2).enumerate() {
        let (first, second) = (
            row(2 * pair),
            if weights.len() == 2 { row(2 * pair + 1) } else { _mm_setzero_si128() },
        );
        let weights = [weights[0], weights.get(1).copied().unwrap_or(0)];
        let (upper, lower) = (
            both(weights.map(|weight| weight >> LOW_BITS)),
            both(weights.map(|weight| weight & ((1 << LOW_BITS) - 1))),
        );
        let halves = [_mm_unpacklo_epi8(first, second), _mm_unpackhi_epi8(first, second)]
            .map(|bytes| _mm256_cvtepu8_epi16(bytes));
        for half in 0..2 {
            high[half] = _mm256_add_epi32(high[half], _mm256_madd_epi16(halves[half], upper));
            low[half] = _mm256_add_epi32(low[half], _mm256_madd_epi16(halves[half], lower));
        }
    }
    let sum = |half: usize| {
        let sums = _mm256_add_epi32(_mm256_slli_epi32::<LOW_BITS>(high[half]), low[half]);
        _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm256_add_epi32(
            sums,
            _mm256_set1_epi32(HALF),
        ))
    };
    // Packing works on each half of a register by itself, so the words must be put in order after
    // it.
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(sum(0), sum(1)));
    let bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    let mut block = [0; BLOCK];
    // SAFETY: this is an unaligned write of 16 bytes, and the block has 16 bytes.
    unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), bytes) };
    block
}
