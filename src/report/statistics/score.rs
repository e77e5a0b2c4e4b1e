//! Scores of a set of frames, each with the influence that every frame has on it.

use std::ops::Range;
use std::sync::Arc;

/// A score, and how much it would change if a frame counted more.
///
/// If frame `f` counts `w[f]` times, the score is about `value + sum((w[f] - 1) * influence[f])`:
/// the influence is the derivative of the score (the infinitesimal jackknife). For a mean this is
/// its usual error. For an average precision it tells how long frames stay correlated, and the
/// error comes from [`Score::change_without`].
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    pub value: f64,
    /// The influence of each frame, in the order of the frames. The sum is 0.
    pub influence: Vec<f64>,
    /// The rankings that the score is a weighted sum of, with their weights. A ratio has none.
    rankings: Vec<(f64, Arc<Ranking>)>,
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
        Some(Score { value, influence: influence.collect(), rankings: Vec::new() })
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
        let by_step: Vec<&[usize]> = order.chunk_by(|&a, &b| scores[a] == scores[b]).collect();
        let mut steps: Vec<Step> = Vec::new();
        let mut step_of = vec![0; scores.len()];
        let (mut ranked, mut found) = (0.0, 0.0);
        for (place, frames) in by_step.iter().enumerate() {
            let of_step = frames.iter().filter(|&&frame| positive[frame]).count() as f64;
            ranked += frames.len() as f64;
            found += of_step;
            steps.push(Step { place, of_step, ranked, found });
            frames.iter().for_each(|&frame| step_of[frame] = place);
        }
        let sum: f64 = steps.iter().map(|step| step.of_step * step.precision()).sum();
        let value = sum / positives;
        let mut influence = vec![0.0; scores.len()];
        // What one more frame at this step, or above it, does to the precision at all later steps.
        let (mut of_positive, mut of_any) = (0.0, 0.0);
        for (step, frames) in steps.iter().zip(&by_step).rev() {
            of_positive += step.of_step / step.ranked;
            of_any += step.of_step * step.found / (step.ranked * step.ranked);
            for &frame in *frames {
                let gain =
                    if positive[frame] { step.precision() + of_positive - value } else { 0.0 };
                influence[frame] = (gain - of_any) / positives;
            }
        }
        steps.retain(|step| step.of_step > 0.0);
        let ranking = Ranking { value, step_of, positive: positive.to_vec(), steps };
        Some(Score { value, influence, rankings: vec![(1.0, Arc::new(ranking))] })
    }

    /// Whether average precisions are part of it.
    pub fn is_ranked(&self) -> bool {
        !self.rankings.is_empty()
    }

    /// How much the average precisions in the score change it if these frames are left out.
    pub fn change_without(&self, frames: &Range<usize>) -> f64 {
        self.rankings.iter().map(|(weight, ranking)| weight * ranking.change_without(frames)).sum()
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
            rankings: scores
                .iter()
                .flat_map(|score| &score.rankings)
                .map(|(weight, ranking)| (weight / count, Arc::clone(ranking)))
                .collect(),
        })
    }
}

/// The frames by their scores of one class, and its average precision.
#[derive(Debug, PartialEq)]
struct Ranking {
    value: f64,
    /// The place of each frame's step.
    step_of: Vec<usize>,
    positive: Vec<bool>,
    /// The steps with a positive frame.
    steps: Vec<Step>,
}

impl Ranking {
    /// How much the average precision changes if these frames are left out. If no other frame is
    /// positive, all of it is lost.
    fn change_without(&self, frames: &Range<usize>) -> f64 {
        let mut left_out: Vec<(usize, bool)> =
            frames.clone().map(|frame| (self.step_of[frame], self.positive[frame])).collect();
        left_out.sort_unstable();
        let mut left_out = left_out.into_iter().peekable();
        // Of those that are left out.
        let (mut ranked, mut found) = (0.0, 0.0);
        let (mut sum, mut positives) = (0.0, 0.0);
        for step in &self.steps {
            let found_before = found;
            while let Some((_, is_positive)) = left_out.next_if(|(place, _)| *place <= step.place) {
                ranked += 1.0;
                found += if is_positive { 1.0 } else { 0.0 };
            }
            let of_step = step.of_step - (found - found_before);
            if of_step > 0.0 {
                sum += of_step * ((step.found - found) / (step.ranked - ranked));
                positives += of_step;
            }
        }
        let of_others = if positives > 0.0 { sum / positives } else { 0.0 };
        of_others - self.value
    }
}

/// The frames of one score. Steps go from the highest score to the lowest.
#[derive(Debug, PartialEq)]
struct Step {
    place: usize,
    /// How many of them are positive.
    of_step: f64,
    /// How many frames have this score or a higher one, and how many of these are positive.
    ranked: f64,
    found: f64,
}

impl Step {
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
    fn an_average_precision_without_some_frames_is_that_of_the_others() {
        let all = Score::average_precision(&SCORES, &POSITIVE).unwrap();
        let always_right = Score::average_precision(&SCORES, &[true; 8]).unwrap();
        let mean = Score::mean_of(&[all.clone(), always_right]).unwrap();
        for left_out in [7..8, 0..3, 1..2, 2..6, 5..8] {
            let times: Vec<usize> =
                (0..8).map(|frame| usize::from(!left_out.contains(&frame))).collect();
            let change = repeated(&times) - repeated(&[1; 8]);
            assert!((all.change_without(&left_out) - change).abs() < 1e-12, "{left_out:?}");
            assert!((mean.change_without(&left_out) - change / 2.0).abs() < 1e-12);
        }
        assert_eq!(all.change_without(&(0..6)), -all.value, "no positive frame is left");
    }

    #[test]
    fn a_ratio_counts_only_what_is_counted() {
        let found = Score::ratio(&[1.0, 0.0, 0.5], &[2.0, 0.0, 1.0]).unwrap();
        assert_eq!(found.value, 0.5);
        assert_eq!(found.influence, [0.0, 0.0, 0.0]);
        assert_eq!(Score::ratio(&[0.0], &[0.0]), None);
    }
}
