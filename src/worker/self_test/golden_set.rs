//! Golden values of an independent PyTorch and OpenCV implementation (tests/golden/README.md):
//! pictures that it was given, and all that it made of them with a network whose weights are
//! computed from their names.

use std::collections::HashMap;

use serde_json::Value;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::index::Frame;
use surgcam_frames::vision::geometry::Box2;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_frames::vision::regions::used_regions;
use surgcam_pipeline::settings::*;
use surgcam_values::*;
use tch::{Device, Tensor};

use crate::activations::FrameActivations;
use crate::feature_extractor::FeatureExtractor;
use crate::features::values_of;
use crate::heat_maps::FrameHeatMaps;
use crate::model::network_shape::network_shape;
use crate::model::weights::Weights;
use crate::modes::FrameInput;
use crate::regions::Extracted;
use surgcam_frames::formula::formula_weight;

/// Features are there at these T_ROI and pools.
pub const ROI_THRESHOLDS: [&str; 4] = ["0.1", "0.3", "0.5", "0.7"];
pub const POOLS: [u64; 3] = [512, 128, 32];

/// One set of expected values, and our network that should give them.
pub struct GoldenSet {
    pub expected: Value,
    pub tensors: HashMap<String, Tensor>,
    pub architecture: Architecture,
    pub image_size: [u32; 2],
    pub extractor: FeatureExtractor,
    /// Those that normalise the maps which the expected features of L-FE and SL-FE come from.
    pub statistics: BatchNormStatistics,
    pub device: Device,
}

/// A picture of the set.
pub struct GoldenFrame {
    pub name: String,
    /// [3, H, W], as the network takes them.
    pub planes: Vec<u8>,
    /// The classes that are to be taken as present.
    pub present: Vec<usize>,
    pub value: Value,
}

pub fn formula_weights(architecture: Architecture, seed: u64) -> Weights {
    Weights::new(network_shape(architecture).tensors().into_iter().map(|(name, size)| {
        let sides: Vec<usize> = size.iter().map(|&side| side as usize).collect();
        let weight = Tensor::from_slice(&formula_weight(&name, &sides, seed)).view(size.as_slice());
        (name, weight)
    }))
}

/// A value of the set that is not there, or not of the form that is expected.
pub fn malformed(what: &str) -> Error {
    Error::failure(format!("the golden values have no {what}"))
        .hint("this is a defect of surgcam; please report it")
}

/// A part of the set's JSON as a type of ours.
pub fn part<T: serde::de::DeserializeOwned>(value: &Value, name: &str) -> Result<T> {
    serde_json::from_value(value[name].clone()).map_err(|_| malformed(name))
}

impl GoldenSet {
    /// `expected`: the text of `expected.json`; `tensors`: those of `expected.safetensors`.
    pub fn new(
        expected: &str,
        tensors: Vec<(String, Tensor)>,
        device: Device,
        precision: Precision,
    ) -> Result<Self> {
        let expected: Value =
            serde_json::from_str(expected).map_err(|_| malformed("valid JSON"))?;
        let named: String = part(&expected, "architecture")?;
        let backbone =
            if named.contains("resnet18") { Backbone::ResNet18 } else { Backbone::ResNet50 };
        let architecture = Architecture::of_frames(backbone, part(&expected, "classes")?);
        let weights = formula_weights(architecture, part(&expected, "weight_seed")?);
        let image_size: [u32; 2] = part(&expected, "image_hw")?;
        let normalization =
            Normalization { mean: part(&expected, "mean")?, std: part(&expected, "std")? };
        let extractor = FeatureExtractor::new(
            architecture,
            &weights,
            normalization,
            image_size,
            device,
            precision,
        )?;
        let tensors = tensors.into_iter().collect();
        let statistics = BatchNormStatistics::Running;
        Ok(GoldenSet { expected, tensors, architecture, image_size, extractor, statistics, device })
    }

    /// The same set, but its features of L-FE and SL-FE are by each frame's own statistics.
    /// `tensors`: those of `frame_statistics.safetensors`.
    pub fn by_frame_statistics(mut self, tensors: Vec<(String, Tensor)>) -> Result<Self> {
        let weights = formula_weights(self.architecture, part(&self.expected, "weight_seed")?);
        self.statistics = BatchNormStatistics::Frame;
        self.extractor.provide(self.statistics, &weights)?;
        // Those of the running statistics are there at more T_ROI, so replacing would leave some.
        self.tensors
            .retain(|name, _| !["/l_fe/", "/sl_fe/"].iter().any(|mode| name.contains(mode)));
        self.tensors.extend(tensors);
        Ok(self)
    }

    pub fn frames(&self) -> Result<Vec<GoldenFrame>> {
        let frame = |value: &Value| {
            let name: String = part(value, "name")?;
            let planes = self.tensor(&format!("{name}/resized_u8"))?.flatten(0, -1);
            let planes = Vec::<u8>::try_from(planes).map_err(|_| malformed("pixels"))?;
            Ok(GoldenFrame { planes, present: part(value, "present")?, value: value.clone(), name })
        };
        self.expected["frames"]
            .as_array()
            .ok_or_else(|| malformed("frames"))?
            .iter()
            .map(frame)
            .collect()
    }

    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| malformed(name))
    }

    pub fn values(&self, name: &str) -> Result<Vec<f32>> {
        Ok(values_of(self.tensor(name)?))
    }

    pub fn settings(
        &self,
        mode: Mode,
        threshold: f64,
        pool: u64,
        present: &[usize],
        layer: FeatureLayer,
    ) -> Result<ExtractionSettings> {
        Ok(ExtractionSettings {
            mode,
            regions: Some(RegionSettings {
                cam: cam_of(present),
                roi_threshold: threshold,
                minimum_area: Some(25),
                feature_layer: Some(layer),
            }),
            architecture: self.architecture,
            normalization: Normalization { mean: [0.0; 3], std: [1.0; 3] },
            pool: Pool::try_from(pool).map_err(|_| malformed("pool"))?,
            precision: Precision::F32,
            batch_norm: if mode.takes_cells() {
                self.statistics
            } else {
                BatchNormStatistics::Running
            },
            crop_size: mode.cuts_out().then_some([224, 224]),
            crop_layer: None,
        })
    }

    /// The forward pass over a picture, and the heat maps of its present classes.
    pub fn forward(&self, frame: &GoldenFrame) -> Result<(FrameActivations, FrameHeatMaps)> {
        let activations = self.extractor.activations(&[frame.planes.as_slice()])?.remove(0);
        let heat_maps = self.extractor.heat_maps(&activations, &cam_of(&frame.present));
        Ok((activations, heat_maps))
    }

    /// What a mode makes of a picture.
    pub fn extract(
        &self,
        frame: &GoldenFrame,
        (activations, heat_maps): (&FrameActivations, &FrameHeatMaps),
        settings: &ExtractionSettings,
    ) -> Result<Extracted> {
        let plain = plain_frame();
        let (activations, heat_maps) = (Some(activations), Some(heat_maps));
        let input = FrameInput { frame: &plain, planes: &frame.planes, activations, heat_maps };
        Ok(self.extractor.extract(&[input], settings)?.remove(0))
    }

    /// The heat maps that the set expects of the present classes.
    pub fn expected_heat_maps(&self, frame: &GoldenFrame) -> Result<FrameHeatMaps> {
        let [height, width] = self.image_size.map(|side| side as usize / 32);
        let map = |class: &usize| {
            Ok(HeatMap {
                height,
                width,
                values: self.values(&format!("{}/cam_layer4_size/{class}", frame.name))?,
            })
        };
        let maps = frame.present.iter().map(map).collect::<Result<_>>()?;
        Ok(FrameHeatMaps::new(frame.present.clone(), [height, width], maps))
    }

    /// The boxes of a class in the golden set's own order; the tissue's united. `None` in SL-FE,
    /// which has one region a class.
    pub fn expected_order(
        &self,
        frame: &GoldenFrame,
        mode: Mode,
        threshold: &str,
        class: usize,
    ) -> Result<Vec<Option<Box2>>> {
        if mode == Mode::SlFe {
            return Ok(vec![None]);
        }
        let boxes: Vec<Box2> = part(&frame.value["boxes"][threshold], &class.to_string())?;
        let is_tissue = self.expected["tissue_class"].as_u64() == Some(class as u64);
        Ok(used_regions(&boxes, is_tissue).into_iter().map(Some).collect())
    }
}

/// Grad-CAM of layer 4.
fn cam_of(present: &[usize]) -> CamSettings {
    CamSettings {
        method: CamMethod::GradCam,
        layer: FeatureLayer::Layer4,
        present: Present::Classes(present.to_vec()),
    }
}

/// A frame that nothing is known of but its picture.
pub fn plain_frame() -> Frame {
    Frame {
        sequence: "seq_1".into(),
        name: "frame000".into(),
        train: true,
        validation: true,
        labels: vec![],
        boxes: None,
        box_space: [0, 0],
        detected: Vec::new(),
    }
}
