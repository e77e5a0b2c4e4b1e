//! Ranges of a matrix: `{ from = 0.1, to = 0.9, step = 0.1 }`, or `count` in place of `step`, as
//! the list that they stand for.
//!
//! Both ends belong to the range. Its values are the numbers that a person would have written,
//! without the small errors of binary fractions. A range that is empty, endless or too long is
//! refused before its list is made.

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// The most values that a range may stand for.
pub(super) const MOST_VALUES: usize = 100_000;

pub(super) fn is_range(table: &toml::Table) -> bool {
    table.contains_key("from") || table.contains_key("to")
}

/// The value as a number, if it is one.
pub(super) fn number(value: &toml::Value) -> Option<f64> {
    match value {
        toml::Value::Integer(value) => Some(*value as f64),
        toml::Value::Float(value) => Some(*value),
        _ => None,
    }
}

/// The list that a range stands for. Messages call the range by `name`, the name of its axis.
pub(super) fn range_values(name: &str, range: &toml::Table) -> Result<Vec<toml::Value>> {
    let wrong = |what: &str| {
        Error::usage(format!("the range of the matrix's `{name}` {what}"))
            .hint("a range has from, to, and step or count: { from = 0.1, to = 0.9, step = 0.1 }")
    };
    if let Some(unknown) =
        range.keys().find(|key| !["from", "to", "step", "count"].contains(&key.as_str()))
    {
        return Err(wrong(&format!("has a key `{}`", shortened(unknown))));
    }
    let part = |key: &str| {
        range
            .get(key)
            .map(|value| {
                number(value)
                    .filter(|value| value.is_finite())
                    .ok_or_else(|| wrong(&format!("has a `{key}` that is not a number")))
            })
            .transpose()
    };
    let (Some(from), Some(to)) = (part("from")?, part("to")?) else {
        return Err(wrong("has no `from` or no `to`"));
    };
    if !(to - from).is_finite() {
        return Err(wrong("has ends that are too far apart"));
    }
    let (step, count) = match (part("step")?, part("count")?) {
        (Some(step), None) if step > 0.0 && to >= from => {
            (step, ((to - from) / step + 1e-9).floor() + 1.0)
        }
        (Some(_), None) => return Err(wrong("never gets from `from` to `to`")),
        (None, Some(count)) if count >= 2.0 && count.fract() == 0.0 => {
            ((to - from) / (count - 1.0), count)
        }
        (None, Some(_)) => {
            return Err(wrong("has a `count` that is not a whole number of at least 2"));
        }
        _ => return Err(wrong("needs one of `step` and `count`")),
    };
    if count > MOST_VALUES as f64 {
        return Err(wrong(&format!("has more than {MOST_VALUES} values")));
    }
    let is_whole = ["from", "to", "step"]
        .iter()
        .all(|key| range.get(*key).is_none_or(toml::Value::is_integer))
        && step.fract() == 0.0;
    if is_whole && [from, to, step].iter().any(|value| value.abs() > MOST_EXACT) {
        return Err(wrong("has whole numbers that are too large to count with; list them"));
    }
    let decimals = decimals(from.abs().max(to.abs()));
    let value = |position: usize| {
        let exact = from + position as f64 * step;
        if is_whole {
            toml::Value::Integer(exact as i64)
        } else {
            toml::Value::Float(rounded(exact, decimals))
        }
    };
    let values: Vec<toml::Value> = (0..count as usize).map(value).collect();
    if values.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(wrong("has the same value twice: `from` and `to` are too near each other"));
    }
    Ok(values)
}

/// An f64 holds every whole number up to this one exactly.
const MOST_EXACT: f64 = (1_u64 << 53) as f64;

/// How many decimals are kept of numbers up to `largest`. An f64 has not quite 16 digits, so the
/// last ones of 0.1 + 2 * 0.1 are wrong, and 0.3 is meant.
fn decimals(largest: f64) -> usize {
    let before_point = if largest > 0.0 { largest.log10().floor() as i32 } else { 0 };
    let decimals = if before_point >= 0 { (14 - before_point).min(12) } else { 11 - before_point };
    decimals.clamp(0, 330) as usize
}

fn rounded(exact: f64, decimals: usize) -> f64 {
    let rounded: f64 = format!("{exact:.decimals$}").parse().unwrap_or(exact);
    // No -0.
    rounded + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_and_large_numbers_keep_their_digits() {
        let values = |range: &str| {
            let values = range_values("x", &range.parse().unwrap()).unwrap();
            values.iter().map(toml::Value::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            values("from = 1e-14\nto = 3e-14\nstep = 1e-14"),
            "0.00000000000001 0.00000000000002 0.00000000000003"
        );
        assert_eq!(
            values("from = 100000.1\nto = 100000.3\nstep = 0.1"),
            "100000.1 100000.2 100000.3"
        );
        assert_eq!(values("from = -0.3\nto = 0.3\nstep = 0.1"), "-0.3 -0.2 -0.1 0.0 0.1 0.2 0.3");
        assert_eq!(values("from = 0\nto = 1\ncount = 4"), "0.0 0.333333333333 0.666666666667 1.0");
    }

    proptest! {
        #[test]
        fn a_decimal_range_has_the_decimals_of_its_ends(
            first in -2000_i64..2000,
            step in 1_i64..500,
            count in 1_usize..200,
            places in 0_usize..7,
        ) {
            let decimal = |units: i64| format!("{units}e-{places}");
            let last = first + step * (count as i64 - 1);
            let [from, to, by] = [first, last, step].map(decimal);
            let range = format!("from = {from}\nto = {to}\nstep = {by}");
            let values = range_values("x", &range.parse().unwrap()).unwrap();
            let value = |position: i64| decimal(first + step * position).parse::<f64>().unwrap();
            let expected: Vec<f64> = (0..count as i64).map(value).collect();
            // Equal numbers print the same: none is 0.30000000000000004.
            prop_assert_eq!(values.iter().filter_map(number).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn no_range_makes_the_reader_hang_or_panic(
            from: f64,
            to: f64,
            step: f64,
            count: i64,
            by_count: bool,
        ) {
            let parts = if by_count {
                ("count", toml::Value::Integer(count))
            } else {
                ("step", toml::Value::Float(step))
            };
            let ends = [("from", toml::Value::Float(from)), ("to", toml::Value::Float(to)), parts];
            let range = ends.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
            if let Ok(values) = range_values("x", &range) {
                prop_assert!(!values.is_empty() && values.len() <= MOST_VALUES);
            }
        }

        #[test]
        fn a_range_stays_between_its_ends(
            from in -100.0..100.0_f64,
            length in 0.0..50.0_f64,
            step in 0.01..5.0_f64,
        ) {
            let text = format!("from = {from:?}\nto = {:?}\nstep = {step:?}", from + length);
            let range: toml::Table = text.parse().unwrap();
            let values = range_values("x", &range).unwrap();
            let last = values.last().and_then(number).unwrap();
            prop_assert!(last <= from + length + 1e-6 && last > from + length - step - 1e-6);
            let first = number(&values[0]).map(|value| (value - from).abs() < 1e-9);
            prop_assert_eq!(first, Some(true));
        }
    }
}
