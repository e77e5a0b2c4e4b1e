//! How long the values of consecutive frames stay correlated.

/// Sokal's window: the sum ends at the first lag that is this many correlation times long.
const WINDOW: f64 = 5.0;

/// The integrated autocorrelation time, in frames: one plus twice the sum of the autocorrelations
/// of all lags. It is 1 for independent values. The mean of all values must be 0; lags never reach
/// from one sequence to the next.
pub fn correlation_time(sequences: &[&[f64]]) -> f64 {
    let count: usize = sequences.iter().map(|values| values.len()).sum();
    let square: f64 = sequences.iter().flat_map(|values| values.iter()).map(|v| v * v).sum();
    let longest = sequences.iter().map(|values| values.len()).max().unwrap_or(0);
    if count == 0 || square <= 0.0 {
        return 1.0;
    }
    let mut time = 1.0;
    for lag in 1..longest {
        let products = |values: &&[f64]| -> f64 {
            values.iter().zip(values.iter().skip(lag)).map(|(a, b)| a * b).sum()
        };
        time += 2.0 * sequences.iter().map(products).sum::<f64>() / square;
        if lag as f64 >= WINDOW * time {
            break;
        }
    }
    time.max(1.0)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use surgcam_frames::random::stream;

    use super::*;

    #[test]
    fn runs_of_equal_values_are_correlated_for_as_long_as_they_are() {
        let alternating: Vec<f64> =
            (0..400).map(|frame| if frame % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert_eq!(correlation_time(&[&alternating]), 1.0);
        let mut draws = stream("runs of ten");
        let runs = (0..400).map(|_| draws.random_range(-1.0_f64..1.0));
        let values: Vec<f64> = runs.flat_map(|value| [value; 10]).collect();
        let time = correlation_time(&[&values]);
        assert!((5.0..20.0).contains(&time), "{time}");
        assert_eq!(correlation_time(&[&[0.0; 30]]), 1.0);
        assert_eq!(correlation_time(&[]), 1.0);
    }
}
