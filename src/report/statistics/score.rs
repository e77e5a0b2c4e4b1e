//! Scores of a set of frames, each with the influence that every frame has on it.

/// A score, and how much it would change if a frame counted more.
///
/// If frame `f` counts `w[f]` times, the score is about `value + sum((w[f] - 1) * influence[f])`:
/// the influence is the derivative of the score (the infinitesimal jackknife). For a mean this is
/// its usual error; for an average precision it replaces thousands of new rankings.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    pub value: f64,
    /// The influence of each frame, in the order of the frames. The sum is 0.
    pub influence: Vec<f64>,
}

impl Score {
    /// The sum of `sums` divided by the sum of `counts`, both frame by frame. `None` if nothing is
    /// counted.
    pub fn ratio(sums: &[f64], counts: &[f64]) -> Option<Score> {
        let count: f64 = counts.iter().sum();
        if count <= 0.0 {
            return None;
        }
        let value = sums.iter().sum::<f64>() / count;
        let influence = sums.iter().zip(counts).map(|(sum, of)| (sum - value * of) / count);
        Some(Score { value, influence: influence.collect() })
    }

    /// The step-wise average precision of one class, as scikit-learn computes it. `None` if no
    /// frame is positive.
    pub fn average_precision(scores: &[f64], positive: &[bool]) -> Option<Score> {
        let positives = positive.iter().filter(|&&positive| positive).count() as f64;
        if positives == 0.0 {
            return None;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        // Frames with equal scores are one step of the curve.
        let mut steps: Vec<Step> = Vec::new();
        let (mut ranked, mut found) = (0.0, 0.0);
        for frames in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
            let of_step = frames.iter().filter(|&&frame| positive[frame]).count() as f64;
            ranked += frames.len() as f64;
            found += of_step;
            steps.push(Step { frames, of_step, ranked, found });
        }
        let sum: f64 = steps.iter().map(|step| step.of_step * step.precision()).sum();
        let value = sum / positives;
        let mut influence = vec![0.0; scores.len()];
        // What one more frame at this step, or above it, does to the precision at all later steps.
        let (mut of_positive, mut of_any) = (0.0, 0.0);
        for step in steps.iter().rev() {
            of_positive += step.of_step / step.ranked;
            of_any += step.of_step * step.found / (step.ranked * step.ranked);
            for &frame in step.frames {
                let gain =
                    if positive[frame] { step.precision() + of_positive - value } else { 0.0 };
                influence[frame] = (gain - of_any) / positives;
            }
        }
        Some(Score { value, influence })
    }

    /// The mean of several scores of the same frames, as over classes or over seeds. `None` without
    /// a score.
    pub fn mean_of(scores: &[Score]) -> Option<Score> {
        let frames = scores.first()?.influence.len();
        let count = scores.len() as f64;
        let influence_of =
            |frame: usize| scores.iter().map(|score| score.influence[frame]).sum::<f64>() / count;
        Some(Score {
            value: scores.iter().map(|score| score.value).sum::<f64>() / count,
            influence: (0..frames).map(influence_of).collect(),
        })
    }
}

/// The frames of one score, from the highest score to the lowest.
struct Step<'a> {
    frames: &'a [usize],
    /// How many of them are positive.
    of_step: f64,
    /// How many frames have this score or a higher one, and how many of these are positive.
    ranked: f64,
    found: f64,
}

impl Step<'_> {
    fn precision(&self) -> f64 {
        self.found / self.ranked
    }
}

#[cfg(test)]
mod tests {
    use surgcam_frames::vision::average_precision::label_average_precision;

    use super::*;

    const SCORES: [f64; 8] = [0.9, 0.8, 0.8, 0.7, 0.55, 0.4, 0.4, 0.1];
    const POSITIVE: [bool; 8] = [true, false, true, false, true, true, false, false];

    /// The average precision if each frame is there so many times.
    fn repeated(times: &[usize]) -> f64 {
        let frames: Vec<usize> =
            (0..times.len()).flat_map(|frame| vec![frame; times[frame]]).collect();
        let scores: Vec<f64> = frames.iter().map(|&frame| SCORES[frame]).collect();
        let positive: Vec<bool> = frames.iter().map(|&frame| POSITIVE[frame]).collect();
        label_average_precision(&scores, &positive).unwrap()
    }

    #[test]
    fn the_average_precision_is_that_of_the_tables() {
        let found = Score::average_precision(&SCORES, &POSITIVE).unwrap();
        assert!((found.value - repeated(&[1; 8])).abs() < 1e-12);
        assert!(found.influence.iter().sum::<f64>().abs() < 1e-12);
        assert_eq!(Score::average_precision(&SCORES, &[false; 8]), None);
    }

    #[test]
    fn the_influence_of_a_frame_is_the_derivative_of_the_average_precision() {
        let influence = Score::average_precision(&SCORES, &POSITIVE).unwrap().influence;
        for (frame, found) in influence.into_iter().enumerate() {
            let with = |times: usize| {
                let mut all = [1000; 8];
                all[frame] = times;
                repeated(&all)
            };
            let derivative = (with(1001) - with(999)) / 2e-3;
            assert!((found - derivative).abs() < 1e-5, "{frame}: {derivative}");
        }
    }

    #[test]
    fn a_ratio_counts_only_what_is_counted() {
        let found = Score::ratio(&[1.0, 0.0, 0.5], &[2.0, 0.0, 1.0]).unwrap();
        assert_eq!(found.value, 0.5);
        assert_eq!(found.influence, [0.0, 0.0, 0.0]);
        assert_eq!(Score::ratio(&[0.0], &[0.0]), None);
    }
}
