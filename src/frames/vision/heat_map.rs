//! Heat maps, and how they are normalised and enlarged (METHOD 4).

/// The heat map of one class. Its values lie in [0, 1], row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    pub height: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

/// Avoids a division by 0 in a map whose values are all equal.
const EPSILON: f32 = 1e-7;

/// Normalises in place: `n(z) = (z - min z) / (1e-7 + max(z - min z))`.
pub fn normalize(values: &mut [f32]) {
    let (low, high) = extremes(values);
    let range = EPSILON + (high - low);
    for value in values {
        *value = (*value - low) / range;
    }
}

/// The lowest and the highest value. Several lanes are searched side by side, which is faster.
fn extremes(values: &[f32]) -> (f32, f32) {
    const LANES: usize = 16;
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            low[lane] = if chunk[lane] < low[lane] { chunk[lane] } else { low[lane] };
            high[lane] = if chunk[lane] > high[lane] { chunk[lane] } else { high[lane] };
        }
    }
    let low = low.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
    let high = high.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    (low, high)
}

impl HeatMap {
    /// Whether each cell is strictly hotter than T_ROI. Boxes, hot cells and joint training all use
    /// this comparison.
    pub fn is_hot(&self, roi_threshold: f64) -> impl ExactSizeIterator<Item = bool> {
        let threshold = roi_threshold as f32;
        self.values.iter().map(move |&value| value > threshold)
    }

    /// The indices of the cells that are hotter than T_ROI, rising.
    pub fn hot_cells(&self, roi_threshold: f64) -> Vec<usize> {
        self.is_hot(roi_threshold)
            .enumerate()
            .filter_map(|(cell, is_hot)| is_hot.then_some(cell))
            .collect()
    }

    /// Enlarges the map bilinearly (with half-pixel centres and without antialiasing), sets what is
    /// below 0 to 0, and normalises again.
    pub fn resized(&self, height: usize, width: usize) -> HeatMap {
        let columns = axis_weights(self.width, width);
        let widened: Vec<f32> = self
            .values
            .chunks_exact(self.width)
            .flat_map(|row| {
                columns.iter().map(|column| {
                    row[column.low] * (1.0 - column.weight) + row[column.high] * column.weight
                })
            })
            .collect();
        let mut values = Vec::with_capacity(height * width);
        for row in axis_weights(self.height, height) {
            let upper = &widened[row.low * width..][..width];
            let lower = &widened[row.high * width..][..width];
            values.extend(
                upper.iter().zip(lower).map(|(upper, lower)| {
                    (upper * (1.0 - row.weight) + lower * row.weight).max(0.0)
                }),
            );
        }
        normalize(&mut values);
        HeatMap { height, width, values }
    }
}

struct AxisWeight {
    low: usize,
    high: usize,
    /// The weight of `high`. The weight of `low` is the rest to 1.
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
