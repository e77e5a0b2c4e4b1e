//! Pools the feature map of a frame to the 512 features of a region (METHOD 6).
//!
//! This is done without a tensor library: a sweep pools the same map for hundreds of regions of a
//! few cells each, and calls into such a library cost more time than the sums themselves.

use std::ops::Range;

use super::geometry::Box2;
use super::heat_map::HeatMap;
use surgcam_values::Pool;

/// How many numbers the features of a region have.
pub const FEATURES: usize = 512;

/// A feature map with its channels last: row by row, cell by cell.
#[derive(Debug, Clone, Copy)]
pub struct CellMap<'a> {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// `[height, width, channels]`.
    pub values: &'a [f32],
}

impl CellMap<'_> {
    fn cell(&self, y: usize, x: usize) -> &[f32] {
        &self.values[(y * self.width + x) * self.channels..][..self.channels]
    }
}

/// The part `index` of a row of `length` values that adaptive pooling cuts into `bins` parts. Parts
/// may overlap.
fn bin(index: usize, bins: usize, length: usize) -> Range<usize> {
    index * length / bins..((index + 1) * length).div_ceil(bins)
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

/// L-FE: appends the 512 features of a part of the map. Adaptive average pooling makes p1 x p2
/// cells of it, and then p0 numbers of the channels of each cell.
pub fn pool_part(
    map: &CellMap,
    rows: Range<usize>,
    columns: Range<usize>,
    pool: Pool,
    features: &mut Vec<f32>,
) {
    let (p0, p1, p2) = pool.shape();
    let (p0, p1, p2) = (p0 as usize, p1 as usize, p2 as usize);
    let mut sums = vec![0.0; map.channels];
    for i in 0..p1 {
        let bin_rows = bin(i, p1, rows.len());
        for j in 0..p2 {
            let bin_columns = bin(j, p2, columns.len());
            sums.fill(0.0);
            for y in bin_rows.clone() {
                for x in bin_columns.clone() {
                    add(&mut sums, map.cell(rows.start + y, columns.start + x));
                }
            }
            let cells = (bin_rows.len() * bin_columns.len()) as f32;
            features
                .extend((0..p0).map(|channel| mean(&sums[bin(channel, p0, map.channels)]) / cells));
        }
    }
}

fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// The cells of a box in a map: each side is scaled and rounded, ties to even. A side without a
/// cell gets one more, which is the one before it at the far edge. The box is in pixels of a
/// picture of `[height, width]`.
pub fn cells_of_box(
    bounds: &Box2,
    [height, width]: [u32; 2],
    map: &CellMap,
) -> (Range<usize>, Range<usize>) {
    (side(bounds.y1, bounds.y2, height, map.height), side(bounds.x1, bounds.x2, width, map.width))
}

fn side(low: i64, high: i64, picture: u32, map: usize) -> Range<usize> {
    let scale =
        |value: i64| (value as f64 * map as f64 / f64::from(picture)).round_ties_even() as usize;
    let (low, high) = (scale(low), scale(high));
    match (low == high, high < map) {
        (false, _) => low..high,
        (true, true) => low..high + 1,
        (true, false) => low - 1..high,
    }
}

/// The hot cells of a map, of which SL-FE makes features.
#[derive(Debug, Clone)]
pub struct HotCells {
    cells: Vec<usize>,
    /// The sum over the hot cells, for each channel.
    sums: Vec<f32>,
}

impl HotCells {
    /// The cells that are hotter than T_ROI. `None`: there is none. `heat` has the size of the map.
    pub fn find(map: &CellMap, heat: &HeatMap, roi_threshold: f64) -> Option<Self> {
        let cells = heat.hot_cells(roi_threshold);
        let mut sums = vec![0.0; map.channels];
        cells.iter().for_each(|&cell| add(&mut sums, map.cell(cell / map.width, cell % map.width)));
        Self::with_sums(cells, sums)
    }

    /// The same for cells whose values were summed elsewhere, channel by channel. `None`: there is
    /// no cell.
    pub fn with_sums(cells: Vec<usize>, sums: Vec<f32>) -> Option<Self> {
        (!cells.is_empty()).then_some(HotCells { cells, sums })
    }

    /// Whether pooling a map of so many channels needs the sums alone, because each of its numbers
    /// is the mean of whole channels.
    pub fn pools_whole_channels(channels: usize, pool: Pool) -> bool {
        channels.is_multiple_of(pool.shape().0 as usize)
    }

    /// SL-FE: appends 512 features. All hot values form one row, channel by channel, which is
    /// pooled to p0 numbers, and each is repeated. `map` is called only if numbers are means of
    /// parts of channels.
    pub fn pool<'m>(&self, map: impl Fn() -> CellMap<'m>, pool: Pool, features: &mut Vec<f32>) {
        let (p0, p1, p2) = pool.shape();
        let (bins, repeats) = (p0 as usize, (p1 * p2) as usize);
        for index in 0..bins {
            let channels = self.sums.len();
            let pooled = if Self::pools_whole_channels(channels, pool) {
                // This part of the row has whole channels.
                mean(&self.sums[bin(index, bins, channels)]) / self.cells.len() as f32
            } else {
                self.mean_of_row(&map(), bin(index, bins, channels * self.cells.len()))
            };
            features.extend(std::iter::repeat_n(pooled, repeats));
        }
    }

    fn mean_of_row(&self, map: &CellMap, part: Range<usize>) -> f32 {
        let value = |position: usize| {
            let (channel, cell) =
                (position / self.cells.len(), self.cells[position % self.cells.len()]);
            map.values[cell * map.channels + channel]
        };
        let length = part.len() as f32;
        part.map(value).sum::<f32>() / length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_side_without_a_cell_grows() {
        assert_eq!(side(10, 12, 320, 10), 0..1);
        assert_eq!(side(318, 320, 320, 10), 9..10);
        // 48 / 32 = 1.5 and 80 / 32 = 2.5 both round to 2.
        assert_eq!(side(48, 80, 320, 10), 2..3);
        assert_eq!(side(0, 320, 320, 10), 0..10);
    }

    #[test]
    fn bins_are_those_of_adaptive_pooling() {
        let bins =
            |bins, length| (0..bins).map(|index| bin(index, bins, length)).collect::<Vec<_>>();
        assert_eq!(bins(2, 4), [0..2, 2..4]);
        assert_eq!(bins(4, 3), [0..1, 0..2, 1..3, 2..3]);
        assert_eq!(bins(3, 1), [0..1, 0..1, 0..1]);
    }

    proptest! {
        /// The mean of equal values is that value, whatever the part and the pool.
        #[test]
        fn a_constant_map_gives_its_constant(
            height in 1..9_usize,
            width in 1..9_usize,
            channels in prop::sample::select(vec![256_usize, 512, 1024, 40]),
            value in -5.0..5.0_f32,
        ) {
            let values = vec![value; height * width * channels];
            let map = CellMap { height, width, channels, values: &values };
            for size in [512, 128, 32] {
                let pool = Pool::try_from(size).unwrap();
                let mut features = Vec::new();
                pool_part(&map, 0..height, 0..width, pool, &mut features);
                let heat = HeatMap { height, width, values: vec![1.0; height * width] };
                HotCells::find(&map, &heat, 0.5).unwrap().pool(|| map, pool, &mut features);
                prop_assert_eq!(features.len(), 2 * FEATURES);
                prop_assert!(features.iter().all(|feature| (feature - value).abs() < 1e-3));
                prop_assert!(HotCells::find(&map, &heat, 1.0).is_none());
            }
        }
    }
}
