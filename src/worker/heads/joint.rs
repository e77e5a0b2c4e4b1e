//! SL-FE that a gradient flows through: the selected cells carry a head's loss back into the
//! backbone, down to its first layer.
//!
//! Which cells are hot is decided without a gradient, as in extraction, but the values in them are
//! differentiable. Batch normalisations keep their statistics, so the features of a frame do not
//! depend on other frames.

use surgcam_engine::error::{Error, Result};
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_pipeline::settings::{ExtractionSettings, RegionSettings};
use surgcam_values::{FeatureLayer, Mode, Pool, TrainingPrecision};
use tch::{Device, Kind, Tensor};

use super::regions::{FEATURES, RegionBatch, most_certain};
use crate::cam;
use crate::features::values_of;
use crate::frame_set::FrameSet;
use crate::model::classifier::{self, DifferentiableClassifier};
use crate::model::resnet::FeatureMaps;
use crate::model::weights::Weights;

pub struct JointBackbone {
    classifier: Box<dyn DifferentiableClassifier>,
    settings: ExtractionSettings,
    regions: RegionSettings,
    frames: FrameSet,
    maximum: usize,
    device: Device,
}

/// A frame's regions: classes, and features [regions, 512].
struct FrameFeatures {
    classes: Vec<usize>,
    features: Option<Tensor>,
}

impl JointBackbone {
    /// Shares its tensors with `parameters`.
    pub fn new(
        parameters: &Weights,
        settings: &ExtractionSettings,
        frames: FrameSet,
        maximum: usize,
        device: Device,
    ) -> Result<Self> {
        let Some(regions) = settings.regions.clone().filter(|regions| {
            settings.mode == Mode::SlFe
                && regions.cam.layer == FeatureLayer::Layer4
                && settings.architecture.clip_length.is_none()
        }) else {
            return Err(Error::failure(
                "backbone and head learn together through SL-FE with heat maps of layer4 alone, \
                 and with a classifier of single frames",
            ));
        };
        Ok(JointBackbone {
            classifier: classifier::differentiable(
                settings.architecture,
                parameters,
                TrainingPrecision::F32,
            )?,
            settings: settings.clone(),
            regions,
            frames,
            maximum,
            device,
        })
    }

    /// The regions of frames by their rows, padded; features are differentiable with respect to the
    /// backbone.
    pub fn regions(&self, rows: &[usize]) -> Result<RegionBatch> {
        let images = self.frames.images(rows, &self.settings.normalization, self.device);
        let answer = self.classifier.answer(&images)?;
        let logits = values_of(&answer.logits.detach());
        let of_frame =
            |(frame, logits): (usize, &[f32])| self.of_frame(&answer.maps, frame as i64, logits);
        let found: Vec<FrameFeatures> =
            logits.chunks(self.settings.architecture.classes).enumerate().map(of_frame).collect();
        Ok(self.padded(&found))
    }

    fn of_frame(&self, maps: &FeatureMaps, frame: i64, logits: &[f32]) -> FrameFeatures {
        let probability = |class: usize| 1.0 / (1.0 + (-logits[class]).exp());
        let present = cam::present_classes(logits, &self.regions.cam.present);
        let cam = self.classifier.cam(self.regions.cam.layer, None);
        let heat_maps =
            cam.heat_maps(&maps.layer4.narrow(0, frame, 1), &present, self.regions.cam.method);
        let map = if self.regions.feature_layer == Some(FeatureLayer::Layer3) {
            &maps.layer3
        } else {
            &maps.layer4
        }
        .get(frame);
        let hot = |(class, heat): (usize, &HeatMap)| {
            Some((class, hot_cells(&map, heat, self.regions.roi_threshold)?))
        };
        let found: Vec<(usize, Tensor)> =
            present.into_iter().zip(&heat_maps).filter_map(hot).collect();
        let certainty: Vec<(f32, f32)> =
            found.iter().map(|(class, _)| (probability(*class), 1.0)).collect();
        let kept: Vec<&(usize, Tensor)> =
            most_certain(&certainty, self.maximum).into_iter().map(|place| &found[place]).collect();
        let features: Vec<Tensor> =
            kept.iter().map(|(_, cells)| pooled(cells, self.settings.pool)).collect();
        FrameFeatures {
            classes: kept.iter().map(|(class, _)| *class).collect(),
            features: (!features.is_empty()).then(|| Tensor::stack(&features, 0)),
        }
    }

    fn padded(&self, frames: &[FrameFeatures]) -> RegionBatch {
        let [height, width] = self.frames.image_size().map(i64::from);
        let maximum = self.maximum as i64;
        let padded = |frame: &FrameFeatures| match &frame.features {
            Some(features) => features.constant_pad_nd([0, 0, 0, maximum - features.size()[0]]),
            None => Tensor::zeros([maximum, FEATURES as i64], (Kind::Float, self.device)),
        };
        let absent: Vec<bool> = frames
            .iter()
            .flat_map(|frame| (0..self.maximum).map(|place| place >= frame.classes.len()))
            .collect();
        let whole = Box2::from([0, 0, width, height]);
        RegionBatch {
            features: Tensor::stack(&frames.iter().map(padded).collect::<Vec<_>>(), 0),
            absent: Tensor::from_slice(&absent)
                .view([frames.len() as i64, maximum])
                .to_device(self.device),
            regions: frames
                .iter()
                .map(|frame| frame.classes.iter().map(|&class| (class, whole)).collect())
                .collect(),
        }
    }
}

/// The values of a map [C, h, w] where the heat is above T_ROI, in the order k, i, j (METHOD 6);
/// `None` where no cell is hot.
fn hot_cells(map: &Tensor, heat: &HeatMap, roi_threshold: f64) -> Option<Tensor> {
    let size = map.size();
    let resized = heat.resized(size[1] as usize, size[2] as usize);
    let hot: Vec<bool> = resized.is_hot(roi_threshold).collect();
    hot.contains(&true).then(|| {
        let mask = Tensor::from_slice(&hot).view([size[1], size[2]]).to_device(map.device());
        map.masked_select(&mask.expand_as(map))
    })
}

/// [values] -> [512]
fn pooled(cells: &Tensor, pool: Pool) -> Tensor {
    let (p0, p1, p2) = pool.shape();
    cells.view([1, 1, -1]).adaptive_avg_pool1d([p0]).view([-1]).repeat_interleave_self_int(
        p1 * p2,
        None::<i64>,
        None::<i64>,
    )
}

#[cfg(test)]
mod tests {
    use super::super::captioner::Captioner;
    use super::super::layers::TensorSource;
    use super::*;
    use crate::feature_extractor::FeatureExtractor;
    use crate::frame_set::drawn;
    use crate::training::adam::{Adam, AdamSettings};
    use surgcam_frames::dataset::index::Frame;
    use surgcam_frames::language::vocabulary::Vocabulary;
    use surgcam_pipeline::head_settings::TransformerSettings;
    use surgcam_pipeline::settings::{Architecture, CamSettings, Normalization};
    use surgcam_values::{Backbone, BatchNormStatistics, CamMethod, Precision, Present};

    const SIZE: [u32; 2] = [96, 128];

    fn settings(pool: u64, feature_layer: FeatureLayer) -> ExtractionSettings {
        let cam = CamSettings {
            method: CamMethod::GradCam,
            layer: FeatureLayer::Layer4,
            present: Present::Classes(vec![0, 2]),
        };
        ExtractionSettings {
            mode: Mode::SlFe,
            regions: Some(RegionSettings {
                cam,
                roi_threshold: 0.3,
                minimum_area: None,
                feature_layer: Some(feature_layer),
            }),
            architecture: Architecture::of_frames(Backbone::ResNet10, 3),
            normalization: Normalization { mean: [0.4; 3], std: [0.2; 3] },
            pool: Pool::try_from(pool).unwrap(),
            precision: Precision::F32,
            batch_norm: BatchNormStatistics::Running,
            crop_size: None,
            crop_layer: None,
        }
    }

    fn frames(folder: &std::path::Path) -> FrameSet {
        let frame = |number| Frame {
            sequence: "seq_1".into(),
            name: format!("frame{number:03}"),
            train: true,
            validation: false,
            labels: vec![0],
            boxes: None,
            box_space: [0, 0],
            detected: Vec::new(),
        };
        drawn::frame_set(folder, &[frame(0), frame(1)], SIZE, |row, x, y| {
            [(x * 2) as u8, (y * 2 + row as u32 * 60) as u8, (x * y / 50) as u8]
        })
    }

    #[test]
    fn its_features_are_those_of_extraction() {
        let folder = tempfile::tempdir().unwrap();
        for (pool, layer) in
            [(512, FeatureLayer::Layer4), (128, FeatureLayer::Layer3), (32, FeatureLayer::Layer4)]
        {
            let settings = settings(pool, layer);
            let parameters = Weights::random(settings.architecture, 3);
            let own = tempfile::tempdir_in(folder.path()).unwrap();
            let extractor = FeatureExtractor::new(
                settings.architecture,
                &parameters,
                settings.normalization,
                SIZE,
                Device::Cpu,
                Precision::F32,
            )
            .unwrap();
            let frames = frames(own.path());
            let (_, extracted) = extractor
                .extract_from_pixels(
                    &frames.frames[1],
                    frames.pack.row(1),
                    &settings,
                    &mut extractor.clip_memory(),
                )
                .unwrap();
            let joint = JointBackbone::new(&parameters, &settings, frames, 6, Device::Cpu).unwrap();
            let found = values_of(&joint.regions(&[1]).unwrap().features.detach());
            let scale =
                extracted.features.iter().fold(1e-3f32, |scale, value| scale.max(value.abs()));
            for (a, b) in found.iter().zip(&extracted.features) {
                assert!((a - b).abs() < 1e-4 * scale, "{a} {b}");
            }
            assert_eq!(extracted.features.len(), 2 * FEATURES);
        }
    }

    #[test]
    fn a_caption_moves_the_first_convolution_through_the_selected_cells() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(512, FeatureLayer::Layer4);
        let parameters = Weights::random(settings.architecture, 4).for_training(Device::Cpu);
        let joint =
            JointBackbone::new(&parameters, &settings, frames(folder.path()), 6, Device::Cpu)
                .unwrap();
        let words: Vec<Vec<String>> =
            vec![vec!["cutting".into()], vec!["idle".into(), "suction".into()]];
        let vocabulary = Vocabulary::of(words.iter().map(Vec::as_slice), 1);
        let encoded: Vec<Vec<usize>> = words.iter().map(|words| vocabulary.encode(words)).collect();
        let shape = TransformerSettings {
            width: 32,
            layers: 1,
            attention_heads: 2,
            feed_forward: 32,
            memory_slots: 4,
            dropout: 0.0,
        };
        let captioner =
            Captioner::new(&mut TensorSource::random(1, Device::Cpu), shape, vocabulary).unwrap();
        let mut adam = Adam::new(&parameters, AdamSettings::default());
        let before = parameters.get("conv1.weight").unwrap().detach().copy();
        let loss = || captioner.loss(&joint.regions(&[0, 1]).unwrap(), &encoded, 0.0);
        let first = f64::try_from(loss().detach()).unwrap();
        for step in 0..5 {
            adam.step(&loss(), |_| 1e-3);
            if step == 0 {
                let gradient = parameters.get("conv1.weight").unwrap().grad();
                assert!(f64::try_from(gradient.abs().max()).unwrap() > 0.0);
            }
        }
        let moved =
            f64::try_from((parameters.get("conv1.weight").unwrap().detach() - before).abs().max())
                .unwrap();
        assert!(moved > 1e-4, "{moved}");
        assert!(f64::try_from(loss().detach()).unwrap() < first);
    }

    #[test]
    fn without_hot_cells_a_frame_has_no_region() {
        let map = Tensor::ones([2, 2, 2], (Kind::Float, Device::Cpu));
        let heat = HeatMap { height: 2, width: 2, values: vec![0.0; 4] };
        assert!(hot_cells(&map, &heat, 0.0).is_none());
    }
}
