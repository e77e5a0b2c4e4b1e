//! What a forward pass and the three modes make of a golden picture, against the expected values.

use surgcam_engine::error::{Error, Result};
use surgcam_frames::metrics::SelfTestCheck;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::pooling::FEATURES;
use surgcam_frames::vision::regions::{BoxRule, bounds_of_boxes};
use surgcam_values::{FeatureLayer, Mode, Precision};
use tch::{Device, Kind};

use super::comparison::{Comparison, Tolerance};
use super::golden_set::{GoldenFrame, GoldenSet, POOLS, ROI_THRESHOLDS, malformed, part};
use crate::activations::FrameActivations;
use crate::features::values_of;
use crate::heat_maps::FrameHeatMaps;

/// The tolerance for logits and features. A GPU adds in another order than the CPU that made the
/// expected values. In sums whose terms are around 20, as in the features of this set, rounding
/// errors reach 1e-4, which can be as much as a feature near 0 itself.
fn feature_tolerance(device: Device) -> Tolerance {
    Tolerance::Relative {
        share: 1e-3,
        more: 1e-4,
        of_all: if device == Device::Cpu { 0.0 } else { 1e-5 },
    }
}

/// A mode, and where the golden set has its features.
const MODES: [(&str, &str, Mode, FeatureLayer); 4] = [
    ("L-FE", "l_fe", Mode::LFe, FeatureLayer::Layer4),
    ("LN-FE", "ln_fe", Mode::LnFe, FeatureLayer::Layer4),
    ("SL-FE, layer 3", "sl_fe/layer3", Mode::SlFe, FeatureLayer::Layer3),
    ("SL-FE, layer 4", "sl_fe/layer4", Mode::SlFe, FeatureLayer::Layer4),
];

/// Which heat maps the modes take their regions from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heat {
    /// Our own, as in a run.
    Own,
    /// The expected ones: on another device a rounding may move the edge of a box.
    Expected,
}

/// Every value of the set in f32, each stage at its own tolerance.
pub fn in_full_precision(golden: &GoldenSet, heat_of_modes: Heat) -> Result<Vec<SelfTestCheck>> {
    let mut logits = Comparison::new(feature_tolerance(golden.device));
    let mut heat_maps = Comparison::new(Tolerance::Absolute(1e-4));
    let mut boxes = Comparison::new(Tolerance::Exact);
    let mut modes = MODES.map(|_| Comparison::new(feature_tolerance(golden.device)));
    for frame in golden.frames()? {
        let (activations, heat_maps_found) = golden.forward(&frame)?;
        logits.values(&activations.logits, &golden.values(&format!("{}/logits", frame.name))?);
        compare_heat_maps(golden, &frame, &heat_maps_found, &mut heat_maps)?;
        compare_boxes(golden, &frame, &mut boxes)?;
        let of_modes = if heat_of_modes == Heat::Own {
            heat_maps_found
        } else {
            golden.expected_heat_maps(&frame)?
        };
        for ((_, key, mode, layer), comparison) in MODES.iter().zip(&mut modes) {
            compare_features(
                golden,
                &frame,
                (&activations, &of_modes),
                (key, *mode, *layer),
                comparison,
            )?;
        }
    }
    let of_passes = [(logits, "logits"), (heat_maps, "heat maps"), (boxes, "boxes")].into_iter();
    let of_modes = modes.into_iter().zip(MODES.map(|(name, ..)| name));
    Ok(of_passes
        .chain(of_modes)
        .map(|(comparison, name)| comparison.into_check(name, Precision::F32))
        .collect())
}

/// L-FE and SL-FE of a set by frame statistics, from the expected heat maps, and the mean of each
/// channel of layer 4.
pub fn by_frame_statistics(golden: &GoldenSet) -> Result<Vec<SelfTestCheck>> {
    let mut layer4 = Comparison::new(feature_tolerance(golden.device));
    let modes = || MODES.into_iter().filter(|(_, _, mode, _)| mode.takes_cells());
    let mut comparisons: Vec<Comparison> =
        modes().map(|_| Comparison::new(feature_tolerance(golden.device))).collect();
    for frame in golden.frames()? {
        let (activations, _) = golden.forward(&frame)?;
        let maps =
            activations.maps_by(golden.statistics).ok_or_else(|| malformed("frame statistics"))?;
        let means = maps.feature_map(4).mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        layer4.values(&values_of(&means), &golden.values(&format!("{}/layer4_mean", frame.name))?);
        let heat_maps = golden.expected_heat_maps(&frame)?;
        for ((_, key, mode, layer), comparison) in modes().zip(&mut comparisons) {
            compare_features(
                golden,
                &frame,
                (&activations, &heat_maps),
                (key, mode, layer),
                comparison,
            )?;
        }
    }
    let checks =
        comparisons.into_iter().zip(modes().map(|(name, ..)| name)).chain([(layer4, "layer 4")]);
    Ok(checks
        .map(|(comparison, name)| {
            comparison.into_check(&format!("{name}, frame statistics"), Precision::F32)
        })
        .collect())
}

/// How far roundings to half precision may take the results.
#[derive(Debug, Clone, Copy)]
pub struct HalfPrecision {
    pub precision: Precision,
    /// A value of a heat map, which is between 0 and 1.
    pub heat: f64,
    /// A feature vector, as a share of its length.
    pub features: f64,
}

/// Heat maps and SL-FE in half precision.
pub fn in_half_precision(
    golden: &GoldenSet,
    half: HalfPrecision,
    heat_of_modes: Heat,
) -> Result<Vec<SelfTestCheck>> {
    let mut heat_maps = Comparison::new(Tolerance::Absolute(half.heat));
    let mut sl_fe = Comparison::new(Tolerance::OfLength(half.features));
    for frame in golden.frames()? {
        let (activations, heat_maps_found) = golden.forward(&frame)?;
        for (class, map) in heat_maps_found.present.iter().zip(&heat_maps_found.maps) {
            let expected = golden.values(&format!("{}/cam_layer4_size/{class}", frame.name))?;
            heat_maps.values(&map.resized(map.height, map.width).values, &expected);
        }
        let of_modes = if heat_of_modes == Heat::Own {
            heat_maps_found
        } else {
            golden.expected_heat_maps(&frame)?
        };
        let settings =
            golden.settings(Mode::SlFe, 0.3, 512, &frame.present, FeatureLayer::Layer4)?;
        let extracted = golden.extract(&frame, (&activations, &of_modes), &settings)?;
        for (region, features) in extracted.regions.iter().zip(extracted.features.chunks(FEATURES))
        {
            let name = format!("{}/sl_fe/layer4/0.3/512/{}", frame.name, region.class);
            if golden.tensors.contains_key(&name) {
                sl_fe.values(features, &golden.values(&name)?);
            }
        }
    }
    Ok(vec![
        heat_maps.into_check("heat maps", half.precision),
        sl_fe.into_check("SL-FE, layer 4", half.precision),
    ])
}

fn compare_heat_maps(
    golden: &GoldenSet,
    frame: &GoldenFrame,
    found: &FrameHeatMaps,
    comparison: &mut Comparison,
) -> Result<()> {
    for (class, map) in found.present.iter().zip(&found.maps) {
        for (key, divisor) in
            [("cam_input_size", 1), ("cam_layer3_size", 16), ("cam_layer4_size", 32)]
        {
            let [height, width] = golden.image_size.map(|side| side as usize / divisor);
            comparison.values(
                &map.resized(height, width).values,
                &golden.values(&format!("{}/{key}/{class}", frame.name))?,
            );
        }
    }
    Ok(())
}

/// Boxes of the expected heat maps, which must be equal.
fn compare_boxes(
    golden: &GoldenSet,
    frame: &GoldenFrame,
    comparison: &mut Comparison,
) -> Result<()> {
    let [height, width] = golden.image_size.map(|side| side as usize);
    for class in &frame.present {
        let values = golden.values(&format!("{}/cam_input_size/{class}", frame.name))?;
        let map = HeatMap { height, width, values };
        for threshold in ROI_THRESHOLDS {
            let roi_threshold = threshold.parse().map_err(|_| malformed("threshold"))?;
            let mut found: Vec<Box2> =
                bounds_of_boxes(&map, BoxRule { roi_threshold, minimum_area: 25 });
            let mut expected: Vec<Box2> =
                part(&frame.value["boxes"][threshold], &class.to_string())?;
            found.sort();
            expected.sort();
            comparison.equal(&found, &expected);
        }
    }
    Ok(())
}

/// A mode at every threshold, pool and class that the set has.
fn compare_features(
    golden: &GoldenSet,
    frame: &GoldenFrame,
    forward: (&FrameActivations, &FrameHeatMaps),
    (key, mode, layer): (&str, Mode, FeatureLayer),
    comparison: &mut Comparison,
) -> Result<()> {
    for (threshold, pool) in
        ROI_THRESHOLDS.iter().flat_map(|threshold| POOLS.map(|pool| (*threshold, pool)))
    {
        let name = |class: usize| format!("{}/{key}/{threshold}/{pool}/{class}", frame.name);
        if !frame.present.iter().any(|&class| golden.tensors.contains_key(&name(class))) {
            continue;
        }
        let roi_threshold = threshold.parse().map_err(|_| malformed("threshold"))?;
        let settings = golden.settings(mode, roi_threshold, pool, &frame.present, layer)?;
        let extracted = golden.extract(frame, forward, &settings)?;
        for &class in &frame.present {
            let Some(expected) = golden.tensors.get(&name(class)) else {
                let is_empty = !extracted.regions.iter().any(|region| region.class == class);
                if mode == Mode::SlFe {
                    comparison.equal(&is_empty, &true);
                }
                continue;
            };
            let expected = values_of(expected);
            let order = golden.expected_order(frame, mode, threshold, class)?;
            for (bounds, expected) in order.into_iter().zip(expected.chunks(FEATURES)) {
                let is_it = |bounds: &Option<Box2>, found: &Box2| {
                    bounds.is_none_or(|bounds| bounds == *found)
                };
                let row = extracted
                    .regions
                    .iter()
                    .position(|region| region.class == class && is_it(&bounds, &region.bounds));
                let row = row.ok_or_else(|| {
                    Error::failure(format!("{} has no region {bounds:?}", name(class)))
                })?;
                comparison.values(&extracted.features[FEATURES * row..][..FEATURES], expected);
            }
        }
    }
    Ok(())
}
