//! Brings what L-FE and SL-FE need of a batch from the device, in few transfers.
//!
//! On the CPU the maps are there already. From a GPU, L-FE's three maps come in one transfer each for the whole batch. SL-FE needs no
//! map at all: the CPU says which cells are hot, and the device sums them, so that a class's sums come instead of a frame's map.

use rayon::prelude::*;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::pooling::{HotCells, hotter_cells};
use surgcam_pipeline::settings::{ExtractionSettings, RegionSettings};
use surgcam_values::{Mode, Pool};
use tch::{Device, Kind, Tensor};

use crate::features::{cell_maps_of_batch, downloaded, values_mut};
use crate::model::libtorch_operators::{PinnedKind, pinned};
use crate::seen::{Heat, SeenFrame, hot_layer};

/// A frame of the batch and its heat maps.
pub type Look<'a, 'f> = (&'a SeenFrame<'f>, &'a Heat);

/// Afterwards [`crate::seen::FrameSpace::without_network`] can be called for these frames, from any thread.
pub fn fetch(looks: &[Look], settings: &ExtractionSettings, device: Device) {
    if looks.is_empty() {
        return;
    }
    match (settings.mode, &settings.regions) {
        _ if device == Device::Cpu => looks.iter().for_each(|(seen, _)| seen.fetch_cells(settings)),
        (Mode::LFe, _) => [2, 3, 4].into_iter().for_each(|layer| fetch_maps(looks, layer)),
        (Mode::SlFe, Some(regions)) => fetch_hot_cells(looks, regions, settings.pool, device),
        _ => {}
    }
}

/// [N, C, h, w] of a layer.
fn batch_of(looks: &[Look], layer: usize) -> Tensor {
    Tensor::cat(&looks.iter().map(|(seen, _)| seen.map_of(layer)).collect::<Vec<_>>(), 0)
}

fn fetch_maps(looks: &[Look], layer: usize) {
    // The settings of a sweep share what is fetched.
    if looks.iter().all(|(seen, _)| seen.has_cells(layer)) {
        return;
    }
    let maps = tch::no_grad(|| cell_maps_of_batch(&batch_of(looks, layer)));
    looks.iter().zip(maps).for_each(|((seen, _), cells)| seen.keep_cells(layer, cells));
}

fn fetch_hot_cells(looks: &[Look], regions: &RegionSettings, pool: Pool, device: Device) {
    let layer = hot_layer(regions);
    let channels = looks[0].0.map_of(layer).size()[1] as usize;
    if !HotCells::pools_whole_channels(channels, pool) {
        return fetch_maps(looks, layer);
    }
    if !looks.iter().all(|(_, heat)| heat.has_hot_cells(layer, regions.roi_threshold)) {
        sum_hot_cells(looks, layer, regions.roi_threshold, device);
    }
}

/// Sums the hot cells of all frames and classes with one matrix product: [N, P, h w] of 0 and 1 times [N, h w, C].
fn sum_hot_cells(looks: &[Look], layer: usize, roi_threshold: f64, device: Device) {
    tch::no_grad(|| {
        let maps = batch_of(looks, layer).to_kind(Kind::Float);
        let [frames, channels, height, width] = [0, 1, 2, 3].map(|dimension| maps.size()[dimension]);
        let cells = (height * width) as usize;
        let heat_maps: Vec<&[HeatMap]> = looks.iter().map(|(_, heat)| heat.maps.as_slice()).collect();
        let hot_of = |map: &HeatMap| hotter_cells(&map.resized(height as usize, width as usize), roi_threshold);
        let hot_of_frame = |maps: &&[HeatMap]| -> Vec<Vec<usize>> { maps.iter().map(hot_of).collect() };
        // Waking another thread takes longer than one frame.
        let hot: Vec<Vec<Vec<usize>>> = match heat_maps.as_slice() {
            [maps] => vec![hot_of_frame(maps)],
            maps => maps.par_iter().map(hot_of_frame).collect(),
        };
        let classes = hot.iter().map(Vec::len).max().unwrap_or(0);
        if classes == 0 {
            return looks.iter().for_each(|(_, heat)| heat.keep_hot_cells(layer, roi_threshold, Vec::new()));
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
        let sums = chosen.bmm(&maps.permute([0, 2, 3, 1]).reshape([frames, cells as i64, channels]));
        let mut sums = downloaded(&sums);
        let of_frames = values_mut::<f32>(&mut sums).chunks(classes * channels as usize);
        for (((_, heat), hot), sums) in looks.iter().zip(hot).zip(of_frames) {
            let of_class = |(cells, sums): (Vec<usize>, &[f32])| HotCells::with_sums(cells, sums.to_vec());
            let found = hot.into_iter().zip(sums.chunks(channels as usize)).map(of_class).collect();
            heat.keep_hot_cells(layer, roi_threshold, found);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::resnet::FeatureMaps;
    use crate::seen::FrameSpace;
    use crate::self_test::golden_set::plain_frame;
    use surgcam_pipeline::settings::{Architecture, CamSettings, Normalization};
    use surgcam_values::{Backbone, CamMethod, FeatureLayer, Precision, Present};

    const SPACE: FrameSpace = FrameSpace { image_size: [96, 128], classes: 4 };

    fn settings(mode: Mode, pool: u64, layer: FeatureLayer) -> ExtractionSettings {
        let cam = CamSettings { method: CamMethod::GradCam, layer: FeatureLayer::Layer4, present: Present::Classes(vec![]) };
        ExtractionSettings {
            mode,
            regions: Some(RegionSettings { cam, roi_threshold: 0.5, minimum_area: Some(25), feature_layer: Some(layer) }),
            architecture: Architecture { backbone: Backbone::ResNet18, classes: 4 },
            normalization: Normalization { mean: [0.0; 3], std: [1.0; 3] },
            pool: Pool::try_from(pool).unwrap(),
            precision: Precision::F32,
            crop_size: None,
        }
    }

    fn heat_map(seed: usize) -> HeatMap {
        let value = |cell: usize| ((cell * 29 + seed * 17) % 31) as f32 / 31.0;
        HeatMap { height: 3, width: 4, values: (0..12).map(value).collect() }
    }

    /// Frames whose present classes differ in number, one of them without a hot cell.
    fn heats() -> Vec<Heat> {
        let cold = HeatMap { height: 3, width: 4, values: vec![0.0; 12] };
        vec![
            Heat::new(vec![1, 3], [3, 4], vec![heat_map(1), heat_map(2)]),
            Heat::new(vec![], [3, 4], vec![]),
            Heat::new(vec![0, 1, 2], [3, 4], vec![heat_map(5), cold, heat_map(6)]),
        ]
    }

    #[test]
    fn what_the_device_sums_pools_to_what_the_cpu_sums() {
        let _kept = crate::generator::seeded(8);
        let random = |size: [i64; 4]| Tensor::rand(size, (Kind::Float, Device::Cpu));
        let batch = FeatureMaps { layer2: random([3, 128, 12, 16]), layer3: random([3, 256, 6, 8]), layer4: random([3, 512, 3, 4]) };
        let plain = plain_frame();
        let frames = || -> Vec<SeenFrame> {
            let of = |map: &Tensor, frame: i64| map.narrow(0, frame, 1);
            let maps = |frame| FeatureMaps {
                layer2: of(&batch.layer2, frame),
                layer3: of(&batch.layer3, frame),
                layer4: of(&batch.layer4, frame),
            };
            (0..3).map(|frame| SeenFrame::new(&plain, &[], maps(frame), vec![0.0; 4])).collect()
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
            let (expected_frames, expected_heats, found_frames, found_heats) = (frames(), heats(), frames(), heats());
            let looks: Vec<Look> = found_frames.iter().zip(&found_heats).collect();
            match mode {
                Mode::LFe => [2, 3, 4].into_iter().for_each(|layer| fetch_maps(&looks, layer)),
                _ => fetch_hot_cells(&looks, settings.regions.as_ref().unwrap(), settings.pool, Device::Cpu),
            }
            for ((seen, heat), (expected_seen, expected_heat)) in looks.iter().zip(expected_frames.iter().zip(&expected_heats)) {
                let found = SPACE.without_network(seen, heat, &settings);
                let expected = SPACE.without_network(expected_seen, expected_heat, &settings);
                assert_eq!((&found.regions, found.empty_classes), (&expected.regions, expected.empty_classes), "{mode:?} {pool}");
                let differences = found.features.iter().zip(&expected.features).map(|(found, expected)| (found - expected).abs());
                assert!(differences.fold(0.0, f32::max) < 1e-6, "{mode:?} {pool} {layer:?}");
                assert_eq!(found.features.len(), expected.features.len());
            }
        }
    }
}
