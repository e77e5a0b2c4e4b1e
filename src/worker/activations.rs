//! The results of a frame's forward passes: its feature maps and its logits.

use std::cell::OnceCell;

use surgcam_frames::vision::pooling::CellMap;
use surgcam_values::{BatchNormStatistics, Pool};
use tch::{Kind, Tensor};

use crate::features::{self, OwnedCellMap};
use crate::model::resnet::FeatureMaps;
use crate::remembered::Remembered;

/// The feature maps of a frame.
pub struct FrameMaps {
    /// Each [1, C, h, w], on the device.
    maps: FeatureMaps,
    /// The maps of layers 2, 3 and 4 on the CPU. They are made when a mode takes cells from them.
    cells: [OnceCell<OwnedCellMap>; 3],
}

impl FrameMaps {
    fn new(maps: FeatureMaps) -> Self {
        FrameMaps { maps, cells: Default::default() }
    }

    /// [1, C, h, w]
    pub fn feature_map(&self, layer: usize) -> &Tensor {
        match layer {
            2 => &self.maps.layer2,
            3 => &self.maps.layer3,
            _ => &self.maps.layer4,
        }
    }

    /// A layer's map with its channels last, on the CPU.
    pub fn cells(&self, layer: usize) -> CellMap<'_> {
        self.cells[layer - 2].get_or_init(|| OwnedCellMap::of(self.feature_map(layer))).view()
    }

    pub fn has_cells(&self, layer: usize) -> bool {
        self.cells[layer - 2].get().is_some()
    }

    /// Keeps a layer's map that was brought to the CPU with those of its whole batch.
    pub fn keep_cells(&self, layer: usize, cells: OwnedCellMap) {
        // One that is there already has the same values.
        let _ = self.cells[layer - 2].set(cells);
    }
}

/// The activations of a frame. They move between threads as a whole.
pub struct FrameActivations {
    /// By the running statistics.
    pub maps: FrameMaps,
    /// By the frame's own statistics, where the extractor makes them.
    maps_by_frame_statistics: Option<FrameMaps>,
    /// By the running statistics.
    pub logits: Vec<f32>,
    /// Only for a temporal classifier: the pooled features of the frame's clip [clip length, C4],
    /// on the device, the frame's own at the end.
    pub clip: Option<Tensor>,
    /// All of layer 4 as a region, which the settings of a sweep share.
    pooled_layer4: Remembered<Pool, Vec<f32>>,
}

impl FrameActivations {
    pub fn new(
        maps: FeatureMaps,
        by_frame_statistics: Option<FeatureMaps>,
        logits: Vec<f32>,
    ) -> Self {
        FrameActivations {
            maps: FrameMaps::new(maps),
            maps_by_frame_statistics: by_frame_statistics.map(FrameMaps::new),
            logits,
            clip: None,
            pooled_layer4: Remembered::default(),
        }
    }

    /// The maps that are normalised by these statistics. `None` if the extractor does not make
    /// them.
    pub fn maps_by(&self, statistics: BatchNormStatistics) -> Option<&FrameMaps> {
        match statistics {
            BatchNormStatistics::Running => Some(&self.maps),
            BatchNormStatistics::Frame => self.maps_by_frame_statistics.as_ref(),
        }
    }

    /// Sigmoid of a class's logit.
    pub fn probability(&self, class: usize) -> f32 {
        1.0 / (1.0 + (-self.logits[class]).exp())
    }

    /// [512]: layer 4 pooled as a whole. The device computes it the first time that it is asked
    /// for.
    pub fn pooled_layer4(&self, pool: Pool) -> Vec<f32> {
        let pooled = self.pooled_layer4.answer(pool, || {
            let map = self.maps.feature_map(4).squeeze_dim(0).to_kind(Kind::Float);
            features::values_of(&features::pooled(&map, pool))
        });
        pooled.to_vec()
    }
}
