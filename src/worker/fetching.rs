//! Brings what modes need of a batch from the device, in few transfers.
//!
//! On the CPU nothing needs to be fetched. From a GPU, a layer's maps come in one transfer for the
//! whole batch. SL-FE needs no map on the CPU: the CPU says which cells are hot, and the device
//! sums them, so only the sums of each class are transferred.

use rayon::prelude::*;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::pooling::HotCells;
use surgcam_values::Pool;
use tch::{Device, Kind, Tensor};

use crate::activations::FrameMaps;
use crate::features::{cell_maps_of_batch, downloaded, values_mut};
use crate::heat_maps::{Cells, FrameHeatMaps};
use crate::model::libtorch_operators::{PinnedKind, pinned};

/// Afterwards [`FrameMaps::cells`] can be called for this layer from any thread.
pub fn fetch_feature_maps(batch: &[&FrameMaps], layer: usize, device: Device) {
    if device == Device::Cpu {
        batch.iter().for_each(|maps| {
            maps.cells(layer);
        });
    } else {
        fetch_in_one_transfer(batch, layer);
    }
}

/// Afterwards [`FrameHeatMaps::hot_cells`] can be called for these cells from any thread, and its
/// result can be pooled in this way. The maps are normalised by the statistics that the cells ask
/// for.
pub fn fetch_hot_cells(
    batch: &[(&FrameMaps, &FrameHeatMaps)],
    cells: Cells,
    pool: Pool,
    device: Device,
) {
    if device == Device::Cpu {
        let maps: Vec<&FrameMaps> = batch.iter().map(|(maps, _)| *maps).collect();
        fetch_feature_maps(&maps, cells.layer, device);
    } else {
        fetch_sums(batch, cells, pool, device);
    }
}

/// [N, C, h, w] of a layer.
fn batch_of(batch: &[&FrameMaps], layer: usize) -> Tensor {
    Tensor::cat(&batch.iter().map(|maps| maps.feature_map(layer)).collect::<Vec<_>>(), 0)
}

fn fetch_in_one_transfer(batch: &[&FrameMaps], layer: usize) {
    // The settings of a sweep share what is fetched.
    if batch.iter().all(|maps| maps.has_cells(layer)) {
        return;
    }
    let cells = tch::no_grad(|| cell_maps_of_batch(&batch_of(batch, layer)));
    batch.iter().zip(cells).for_each(|(maps, cells)| maps.keep_cells(layer, cells));
}

fn fetch_sums(batch: &[(&FrameMaps, &FrameHeatMaps)], cells: Cells, pool: Pool, device: Device) {
    let (maps, heat_maps): (Vec<&FrameMaps>, Vec<&FrameHeatMaps>) = batch.iter().copied().unzip();
    let Some(first) = maps.first() else { return };
    let channels = first.feature_map(cells.layer).size()[1] as usize;
    if !HotCells::pools_whole_channels(channels, pool) {
        return fetch_in_one_transfer(&maps, cells.layer);
    }
    if !heat_maps.iter().all(|heat_maps| heat_maps.has_hot_cells(cells)) {
        sum_hot_cells(&batch_of(&maps, cells.layer), &heat_maps, cells, device);
    }
}

/// Sums the hot cells of all frames and classes with one matrix product: [N, P, h w] of 0 and 1
/// times [N, h w, C]. `maps`: [N, C, h, w].
fn sum_hot_cells(maps: &Tensor, heat_maps: &[&FrameHeatMaps], wanted: Cells, device: Device) {
    tch::no_grad(|| {
        let maps = maps.to_kind(Kind::Float);
        let [frames, channels, height, width] =
            [0, 1, 2, 3].map(|dimension| maps.size()[dimension]);
        let cells = (height * width) as usize;
        let of_frames: Vec<&[HeatMap]> =
            heat_maps.iter().map(|heat_maps| heat_maps.maps.as_slice()).collect();
        let hot_of = |map: &HeatMap| {
            map.resized(height as usize, width as usize).hot_cells(wanted.roi_threshold)
        };
        let hot_of_frame =
            |maps: &&[HeatMap]| -> Vec<Vec<usize>> { maps.iter().map(hot_of).collect() };
        // Waking another thread takes longer than one frame.
        let hot: Vec<Vec<Vec<usize>>> = match of_frames.as_slice() {
            [maps] => vec![hot_of_frame(maps)],
            maps => maps.par_iter().map(hot_of_frame).collect(),
        };
        let classes = hot.iter().map(Vec::len).max().unwrap_or(0);
        if classes == 0 {
            return heat_maps
                .iter()
                .for_each(|heat_maps| heat_maps.keep_hot_cells(wanted, Vec::new()));
        }
        let mut chosen = pinned(&[frames, classes as i64, cells as i64], PinnedKind::Float);
        let values = values_mut::<f32>(&mut chosen);
        values.fill(0.0);
        for (frame, classes_of_frame) in values.chunks_mut(classes * cells).zip(&hot) {
            for (class, hot) in frame.chunks_mut(cells).zip(classes_of_frame) {
                hot.iter().for_each(|&cell| class[cell] = 1.0);
            }
        }
        let chosen = chosen.to_device_(device, Kind::Float, true, false);
        let sums =
            chosen.bmm(&maps.permute([0, 2, 3, 1]).reshape([frames, cells as i64, channels]));
        let mut sums = downloaded(&sums);
        let sums_of_frames = values_mut::<f32>(&mut sums).chunks(classes * channels as usize);
        for ((heat_maps, hot), sums) in heat_maps.iter().zip(hot).zip(sums_of_frames) {
            let of_class =
                |(cells, sums): (Vec<usize>, &[f32])| HotCells::with_sums(cells, sums.to_vec());
            let found = hot.into_iter().zip(sums.chunks(channels as usize)).map(of_class).collect();
            heat_maps.keep_hot_cells(wanted, found);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activations::FrameActivations;
    use crate::model::resnet::FeatureMaps;
    use crate::modes::{FrameInput, ReadRegions, RegionFeatures};
    use crate::regions::FrameSpace;
    use crate::self_test::golden_set::plain_frame;
    use surgcam_pipeline::settings::{
        Architecture, CamSettings, ExtractionSettings, Normalization, RegionSettings,
    };
    use surgcam_values::{
        Backbone, BatchNormStatistics, CamMethod, FeatureLayer, Mode, Precision, Present,
    };

    const SPACE: FrameSpace = FrameSpace { image_size: [96, 128], classes: 4 };

    fn settings(mode: Mode, pool: u64, layer: FeatureLayer) -> ExtractionSettings {
        let cam = CamSettings {
            method: CamMethod::GradCam,
            layer: FeatureLayer::Layer4,
            present: Present::Classes(vec![]),
        };
        ExtractionSettings {
            mode,
            regions: Some(RegionSettings {
                cam,
                roi_threshold: 0.5,
                minimum_area: Some(25),
                feature_layer: Some(layer),
            }),
            architecture: Architecture::of_frames(Backbone::ResNet18, 4),
            normalization: Normalization { mean: [0.0; 3], std: [1.0; 3] },
            pool: Pool::try_from(pool).unwrap(),
            precision: Precision::F32,
            batch_norm: BatchNormStatistics::Running,
            crop_size: None,
            crop_layer: None,
        }
    }

    fn heat_map(seed: usize) -> HeatMap {
        let value = |cell: usize| ((cell * 29 + seed * 17) % 31) as f32 / 31.0;
        HeatMap { height: 3, width: 4, values: (0..12).map(value).collect() }
    }

    /// Frames whose present classes differ in number, one of them without a hot cell.
    fn heat_maps() -> Vec<FrameHeatMaps> {
        let cold = HeatMap { height: 3, width: 4, values: vec![0.0; 12] };
        vec![
            FrameHeatMaps::new(vec![1, 3], [3, 4], vec![heat_map(1), heat_map(2)]),
            FrameHeatMaps::new(vec![], [3, 4], vec![]),
            FrameHeatMaps::new(vec![0, 1, 2], [3, 4], vec![heat_map(5), cold, heat_map(6)]),
        ]
    }

    fn read(
        activations: &FrameActivations,
        heat_maps: &FrameHeatMaps,
        settings: &ExtractionSettings,
    ) -> (ReadRegions, Vec<f32>) {
        let frame = plain_frame();
        let input = FrameInput {
            frame: &frame,
            planes: &[],
            activations: Some(activations),
            heat_maps: Some(heat_maps),
        };
        let mut read = ReadRegions::of(&input, SPACE, settings).unwrap();
        let RegionFeatures::Read(features) = &mut read.features else {
            panic!("these modes need no crops")
        };
        let features = std::mem::take(features);
        (read, features)
    }

    #[test]
    fn what_the_device_sums_pools_to_what_the_cpu_sums() {
        let _kept = crate::generator::seeded(8);
        let random = |size: [i64; 4]| Tensor::rand(size, (Kind::Float, Device::Cpu));
        let batch = FeatureMaps {
            layer2: random([3, 128, 12, 16]),
            layer3: random([3, 256, 6, 8]),
            layer4: random([3, 512, 3, 4]),
        };
        let activations = || -> Vec<FrameActivations> {
            (0..3)
                .map(|frame| FrameActivations::new(batch.of_frame(frame), None, vec![0.0; 4]))
                .collect()
        };
        for (mode, pool, layer) in [
            (Mode::SlFe, 512, FeatureLayer::Layer4),
            (Mode::SlFe, 32, FeatureLayer::Layer4),
            (Mode::SlFe, 128, FeatureLayer::Layer3),
            // 256 channels have no 512 whole parts.
            (Mode::SlFe, 512, FeatureLayer::Layer3),
            (Mode::LFe, 512, FeatureLayer::Layer4),
        ] {
            let settings = settings(mode, pool, layer);
            let (expected_activations, expected_heat_maps) = (activations(), heat_maps());
            let (found_activations, found_heat_maps) = (activations(), heat_maps());
            let of_batch: Vec<&FrameMaps> =
                found_activations.iter().map(|activations| &activations.maps).collect();
            let pairs: Vec<(&FrameMaps, &FrameHeatMaps)> =
                of_batch.iter().copied().zip(&found_heat_maps).collect();
            let layer_number = if layer == FeatureLayer::Layer3 { 3 } else { 4 };
            let cells = Cells {
                statistics: BatchNormStatistics::Running,
                layer: layer_number,
                roi_threshold: 0.5,
            };
            match mode {
                Mode::LFe => {
                    [2, 3, 4].into_iter().for_each(|layer| fetch_in_one_transfer(&of_batch, layer))
                }
                _ => fetch_sums(&pairs, cells, settings.pool, Device::Cpu),
            }
            let expected_pairs = expected_activations.iter().zip(&expected_heat_maps);
            let found_pairs = found_activations.iter().zip(&found_heat_maps);
            for ((activations, heat_maps), (expected_activations, expected_heat_maps)) in
                found_pairs.zip(expected_pairs)
            {
                let (found, features) = read(activations, heat_maps, &settings);
                let (expected, expected_features) =
                    read(expected_activations, expected_heat_maps, &settings);
                let (found, expected) = (found.found, expected.found);
                assert_eq!(
                    (&found.regions, found.empty_classes),
                    (&expected.regions, expected.empty_classes),
                    "{mode:?} {pool}"
                );
                let differences = features
                    .iter()
                    .zip(&expected_features)
                    .map(|(found, expected)| (found - expected).abs());
                assert!(differences.fold(0.0, f32::max) < 1e-6, "{mode:?} {pool} {layer:?}");
                assert_eq!(features.len(), expected_features.len());
            }
        }
    }
}
