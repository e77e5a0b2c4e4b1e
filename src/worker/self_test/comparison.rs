//! How far found values are from expected ones, and whether that is within a tolerance.

use surgcam_frames::metrics::SelfTestCheck;
use surgcam_values::Precision;

/// How much a value may differ from the expected one.
#[derive(Debug, Clone, Copy)]
pub enum Tolerance {
    /// By so much.
    Absolute(f64),
    /// By a share of the expected value, and so much more; and by a share of the root mean square
    /// of all values that belong together, which is what the sums are made of that a small value is
    /// the end of.
    Relative { share: f64, more: f64, of_all: f64 },
    /// A vector, by a share of the expected one's length.
    OfLength(f64),
    /// Not at all.
    Exact,
}

impl Tolerance {
    fn in_words(self) -> String {
        match self {
            Tolerance::Absolute(most) => format!("{most}"),
            Tolerance::Relative { share, more, of_all: 0.0 } => {
                format!("{share} of the value + {more}")
            }
            Tolerance::Relative { share, more, of_all } => {
                format!("{share} of the value + {more} + {of_all} of all")
            }
            Tolerance::OfLength(share) => format!("{share} of the length"),
            Tolerance::Exact => "equal".into(),
        }
    }
}

/// Gathers what one check compares.
#[derive(Debug)]
pub struct Comparison {
    tolerance: Tolerance,
    compared: usize,
    /// In the tolerance's own unit: absolute, or a share of a length.
    largest_difference: f64,
    /// The largest difference as a share of what it may be; above 1 is too much.
    share_of_tolerance: f64,
}

impl Comparison {
    pub fn new(tolerance: Tolerance) -> Self {
        Comparison { tolerance, compared: 0, largest_difference: 0.0, share_of_tolerance: 0.0 }
    }

    /// Compares values place by place. Another number of values is as far off as can be.
    pub fn values(&mut self, found: &[f32], expected: &[f32]) {
        if found.len() != expected.len() {
            return self.add(f64::INFINITY, f64::INFINITY);
        }
        match self.tolerance {
            Tolerance::OfLength(share) => {
                let squares = |values: &mut dyn Iterator<Item = f64>| {
                    values.map(|value| value * value).sum::<f64>().sqrt()
                };
                let pairs = found.iter().zip(expected);
                let difference = squares(
                    &mut pairs.map(|(&found, &expected)| f64::from(found) - f64::from(expected)),
                );
                let length = squares(&mut expected.iter().map(|&value| f64::from(value)));
                self.add(difference / length, difference / length / share);
            }
            _ => {
                let squares: f64 = expected.iter().map(|&value| f64::from(value).powi(2)).sum();
                let size = (squares / expected.len().max(1) as f64).sqrt();
                found.iter().zip(expected).for_each(|(&found, &expected)| {
                    self.value_among(found.into(), expected.into(), size)
                });
            }
        }
    }

    pub fn value(&mut self, found: f64, expected: f64) {
        self.value_among(found, expected, 0.0);
    }

    /// `size`: the root mean square of the values that belong together.
    fn value_among(&mut self, found: f64, expected: f64, size: f64) {
        let difference = (found - expected).abs();
        let most = match self.tolerance {
            Tolerance::Absolute(most) => most,
            Tolerance::Relative { share, more, of_all } => {
                expected.abs() * share + more + size * of_all
            }
            Tolerance::OfLength(share) => expected.abs() * share,
            Tolerance::Exact => 0.0,
        };
        let share = if difference == 0.0 { 0.0 } else { difference / most };
        self.add(difference, share);
    }

    /// Things that are equal or not.
    pub fn equal<T: PartialEq>(&mut self, found: &T, expected: &T) {
        let difference = if found == expected { 0.0 } else { f64::INFINITY };
        self.add(difference, difference);
    }

    fn add(&mut self, difference: f64, share: f64) {
        self.compared += 1;
        // NaN counts as infinitely far from the expected value.
        let worst =
            |before: f64, now: f64| if now.is_nan() { f64::INFINITY } else { before.max(now) };
        self.largest_difference = worst(self.largest_difference, difference);
        self.share_of_tolerance = worst(self.share_of_tolerance, share);
    }

    /// Nothing compared is not passed.
    pub fn into_check(self, check: &str, precision: Precision) -> SelfTestCheck {
        SelfTestCheck {
            check: check.into(),
            precision,
            compared: self.compared,
            largest_difference: self.largest_difference.min(f64::MAX),
            tolerance: self.tolerance.in_words(),
            passed: self.compared > 0 && self.share_of_tolerance <= 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tolerance: Tolerance, found: &[f32], expected: &[f32]) -> SelfTestCheck {
        let mut comparison = Comparison::new(tolerance);
        comparison.values(found, expected);
        comparison.into_check("values", Precision::F32)
    }

    #[test]
    fn the_largest_difference_decides() {
        let tolerance = Tolerance::Relative { share: 0.1, more: 0.5, of_all: 0.0 };
        assert!(check(tolerance, &[10.0, 0.0], &[11.0, 0.5]).passed);
        let failed = check(tolerance, &[10.0, 0.0], &[11.0, 0.75]);
        assert!(!failed.passed);
        assert_eq!(
            failed.largest_difference, 1.0,
            "the larger one, though the other is beyond its tolerance"
        );
        assert!(check(Tolerance::OfLength(0.5), &[3.0, 4.0], &[3.0, 6.0]).passed);
        assert!(!check(Tolerance::OfLength(0.2), &[3.0, 4.0], &[3.0, 6.0]).passed);
    }

    #[test]
    fn nothing_compared_other_sizes_and_what_is_no_number_are_not_passed() {
        assert!(!check(Tolerance::Absolute(1.0), &[], &[]).passed);
        assert!(!check(Tolerance::Absolute(1.0), &[1.0], &[1.0, 1.0]).passed);
        assert!(!check(Tolerance::Absolute(1.0), &[f32::NAN], &[1.0]).passed);
        assert!(check(Tolerance::Exact, &[1.0], &[1.0]).passed);
        assert!(!check(Tolerance::Exact, &[1.0], &[1.5]).passed);
    }
}
