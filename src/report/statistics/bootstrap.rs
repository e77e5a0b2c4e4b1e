//! Whether two strategies differ on the same frames: a paired bootstrap over sequences, or over
//! blocks of consecutive frames where there are few sequences.
//!
//! Frames of a sequence resemble each other, so they cannot be drawn one by one. The interval is a
//! symmetric percentile-t interval, because with ten or twenty units the plain percentiles are too
//! narrow. `tests/golden/bootstrap_simulation.py` shows how often it is wrong.

use std::ops::Range;

use rand::RngExt;

use super::correlation::correlation_time;
use super::score::Score;
use surgcam_frames::random::stream;

/// With fewer sequences, blocks are drawn. With fewer blocks nothing can be said.
pub const FEWEST_UNITS: usize = 10;
/// How often units are drawn.
pub const RESAMPLES: usize = 2_000;
/// The share of intervals that hold the true difference.
const CONFIDENCE: f64 = 0.95;
/// The length of a block, in correlation times of the differences.
const TIMES: f64 = 4.0;
/// Smaller differences come from the rounding of sums.
const ROUNDING: f64 = 1e-12;
/// Units whose standard error is a smaller part of the largest unit differ by rounding alone.
const EQUAL: f64 = 1e-9;
/// More blocks than this change nothing but the time that it takes.
const MOST_BLOCKS: usize = 500;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    Sequences { count: usize },
    Blocks { count: usize, length: usize },
}

/// The difference of two scores, and the interval that holds the true one in 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Difference {
    /// Whether the interval leaves out 0.
    pub fn is_beyond_noise(&self) -> bool {
        self.low > ROUNDING || self.high < -ROUNDING
    }
}

/// Compares `a` with `b`, which are scores of the same frames: the difference is `a - b`. Frames
/// are in the order of their sequences, whose lengths are `sequences`. The difference is `None` if
/// there are too few units, or too few in which the scores differ.
///
/// # Panics
/// If the scores and the sequences are not of the same number of frames.
pub fn compare(a: &Score, b: &Score, sequences: &[usize]) -> (Units, Option<Difference>) {
    let frames: usize = sequences.iter().sum();
    assert!(
        a.influence.len() == frames && b.influence.len() == frames,
        "both scores are of the frames of these sequences"
    );
    let influence: Vec<f64> = a.influence.iter().zip(&b.influence).map(|(a, b)| a - b).collect();
    let (units, lengths) = units(&influence, sequences);
    if lengths.len() < FEWEST_UNITS {
        return (units, None);
    }
    let totals = if a.is_ranked() || b.is_ranked() {
        left_out_one_by_one(a, b, &lengths)
    } else {
        parts(&influence, &lengths).map(|unit| unit.iter().sum()).collect()
    };
    let value = a.value - b.value;
    let half = half_width(&totals);
    // It is infinite if so few units differ that some draws have none of them.
    let found = Difference { value, low: value - half, high: value + half };
    (units, half.is_finite().then_some(found))
}

/// What is drawn, and the lengths of the units in frames.
fn units(influence: &[f64], sequences: &[usize]) -> (Units, Vec<usize>) {
    if sequences.len() >= FEWEST_UNITS {
        return (Units::Sequences { count: sequences.len() }, sequences.to_vec());
    }
    let length = block_length(influence, sequences);
    let lengths: Vec<usize> = sequences.iter().flat_map(|&frames| blocks(frames, length)).collect();
    (Units::Blocks { count: lengths.len(), length }, lengths)
}

/// Long enough that two blocks are almost independent, and at least the cube root of the number of
/// frames.
fn block_length(influence: &[f64], sequences: &[usize]) -> usize {
    let by_sequence: Vec<&[f64]> = parts(influence, sequences).collect();
    let correlated = (TIMES * correlation_time(&by_sequence)).ceil() as usize;
    let root = (influence.len() as f64).cbrt().ceil() as usize;
    correlated.max(root).max(influence.len().div_ceil(MOST_BLOCKS)).max(1)
}

/// The lengths of nearly equal blocks of at least `length` frames. A shorter sequence is one block.
fn blocks(frames: usize, length: usize) -> impl Iterator<Item = usize> {
    let count = (frames / length).max(1);
    let edge = move |place: usize| frames * place / count;
    (0..count).map(move |place| edge(place + 1) - edge(place))
}

/// The influence of each unit on the difference, by leaving out one after the other (the
/// jackknife). Where few frames are positive, an average precision without a unit changes by more
/// than its frames' influences tell, and their sum would find too many differences.
fn left_out_one_by_one(a: &Score, b: &Score, lengths: &[usize]) -> Vec<f64> {
    let changes: Vec<f64> =
        ranges(lengths).map(|unit| a.change_without(&unit) - b.change_without(&unit)).collect();
    let count = changes.len() as f64;
    let mean = changes.iter().sum::<f64>() / count;
    changes.iter().map(|change| (count - 1.0) / count * (mean - change)).collect()
}

/// The values, cut into parts of these lengths.
fn parts<'a>(values: &'a [f64], lengths: &'a [usize]) -> impl Iterator<Item = &'a [f64]> {
    ranges(lengths).map(move |range| &values[range])
}

/// Parts of these lengths, one after the other.
fn ranges(lengths: &[usize]) -> impl Iterator<Item = Range<usize>> {
    lengths.iter().scan(0_usize, |begin, length| {
        let part = *begin..*begin + length;
        *begin = part.end;
        Some(part)
    })
}

/// Half the width of the interval around the sum of the units, whose totals these are.
fn half_width(totals: &[f64]) -> f64 {
    // The same number of units is always drawn in the same way.
    let mut draws = stream(&format!("paired bootstrap/{} units", totals.len()));
    let mut drawn = vec![0.0; totals.len()];
    let largest = totals.iter().fold(0.0, |largest: f64, total| largest.max(total.abs()));
    let is_real = |value: f64| value > EQUAL * largest;
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.fill_with(|| totals[draws.random_range(0..totals.len())]);
            let sum = drawn.iter().sum::<f64>().abs();
            let error = standard_error(&drawn);
            if is_real(error) {
                sum / error
            } else if is_real(sum) {
                f64::INFINITY
            } else {
                0.0
            }
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let error = standard_error(totals);
    let place = (CONFIDENCE * RESAMPLES as f64).ceil() as usize - 1;
    // Where nothing varies, there is no noise at all.
    if error > 0.0 { ratios[place] * error } else { 0.0 }
}

/// The standard error of the sum of units.
fn standard_error(totals: &[f64]) -> f64 {
    let count = totals.len() as f64;
    let mean = totals.iter().sum::<f64>() / count;
    let squares: f64 = totals.iter().map(|total| (total - mean).powi(2)).sum();
    (count / (count - 1.0) * squares).sqrt()
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;
    use surgcam_frames::random::Stream;

    use super::*;

    /// About normal: the sum of twelve uniform draws.
    fn normal(draws: &mut Stream) -> f64 {
        (0..12).map(|_| draws.random_range(0.0_f64..1.0)).sum::<f64>() - 6.0
    }

    /// Scores of frames of which each resembles the one before it.
    fn autocorrelated(draws: &mut Stream, frames: usize, correlation: f64) -> Vec<f64> {
        let mut last = normal(draws);
        let noise = (1.0 - correlation * correlation).sqrt();
        let next = |_| {
            let value = last;
            last = correlation * last + noise * normal(draws);
            value
        };
        (0..frames).map(next).collect()
    }

    /// Two strategies whose scores have the same expectation, apart from `shift`.
    fn pair(name: &str, sequences: &[usize], correlation: f64, shift: f64) -> [Score; 2] {
        let mut draws = stream(name);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for &frames in sequences {
            a.extend(autocorrelated(&mut draws, frames, correlation));
            b.extend(autocorrelated(&mut draws, frames, correlation));
        }
        a.iter_mut().for_each(|value| *value += shift);
        [a, b].map(|values| Score::ratio(&values, &vec![1.0; values.len()]).unwrap())
    }

    fn found_different(sequences: &[usize], correlation: f64, shift: f64) -> usize {
        let is_different = |round: &usize| {
            let [a, b] = pair(&format!("null {round}"), sequences, correlation, shift);
            compare(&a, &b, sequences).1.is_some_and(|found| found.is_beyond_noise())
        };
        (0..200_usize).into_par_iter().filter(is_different).count()
    }

    #[test]
    fn of_200_nulls_with_correlated_frames_2_to_9_per_cent_are_found_different() {
        let blocks = found_different(&[250; 4], 0.6, 0.0);
        assert!((4..=18).contains(&blocks), "over blocks: {blocks} of 200");
        let sequences = found_different(&[60; 20], 0.6, 0.0);
        assert!((4..=18).contains(&sequences), "over sequences: {sequences} of 200");
    }

    /// The mean average precision of two classifiers of the same quality. Labels stay for about ten
    /// frames; `shares` are how often each of them is there.
    fn ranked_pair(name: &str, sequences: &[usize], shares: &[f64]) -> [Score; 2] {
        let mut draws = stream(name);
        let mut of_classes = [Vec::new(), Vec::new()];
        for &share in shares {
            let mut positive = Vec::new();
            let mut noise = [Vec::new(), Vec::new(), Vec::new()];
            for &frames in sequences {
                let mut is_present = draws.random_range(0.0_f64..1.0) < share;
                for _ in 0..frames {
                    positive.push(is_present);
                    if draws.random_range(0.0_f64..1.0) < 0.1 {
                        is_present = draws.random_range(0.0_f64..1.0) < share;
                    }
                }
                noise.iter_mut().for_each(|of| of.extend(autocorrelated(&mut draws, frames, 0.6)));
            }
            let [of_both, of_a, of_b] = noise;
            for (own, scores) in [of_a, of_b].iter().zip(&mut of_classes) {
                let score = |frame: usize| {
                    let signal = if positive[frame] { 2.0 } else { 0.0 };
                    signal + 0.7 * (of_both[frame] + own[frame])
                };
                let of_frames: Vec<f64> = (0..positive.len()).map(score).collect();
                scores.extend(Score::average_precision(&of_frames, &positive));
            }
        }
        of_classes.map(|scores| Score::mean_of(&scores).unwrap())
    }

    #[test]
    fn of_200_nulls_of_rare_classes_2_to_9_per_cent_are_found_different() {
        let shares = [0.7, 0.3, 0.2, 0.1, 0.05, 0.03];
        let sequences = [149; 3];
        let is_different = |round: &usize| {
            let [a, b] = ranked_pair(&format!("rare {round}"), &sequences, &shares);
            compare(&a, &b, &sequences).1.is_some_and(|found| found.is_beyond_noise())
        };
        let found = (0..200_usize).into_par_iter().filter(is_different).count();
        assert!((4..=18).contains(&found), "{found} of 200");
    }

    #[test]
    fn a_clear_difference_is_found() {
        assert!(found_different(&[250; 4], 0.6, 0.5) > 180);
        assert!(found_different(&[60; 20], 0.6, 0.5) > 180);
    }

    #[test]
    fn a_strategy_is_never_different_from_itself() {
        for sequences in [vec![250; 4], vec![60; 20]] {
            let [a, _] = pair("itself", &sequences, 0.6, 0.0);
            let [ranked, _] = ranked_pair("itself", &sequences, &[0.5, 0.05]);
            for score in [a, ranked] {
                let (_, found) = compare(&score, &score, &sequences);
                assert_eq!(found, Some(Difference { value: 0.0, low: 0.0, high: 0.0 }));
                assert!(!found.unwrap().is_beyond_noise());
            }
        }
    }

    #[test]
    fn strategies_that_differ_in_two_units_alone_cannot_be_compared() {
        let sequences = [25; 12];
        let right: Vec<f64> = (0..300).map(|frame| f64::from(u8::from(frame % 7 != 0))).collect();
        let mut other = right.clone();
        other[1] = 0.0;
        other[251] = 0.0;
        let ones = vec![1.0; 300];
        let [a, b] = [right, other].map(|values| Score::ratio(&values, &ones).unwrap());
        // Many draws have neither of the two units. The others are equal apart from rounding.
        let (units, found) = compare(&a, &b, &sequences);
        assert_eq!((units, found), (Units::Sequences { count: 12 }, None));
    }

    #[test]
    fn blocks_are_longer_where_frames_resemble_each_other_and_too_few_say_nothing() {
        let length = |correlation: f64| {
            let [a, b] = pair("length", &[2000; 2], correlation, 0.0);
            match compare(&a, &b, &[2000; 2]).0 {
                Units::Blocks { length, .. } => length,
                Units::Sequences { .. } => panic!("two sequences are too few"),
            }
        };
        assert!((16..24).contains(&length(0.0)), "{}", length(0.0));
        assert!(length(0.8) > length(0.0), "{}", length(0.8));
        let [a, b] = pair("few", &[12; 2], 0.0, 5.0);
        let (units, found) = compare(&a, &b, &[12; 2]);
        assert!(matches!(units, Units::Blocks { count, .. } if count < FEWEST_UNITS));
        assert_eq!(found, None);
    }

    #[test]
    fn blocks_cover_their_sequence() {
        for (frames, length) in [(149, 8), (3, 8), (16, 8), (17, 8)] {
            let lengths: Vec<usize> = blocks(frames, length).collect();
            assert_eq!(lengths.iter().sum::<usize>(), frames);
            assert!(lengths.iter().all(|&found| found >= length.min(frames)));
        }
    }
}
