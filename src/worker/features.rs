//! From feature maps on a device to 512 numbers for each region (METHOD 6). Whole maps are pooled
//! here, and parts of a map on the CPU ([`surgcam_frames::vision::pooling`]).

use surgcam_frames::vision::pooling::{CellMap, FEATURES};
use surgcam_values::Pool;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use crate::model::libtorch_operators::{PinnedKind, pinned};

/// [C, h, w] -> [512]: adaptive average pool to p1 x p2, channels last, and where C is not p0
/// another one over (p2, C).
pub fn pooled(map: &Tensor, pool: Pool) -> Tensor {
    pooled_batch(&map.unsqueeze(0), pool).squeeze_dim(0)
}

/// [N, C, h, w] -> [N, 512], each as [`pooled`].
pub fn pooled_batch(maps: &Tensor, pool: Pool) -> Tensor {
    let (p0, p1, p2) = pool.shape();
    let channels_last = maps.adaptive_avg_pool2d([p1, p2]).permute([0, 2, 3, 1]);
    let pooled = if channels_last.size()[3] == p0 {
        channels_last
    } else {
        channels_last.adaptive_avg_pool2d([p1, p0])
    };
    pooled.reshape([-1, FEATURES as i64])
}

/// All values of a tensor, on the CPU.
pub fn values_of(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}

/// The values of a contiguous tensor on the CPU, without a copy. The tensor must just have been
/// made, so that nothing else reads its memory.
pub fn values_mut<T: Element>(tensor: &mut Tensor) -> &mut [T] {
    assert!(
        tensor.is_contiguous() && tensor.kind() == T::KIND && tensor.device() == Device::Cpu,
        "values in a row"
    );
    // SAFETY: it has so many values of this kind in a row, and the only tensor with this memory is
    // borrowed mutably.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// The maps [N, C, h, w] of a batch as those of its frames, their channels last, brought to the CPU
/// in one transfer.
pub fn cell_maps_of_batch(maps: &Tensor) -> Vec<OwnedCellMap> {
    let cells = maps.to_kind(Kind::Float).permute([0, 2, 3, 1]).contiguous();
    let cells = downloaded(&cells);
    (0..cells.size()[0]).map(|frame| OwnedCellMap::of_cells(cells.get(frame))).collect()
}

/// A copy of an f32 tensor on the CPU. It waits for the device.
pub fn downloaded(tensor: &Tensor) -> Tensor {
    let mut on_the_cpu = pinned(&tensor.size(), PinnedKind::Float);
    on_the_cpu.copy_(tensor);
    on_the_cpu
}

/// A frame's feature map on the CPU, its channels last.
pub struct OwnedCellMap {
    /// [h, w, C], contiguous f32 on the CPU.
    cells: Tensor,
    height: usize,
    width: usize,
    channels: usize,
}

impl OwnedCellMap {
    /// `map` is [1, C, h, w]. Nothing is copied if its values already lie in this order.
    pub fn of(map: &Tensor) -> Self {
        Self::of_cells(
            map.to_device(Device::Cpu)
                .to_kind(Kind::Float)
                .squeeze_dim(0)
                .permute([1, 2, 0])
                .contiguous(),
        )
    }

    /// `cells`: [h, w, C], contiguous f32 on the CPU.
    fn of_cells(cells: Tensor) -> Self {
        let size: Vec<usize> = cells.size().iter().map(|&side| side as usize).collect();
        OwnedCellMap { cells, height: size[0], width: size[1], channels: size[2] }
    }

    pub fn view(&self) -> CellMap<'_> {
        let count = self.height * self.width * self.channels;
        // SAFETY: `of` made it contiguous f32 on the CPU with so many values, which live as long as
        // the tensor that we keep and are not written to any more.
        let values =
            unsafe { std::slice::from_raw_parts(self.cells.data_ptr().cast::<f32>(), count) };
        CellMap { height: self.height, width: self.width, channels: self.channels, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam_frames::vision::heat_map::HeatMap;
    use surgcam_frames::vision::pooling::{HotCells, pool_part};

    /// The method's own words, in tensors.
    fn hot_cells_in_tensors(map: &Tensor, hot: &[i64], pool: Pool) -> Tensor {
        let (p0, p1, p2) = pool.shape();
        let chosen = map.flatten(1, 2).index_select(1, &Tensor::from_slice(hot));
        let pooled = chosen.reshape([1, 1, -1]).adaptive_avg_pool1d([p0]).reshape([p0, 1]);
        pooled.expand([p0, p1 * p2], false).reshape([FEATURES as i64])
    }

    #[test]
    fn pooling_on_the_cpu_equals_pooling_in_tensors() {
        let _kept = crate::generator::seeded(1);
        for channels in [256, 512, 1024, 2048] {
            let map = Tensor::rand([channels, 5, 7], (Kind::Float, Device::Cpu));
            let cells = OwnedCellMap::of(&map.unsqueeze(0));
            for size in [512u64, 128, 32] {
                let pool = Pool::try_from(size).unwrap();
                let mut found = Vec::new();
                pool_part(&cells.view(), 1..4, 2..3, pool, &mut found);
                let expected = pooled(&map.narrow(1, 1, 3).narrow(2, 2, 1), pool);
                let mut heat = HeatMap { height: 5, width: 7, values: vec![0.0; 35] };
                for cell in [3, 11, 30] {
                    heat.values[cell] = 1.0;
                }
                HotCells::find(&cells.view(), &heat, 0.5).unwrap().pool(
                    || cells.view(),
                    pool,
                    &mut found,
                );
                let expected =
                    Tensor::cat(&[expected, hot_cells_in_tensors(&map, &[3, 11, 30], pool)], 0);
                let worst = (Tensor::from_slice(&found) - expected).abs().max();
                assert!(f64::try_from(worst).unwrap() < 1e-6, "{channels} channels, pool {size}");
            }
        }
    }
}
