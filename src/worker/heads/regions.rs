//! The regions of annotated frames in the form that a head takes: padded to a maximum and masked.
//! In the control they are those of another frame.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rand::seq::SliceRandom;
pub use surgcam_artifacts::features::WIDTH as FEATURES;
use surgcam_artifacts::features::{self, FrameFeatures};
use surgcam_engine::error::Result;
use surgcam_frames::random::stream;
use surgcam_frames::vision::geometry::Box2;
use tch::{Device, Tensor};

/// One region of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadRegion {
    pub class: usize,
    pub bounds: Box2,
    /// [512]
    pub features: Vec<f32>,
}

/// The regions of frames by their row in the index, at most `maximum` each.
pub struct FrameRegions {
    of_row: HashMap<usize, Vec<HeadRegion>>,
    maximum: usize,
}

/// Frames' regions, padded.
pub struct RegionBatch {
    /// [N, maximum, 512], zeros where absent.
    pub features: Tensor,
    /// [N, maximum], true where absent.
    pub absent: Tensor,
    /// The regions of each frame, without padding.
    pub regions: Vec<Vec<(usize, Box2)>>,
}

impl FrameRegions {
    /// Reads the regions of the wanted rows. The file has the features of all rows, so those of the
    /// others are read, too, and dropped.
    pub fn read(folder: &Path, wanted: &[usize], maximum: usize) -> Result<Self> {
        let wanted: HashSet<usize> = wanted.iter().copied().collect();
        let mut of_row = HashMap::new();
        features::for_each_frame(folder, |frame| {
            if wanted.contains(&frame.row) {
                of_row.insert(frame.row, of_frame(frame, maximum));
            }
            Ok(())
        })?;
        Ok(FrameRegions { of_row, maximum })
    }

    #[cfg(test)]
    pub fn new(of_row: HashMap<usize, Vec<HeadRegion>>, maximum: usize) -> Self {
        FrameRegions { of_row, maximum }
    }

    pub fn of_row(&self, row: usize) -> &[HeadRegion] {
        self.of_row.get(&row).map_or(&[], Vec::as_slice)
    }

    /// Gives each of `rows` the regions of another one, or none if that one has none.
    pub fn shuffle(&mut self, rows: &[usize], seed: u64) {
        let given = |(row, giver): (usize, usize)| Some((row, self.of_row.remove(&giver)?));
        let taken: Vec<_> = exchanged(rows, seed).into_iter().filter_map(given).collect();
        self.of_row.extend(taken);
    }

    /// The spread of the features of all regions of `rows`.
    pub fn spread(&self, rows: &[usize]) -> Spread {
        let features = || {
            rows.iter().flat_map(|&row| self.of_row(row)).map(|region| region.features.as_slice())
        };
        Spread::of(features)
    }

    pub fn batch(&self, rows: &[usize], device: Device) -> RegionBatch {
        let regions: Vec<&[HeadRegion]> = rows.iter().map(|&row| self.of_row(row)).collect();
        RegionBatch::of(&regions, self.maximum, device)
    }
}

/// Mean and standard deviation of each feature over regions.
pub struct Spread {
    /// [512]
    pub mean: Vec<f32>,
    /// [512], 1 where a feature is the same everywhere.
    pub deviation: Vec<f32>,
}

impl Spread {
    fn of<'a, I: Iterator<Item = &'a [f32]>>(features: impl Fn() -> I) -> Self {
        let count = features().count().max(1) as f64;
        let mut mean = vec![0f64; FEATURES];
        for of_region in features() {
            mean.iter_mut()
                .zip(of_region)
                .for_each(|(mean, &value)| *mean += f64::from(value) / count);
        }
        let mut variance = vec![0f64; FEATURES];
        for of_region in features() {
            let squares =
                of_region.iter().zip(&mean).map(|(&value, mean)| (f64::from(value) - mean).powi(2));
            variance
                .iter_mut()
                .zip(squares)
                .for_each(|(variance, square)| *variance += square / count);
        }
        let deviation = |(variance, mean): (&f64, &f64)| {
            let deviation = variance.sqrt();
            // A constant feature has a tiny deviation from rounding, which does not count.
            if deviation > 1e-6 * mean.abs().max(1e-6) { deviation as f32 } else { 1.0 }
        };
        Spread {
            deviation: variance.iter().zip(&mean).map(deviation).collect(),
            mean: mean.iter().map(|&mean| mean as f32).collect(),
        }
    }
}

impl RegionBatch {
    /// The same for frames by their places [n], some of them several times.
    pub fn of_frames(&self, frames: &Tensor) -> Self {
        let places: Vec<i64> = Vec::try_from(frames.to_device(Device::Cpu)).unwrap_or_default();
        RegionBatch {
            features: self.features.index_select(0, frames),
            absent: self.absent.index_select(0, frames),
            regions: places.iter().map(|&place| self.regions[place as usize].clone()).collect(),
        }
    }

    /// The same regions with other features [N, maximum, 512].
    pub fn with_features(&self, features: Tensor) -> Self {
        RegionBatch { features, absent: self.absent.shallow_clone(), regions: self.regions.clone() }
    }

    pub fn of(frames: &[&[HeadRegion]], maximum: usize, device: Device) -> Self {
        let mut features = vec![0f32; frames.len() * maximum * FEATURES];
        let mut absent = vec![true; frames.len() * maximum];
        for (frame, regions) in frames.iter().enumerate() {
            for (place, region) in regions.iter().take(maximum).enumerate() {
                let row = frame * maximum + place;
                features[row * FEATURES..][..FEATURES].copy_from_slice(&region.features);
                absent[row] = false;
            }
        }
        let size = [frames.len() as i64, maximum as i64];
        RegionBatch {
            features: Tensor::from_slice(&features)
                .view([size[0], size[1], FEATURES as i64])
                .to_device(device),
            absent: Tensor::from_slice(&absent).view(size).to_device(device),
            regions: frames
                .iter()
                .map(|regions| regions.iter().map(|region| (region.class, region.bounds)).collect())
                .collect(),
        }
    }
}

/// For the control: pairs of a row and the row whose regions it gets. Each of `rows` occurs once on
/// either side.
pub fn exchanged(rows: &[usize], seed: u64) -> Vec<(usize, usize)> {
    let mut order = rows.to_vec();
    order.shuffle(&mut stream(&format!("shuffled features/{seed}")));
    let givers = order.iter().cycle().skip(1);
    order.iter().copied().zip(givers.copied()).collect()
}

fn of_frame(frame: &FrameFeatures, maximum: usize) -> Vec<HeadRegion> {
    let certainty: Vec<_> =
        frame.regions.iter().map(|region| (region.probability, region.confidence)).collect();
    let region = |place: usize| HeadRegion {
        class: frame.regions[place].class,
        bounds: frame.regions[place].bounds,
        features: frame.of_region(place).to_vec(),
    };
    most_certain(&certainty, maximum).into_iter().map(region).collect()
}

/// The places of the `maximum` regions whose classes are the most probable, and among equal ones
/// the most confident. They keep their order.
pub fn most_certain(certainty: &[(f32, f32)], maximum: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..certainty.len()).collect();
    places.sort_by(|&a, &b| {
        certainty[b].0.total_cmp(&certainty[a].0).then(certainty[b].1.total_cmp(&certainty[a].1))
    });
    places.truncate(maximum);
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(value: f32) -> HeadRegion {
        HeadRegion { class: 1, bounds: Box2::from([0, 0, 2, 2]), features: vec![value; FEATURES] }
    }

    #[test]
    fn the_most_probable_regions_are_kept_then_the_most_confident_in_their_old_order() {
        let certainty = [(0.6, 0.9), (0.9, 0.1), (0.6, 0.95), (0.2, 1.0)];
        assert_eq!(most_certain(&certainty, 2), [1, 2]);
        assert_eq!(most_certain(&certainty, 3), [0, 1, 2]);
        assert_eq!(most_certain(&certainty, 9), [0, 1, 2, 3]);
    }

    #[test]
    fn frames_are_padded_and_a_frame_without_regions_is_masked_whole() {
        let of_row = HashMap::from([(4, vec![region(0.5), region(1.5)])]);
        let batch = FrameRegions::new(of_row, 3).batch(&[4, 7], Device::Cpu);
        assert_eq!(batch.features.size(), [2, 3, FEATURES as i64]);
        assert_eq!(
            Vec::<Vec<bool>>::try_from(&batch.absent).unwrap(),
            [[false, false, true], [true, true, true]]
        );
        assert_eq!(
            f64::try_from(batch.features.sum(tch::Kind::Double)).unwrap(),
            2.0 * FEATURES as f64
        );
    }

    #[test]
    fn the_spread_of_a_constant_feature_is_one() {
        let regions = FrameRegions::new(
            HashMap::from([(0, vec![region(0.3), region(0.3)]), (1, vec![region(0.3)])]),
            2,
        );
        let spread = regions.spread(&[0, 1]);
        assert_eq!((spread.mean[7], spread.deviation[7]), (0.3, 1.0));
        let regions = FrameRegions::new(HashMap::from([(0, vec![region(1.0), region(5.0)])]), 2);
        let spread = regions.spread(&[0]);
        assert_eq!((spread.mean[7], spread.deviation[7]), (3.0, 2.0));
    }

    #[test]
    fn in_the_control_every_frame_has_another_ones_regions() {
        let rows: Vec<usize> = (0..20).collect();
        let mut regions =
            FrameRegions::new(rows.iter().map(|&row| (row, vec![region(row as f32)])).collect(), 2);
        regions.shuffle(&rows, 1);
        let mut found: Vec<usize> =
            rows.iter().map(|&row| regions.of_row(row)[0].features[0] as usize).collect();
        assert!(found.iter().zip(&rows).all(|(found, row)| found != row));
        found.sort_unstable();
        assert_eq!(found, rows);
    }
}
