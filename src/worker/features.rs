//! From feature maps to 512 numbers a region (METHOD 6).

use surgcam::recipe::values::Pool;
use surgcam::vision::geometry::Box2;
use surgcam::vision::heat_map::HeatMap;
use tch::{Device, Kind, Tensor};

use crate::model::resnet::FeatureMaps;

/// Numbers in the features of a region.
pub const FEATURES: i64 = 512;

/// [C, h, w] -> [512]: adaptive average pool to p1 x p2, channels last, and where C is not p0 another one over (p2, C).
pub fn pooled(map: &Tensor, pool: Pool) -> Tensor {
    pooled_batch(&map.unsqueeze(0), pool).squeeze_dim(0)
}

/// [N, C, h, w] -> [N, 512], each as [`pooled`].
pub fn pooled_batch(maps: &Tensor, pool: Pool) -> Tensor {
    let (p0, p1, p2) = pool.shape();
    let channels_last = maps.adaptive_avg_pool2d([p1, p2]).permute([0, 2, 3, 1]);
    let pooled = if channels_last.size()[3] == p0 { channels_last } else { channels_last.adaptive_avg_pool2d([p1, p0]) };
    pooled.reshape([-1, FEATURES])
}

/// L-FE: the box's part of the map that its area chooses. `maps` are of one frame, each [1, C, h, w]; boxes count in the
/// picture's `[height, width]`.
pub fn of_box(maps: &FeatureMaps, bounds: &Box2, [height, width]: [u32; 2], pool: Pool) -> Tensor {
    let picture_area = i64::from(height) * i64::from(width);
    let map = if bounds.area() * 16 < picture_area {
        &maps.layer2
    } else if bounds.area() * 4 < picture_area {
        &maps.layer3
    } else {
        &maps.layer4
    };
    let size = map.size();
    let (y1, y2) = cells(bounds.y1, bounds.y2, height, size[2]);
    let (x1, x2) = cells(bounds.x1, bounds.x2, width, size[3]);
    let part = map.narrow(2, y1, y2 - y1).narrow(3, x1, x2 - x1);
    pooled_batch(&part, pool).squeeze_dim(0)
}

/// A side of a box in a map's cells: rounded with ties to even; a side of no cell grows by one, backwards at the far edge.
fn cells(low: i64, high: i64, picture: u32, map: i64) -> (i64, i64) {
    let scale = |value: i64| (value as f64 * map as f64 / f64::from(picture)).round_ties_even() as i64;
    let (low, high) = (scale(low), scale(high));
    match (low == high, high < map) {
        (false, _) => (low, high),
        (true, true) => (low, high + 1),
        (true, false) => (low - 1, high),
    }
}

/// SL-FE: the hot cells of a map [C, h, w] as one vector, pooled to p0 numbers, each repeated. `None` where no cell is hot.
/// `heat` has the map's size.
pub fn of_hot_cells(map: &Tensor, heat: &HeatMap, roi_threshold: f64, pool: Pool) -> Option<Tensor> {
    let threshold = roi_threshold as f32;
    let hot: Vec<i64> = heat.values.iter().enumerate().filter(|(_, value)| **value > threshold).map(|(cell, _)| cell as i64).collect();
    if hot.is_empty() {
        return None;
    }
    let (p0, p1, p2) = pool.shape();
    // [C, cells] in the order k, then i, j, as one row.
    let chosen = map.flatten(1, 2).index_select(1, &Tensor::from_slice(&hot).to_device(map.device()));
    let pooled = chosen.reshape([1, 1, -1]).adaptive_avg_pool1d([p0]).reshape([p0, 1]);
    Some(pooled.expand([p0, p1 * p2], false).reshape([FEATURES]))
}

/// Rows of [512] on the CPU as [R, 512]; none give [0, 512].
pub fn stacked(rows: &[Tensor]) -> Tensor {
    if rows.is_empty() { Tensor::zeros([0, FEATURES], (Kind::Float, Device::Cpu)) } else { Tensor::stack(rows, 0).to_device(Device::Cpu) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_without_a_cell_grows() {
        assert_eq!(cells(10, 12, 320, 10), (0, 1));
        assert_eq!(cells(318, 320, 320, 10), (9, 10));
        // 48 / 32 = 1.5 and 80 / 32 = 2.5 both round to 2.
        assert_eq!(cells(48, 80, 320, 10), (2, 3));
        assert_eq!(cells(0, 320, 320, 10), (0, 10));
    }

    #[test]
    fn every_pool_gives_512_numbers_from_any_map() {
        for channels in [256, 512, 2048] {
            let map = Tensor::rand([channels, 3, 1], (Kind::Float, Device::Cpu));
            for size in [512u64, 128, 32] {
                let pool = Pool::try_from(size).unwrap();
                assert_eq!(pooled(&map, pool).size(), [512]);
                let heat = HeatMap { height: 3, width: 1, values: vec![0.0, 1.0, 0.9] };
                assert_eq!(of_hot_cells(&map, &heat, 0.5, pool).unwrap().size(), [512]);
                assert!(of_hot_cells(&map, &HeatMap { values: vec![0.0; 3], ..heat }, 0.5, pool).is_none());
            }
        }
    }
}
