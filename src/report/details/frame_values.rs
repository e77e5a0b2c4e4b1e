//! What a score is computed from, frame by frame.

use std::ops::Range;

use crate::report::statistics::Score;

/// The values of all frames of a list, in its order.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameValues {
    /// The score is the sum of `sums` divided by the sum of `counts`.
    Ratio { sums: Vec<f64>, counts: Vec<f64> },
    /// The score is the mean over classes of the average precision; a class without a positive
    /// frame is left out.
    Ranked { classes: Vec<RankedClass> },
}

/// What is predicted of one class, and what is true.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedClass {
    pub scores: Vec<f64>,
    pub positive: Vec<bool>,
}

impl FrameValues {
    /// One value for each frame, whose mean is the score.
    pub fn mean(values: Vec<f64>) -> FrameValues {
        let counts = vec![1.0; values.len()];
        FrameValues::Ratio { sums: values, counts }
    }

    /// The score of some frames, by their places in the list. `None` if it is not defined for them.
    pub fn score(&self, places: Range<usize>) -> Option<Score> {
        match self {
            FrameValues::Ratio { sums, counts } => {
                Score::ratio(&sums[places.clone()], &counts[places])
            }
            FrameValues::Ranked { classes } => {
                let of_class = |class: &RankedClass| {
                    let RankedClass { scores, positive } = class;
                    Score::average_precision(&scores[places.clone()], &positive[places.clone()])
                };
                let of_classes: Vec<Score> = classes.iter().filter_map(of_class).collect();
                Score::mean_of(&of_classes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_of_some_frames_looks_at_no_others() {
        let class = |scores: [f64; 4], positive: [bool; 4]| RankedClass {
            scores: scores.into(),
            positive: positive.into(),
        };
        let values = FrameValues::Ranked {
            classes: vec![
                class([0.9, 0.1, 0.5, 0.6], [true, false, true, false]),
                class([0.1, 0.2, 0.3, 0.4], [false, false, false, true]),
            ],
        };
        assert_eq!(values.score(0..2).unwrap().value, 1.0, "the second class has no positive");
        assert_eq!(values.score(2..4).unwrap().value, 0.75);
        let ratio = FrameValues::mean(vec![1.0, 0.0, 0.0, 0.0]);
        assert_eq!(
            (ratio.score(0..2).unwrap().value, ratio.score(0..4).unwrap().value),
            (0.5, 0.25)
        );
        assert!(ratio.score(2..2).is_none());
    }
}
