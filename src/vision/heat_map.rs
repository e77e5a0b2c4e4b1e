//! Heat maps: normalising and enlarging them (METHOD 4).

/// A map of one class, row by row, in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    pub height: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

/// Keeps a map of one single value from being divided by 0.
const EPSILON: f32 = 1e-7;

/// `n(z) = (z - min z) / (1e-7 + max(z - min z))`, in place.
pub fn normalize(values: &mut [f32]) {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low;
    for value in values {
        *value = (*value - low) / (EPSILON + high);
    }
}

impl HeatMap {
    /// Bilinear (half-pixel centres, no antialias), clamped at 0 and normalised again.
    pub fn resized(&self, height: usize, width: usize) -> HeatMap {
        let rows = axis_weights(self.height, height);
        let columns = axis_weights(self.width, width);
        let mut values = Vec::with_capacity(height * width);
        for row in &rows {
            let above = &self.values[row.low * self.width..][..self.width];
            let below = &self.values[row.high * self.width..][..self.width];
            for column in &columns {
                let upper = above[column.low] * (1.0 - column.weight) + above[column.high] * column.weight;
                let lower = below[column.low] * (1.0 - column.weight) + below[column.high] * column.weight;
                values.push((upper * (1.0 - row.weight) + lower * row.weight).max(0.0));
            }
        }
        normalize(&mut values);
        HeatMap { height, width, values }
    }
}

struct AxisWeight {
    low: usize,
    high: usize,
    /// Of `high`; `low` has the rest.
    weight: f32,
}

fn axis_weights(from: usize, to: usize) -> Vec<AxisWeight> {
    let scale = from as f32 / to as f32;
    (0..to)
        .map(|target| {
            let source = ((target as f32 + 0.5) * scale - 0.5).max(0.0);
            let low = (source as usize).min(from - 1);
            AxisWeight { low, high: (low + 1).min(from - 1), weight: source - low as f32 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_zeros_stays_zero() {
        let map = HeatMap { height: 2, width: 2, values: vec![0.0; 4] };
        assert!(map.resized(5, 7).values.iter().all(|&value| value == 0.0));
    }

    #[test]
    fn half_pixel_centres_as_in_a_hand_computed_row() {
        let map = HeatMap { height: 1, width: 2, values: vec![0.0, 1.0] };
        let expected = [0.0, 0.25, 0.75, 1.0];
        for (value, expected) in map.resized(1, 4).values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6);
        }
    }
}
