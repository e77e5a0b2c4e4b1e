//! Measures repeatedly how long something takes, for speed stages and benchmarks.

use std::time::Instant;

use surgcam_engine::error::Result;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Repetitions that do not count.
    pub warm_up: usize,
    /// At least this many repetitions count, however slow they are.
    pub least: usize,
    pub most: usize,
    /// Between the least and the most repetitions, measuring ends after this many seconds.
    pub seconds: f64,
}

/// Seconds of each repetition.
#[derive(Debug, Clone, Default)]
pub struct Times(pub Vec<f64>);

impl Times {
    /// Repeats `once`, which must return only when the device has done its work. Its results go to
    /// `counted`.
    pub fn measure<T>(
        effort: Effort,
        mut once: impl FnMut(usize) -> Result<T>,
        mut counted: impl FnMut(&T) -> Result<()>,
    ) -> Result<Times> {
        for step in 0..effort.warm_up {
            once(step)?;
        }
        let mut times = Times::default();
        while times.0.len() < effort.most
            && (times.0.len() < effort.least || times.total() < effort.seconds)
        {
            let begun = Instant::now();
            let made = once(effort.warm_up + times.0.len())?;
            times.0.push(begun.elapsed().as_secs_f64());
            counted(&made)?;
        }
        Ok(times)
    }

    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// The middle one, or the mean of the two in the middle; 0 where nothing was measured.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => 0.0,
            count => (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0,
        }
    }

    /// The nearest rank; 0 where nothing was measured.
    pub fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let times = Times((1..=20).rev().map(f64::from).collect());
        assert_eq!((times.percentile(0.5), times.percentile(0.95)), (10.0, 19.0));
        assert_eq!(times.median(), 10.5);
        assert_eq!((Times(vec![3.0, 1.0, 8.0]).median(), Times::default().median()), (3.0, 0.0));
        assert_eq!(Times(vec![3.0]).percentile(0.95), 3.0);
    }

    #[test]
    fn the_least_and_the_most_hold_whatever_the_time() {
        let effort = Effort { warm_up: 2, least: 3, most: 5, seconds: 0.0 };
        let mut steps = Vec::new();
        let keep = |&step: &usize| {
            steps.push(step);
            Ok(())
        };
        let times = Times::measure(effort, Ok, keep).unwrap();
        assert_eq!((times.0.len(), steps), (3, vec![2, 3, 4]));
        assert_eq!(
            Times::measure(Effort { seconds: 9e9, ..effort }, Ok, |_| Ok(())).unwrap().0.len(),
            5
        );
    }
}
