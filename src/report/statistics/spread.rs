//! The mean of some values and how much they vary.

/// The mean; `None` without a value.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation, which divides by one less than the number of values (NumPy's
/// `ddof=1`). A single value has none.
pub fn sample_deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        values: Vec<f64>,
        mean: f64,
        deviation: f64,
    }

    #[test]
    fn mean_and_deviation_of_some_seeds_are_numpys() {
        let text = include_str!("../../../tests/golden/statistics.json");
        let golden: Golden = serde_json::from_str(text).unwrap();
        assert!(golden.cases.iter().any(|case| case.values.len() == 3));
        for case in golden.cases {
            let (found, deviation) =
                (mean(&case.values).unwrap(), sample_deviation(&case.values).unwrap());
            assert!((found - case.mean).abs() <= 1e-9 * case.mean.abs(), "{found}");
            assert!((deviation - case.deviation).abs() <= 1e-9 * case.deviation, "{deviation}");
        }
    }

    #[test]
    fn a_single_value_has_a_mean_and_no_deviation() {
        assert_eq!((mean(&[0.5]), sample_deviation(&[0.5])), (Some(0.5), None));
        assert_eq!((mean(&[]), sample_deviation(&[])), (None, None));
    }
}
