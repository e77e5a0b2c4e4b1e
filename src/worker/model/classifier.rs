//! What a training, an evaluation and heat maps ask of a classifier, whatever network it is.
//!
//! Another network implements both traits and is made in [`differentiable`] and [`for_evaluation`].

use surgcam_engine::error::Result;
use surgcam_frames::vision::heat_map::HeatMap;
use surgcam_pipeline::settings::Architecture;
use surgcam_values::{CamMethod, FeatureLayer, Precision, TrainingPrecision};
use tch::{Device, Kind, Tensor};

use super::clips;
use super::inference::InferenceNetwork;
use super::resnet::{FeatureMaps, ResNet};
use super::weights::Weights;
use crate::cam;

/// What a classifier makes of a batch of pictures.
pub struct Answer {
    /// [N, classes]
    pub logits: Tensor,
    pub maps: FeatureMaps,
}

/// A classifier in evaluation, without dropout. Its answer for a frame does not depend on the other
/// frames of a batch.
pub trait Classifier {
    /// How many frames it sees together to predict the labels of the last one.
    fn clip_length(&self) -> i64;

    /// Normalised pictures [N, 3, H, W] -> their feature maps.
    ///
    /// # Errors
    /// Where the device refuses the pass.
    fn maps_of(&self, images: &Tensor) -> Result<FeatureMaps>;

    /// [N, C4, h, w] -> [N, C4]
    fn pooled(&self, layer4: &Tensor) -> Tensor;

    /// The pooled features of clips [N, clip length, C4] -> the logits of their last frames
    /// [N, classes].
    fn logits_of_clips(&self, clips: &Tensor) -> Tensor;

    /// The answer for normalised pictures [N, 3, H, W] of which no earlier frames are known.
    ///
    /// # Errors
    /// Where the device refuses the pass.
    fn answer(&self, images: &Tensor) -> Result<Answer> {
        let maps = self.maps_of(images)?;
        let clips = clips::of_single_frames(&self.pooled(&maps.layer4), self.clip_length());
        Ok(Answer { logits: self.logits_of_clips(&clips), maps })
    }
}

/// A classifier in the form that gradients flow through.
pub trait DifferentiableClassifier: Classifier {
    /// The logits [N, classes] that a training step goes down from: normalised by the batch, with
    /// this share of dropout. `images`: the frames of N clips, clip after clip.
    fn training_logits(&self, images: &Tensor, dropout: f64) -> Tensor;

    /// How class activation maps of a layer are made for the last frame of `clip`. The clip has the
    /// pooled features [clip length, C4] of its frames. `None` if no earlier frames are known.
    fn cam(&self, layer: FeatureLayer, clip: Option<&Tensor>) -> Cam<'_>;
}

/// How class activation maps are made of a layer's map.
pub enum Cam<'a> {
    /// What follows the map is a global average pool and one linear layer with this weight
    /// [classes, C].
    ClosedForm { head_weight: &'a Tensor },
    /// Through whatever follows, with a backward pass for each class.
    BackwardPass {
        /// From the map [C, h, w] of one frame to its logits [classes].
        logits_of: Box<dyn Fn(&Tensor) -> Tensor + 'a>,
    },
}

impl Cam<'_> {
    /// The heat maps of a frame's `classes`, from its map [1, C, h, w]. No gradient flows through
    /// them.
    pub fn heat_maps(&self, map: &Tensor, classes: &[usize], method: CamMethod) -> Vec<HeatMap> {
        let map = map.detach();
        match self {
            Cam::ClosedForm { head_weight } => {
                let head_weight = head_weight.detach();
                let all = tch::no_grad(|| {
                    cam::to_heat_maps(&cam::closed_form_maps(&map, &head_weight, method))
                });
                classes.iter().map(|&class| all[class].clone()).collect()
            }
            Cam::BackwardPass { .. } if classes.is_empty() => Vec::new(),
            Cam::BackwardPass { logits_of } => {
                let maps = cam::autograd_maps(&map.squeeze_dim(0), classes, method, logits_of);
                cam::to_heat_maps(&Tensor::stack(&maps, 0))
            }
        }
    }
}

/// For training. It shares its tensors with `parameters`.
pub fn differentiable(
    architecture: Architecture,
    parameters: &Weights,
    precision: TrainingPrecision,
) -> Result<Box<dyn DifferentiableClassifier>> {
    let network = ResNet::new(architecture, parameters)?;
    Ok(Box::new(match precision {
        TrainingPrecision::F32 => network,
        TrainingPrecision::Bf16 => network.counting_in(Kind::BFloat16),
    }))
}

/// For evaluation: the fastest form, with the weights as they are now.
pub fn for_evaluation(
    architecture: Architecture,
    parameters: &Weights,
    device: Device,
) -> Result<Box<dyn Classifier>> {
    Ok(Box::new(InferenceNetwork::new(architecture, parameters, device, Precision::F32)?))
}

impl Classifier for InferenceNetwork {
    fn clip_length(&self) -> i64 {
        self.head.clip_length()
    }

    fn maps_of(&self, images: &Tensor) -> Result<FeatureMaps> {
        self.feature_maps(images)
    }

    fn pooled(&self, layer4: &Tensor) -> Tensor {
        InferenceNetwork::pooled(self, layer4)
    }

    fn logits_of_clips(&self, clips: &Tensor) -> Tensor {
        self.logits(clips)
    }
}

impl Classifier for ResNet {
    fn clip_length(&self) -> i64 {
        self.head.clip_length()
    }

    fn maps_of(&self, images: &Tensor) -> Result<FeatureMaps> {
        Ok(self.feature_maps(images, false))
    }

    fn pooled(&self, layer4: &Tensor) -> Tensor {
        ResNet::pooled(self, layer4)
    }

    fn logits_of_clips(&self, clips: &Tensor) -> Tensor {
        self.head.logits(clips, 0.0, false)
    }
}

impl ResNet {
    /// The logits [1, classes] of a frame with this map of layer 4 [1, C4, h, w], behind these
    /// pooled features of the frames before it.
    fn logits_behind(&self, earlier: Option<&Tensor>, layer4: &Tensor) -> Tensor {
        let last = self.pooled(layer4);
        let clip = match earlier {
            Some(earlier) => Tensor::cat(&[earlier, &last], 0).unsqueeze(0),
            None => clips::of_single_frames(&last, self.head.clip_length()),
        };
        self.head.logits(&clip, 0.0, false)
    }
}

impl DifferentiableClassifier for ResNet {
    fn training_logits(&self, images: &Tensor, dropout: f64) -> Tensor {
        self.logits(&self.feature_maps(images, true).layer4, dropout, true)
    }

    fn cam(&self, layer: FeatureLayer, clip: Option<&Tensor>) -> Cam<'_> {
        let earlier = clip.map(|clip| clip.narrow(0, 0, clip.size()[0] - 1).detach());
        match layer {
            FeatureLayer::Layer4 if self.head.clip_length() == 1 => {
                Cam::ClosedForm { head_weight: &self.head.weight }
            }
            FeatureLayer::Layer4 => Cam::BackwardPass {
                logits_of: Box::new(move |layer4: &Tensor| {
                    self.logits_behind(earlier.as_ref(), &layer4.unsqueeze(0)).squeeze_dim(0)
                }),
            },
            FeatureLayer::Layer3 => Cam::BackwardPass {
                logits_of: Box::new(move |layer3: &Tensor| {
                    let layer4 = self.layer4_of(&layer3.unsqueeze(0));
                    self.logits_behind(earlier.as_ref(), &layer4).squeeze_dim(0)
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use surgcam_values::Backbone;

    const ARCHITECTURE: Architecture = Architecture::of_frames(Backbone::ResNet10, 4);

    fn images() -> Tensor {
        let _kept = crate::generator::seeded(6);
        Tensor::rand([2, 3, 64, 96], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn both_forms_of_a_classifier_answer_alike() {
        let parameters = Weights::random(ARCHITECTURE, 2);
        let trained = differentiable(ARCHITECTURE, &parameters, TrainingPrecision::F32).unwrap();
        let evaluated = for_evaluation(ARCHITECTURE, &parameters, Device::Cpu).unwrap();
        let (expected, found) = tch::no_grad(|| {
            (trained.answer(&images()).unwrap(), evaluated.answer(&images()).unwrap())
        });
        for (expected, found) in
            [(&expected.logits, &found.logits), (&expected.maps.layer4, &found.maps.layer4)]
        {
            assert_eq!(expected.size(), found.size());
            let difference = f64::try_from((expected - found).abs().max()).unwrap();
            assert!(
                difference <= 1e-4 * f64::try_from(expected.abs().max()).unwrap(),
                "{difference}"
            );
        }
    }

    /// This is how a head without a closed form gets its maps.
    #[test]
    fn heat_maps_by_backward_passes_are_those_of_the_closed_form() {
        let network = ResNet::new(ARCHITECTURE, &Weights::random(ARCHITECTURE, 2)).unwrap();
        let layer4 = network.answer(&images()).unwrap().maps.layer4.narrow(0, 1, 1);
        let by_passes = Cam::BackwardPass {
            logits_of: Box::new(|map: &Tensor| {
                network.logits(&map.unsqueeze(0), 0.0, false).squeeze_dim(0)
            }),
        };
        let closed_form = network.cam(FeatureLayer::Layer4, None);
        let none: &[usize] = &[];
        for classes in [none, &[2], &[0, 3]] {
            let expected = closed_form.heat_maps(&layer4, classes, CamMethod::GradCam);
            let found = by_passes.heat_maps(&layer4, classes, CamMethod::GradCam);
            assert_eq!((expected.len(), found.len()), (classes.len(), classes.len()));
            for (expected, found) in expected
                .iter()
                .flat_map(|map| &map.values)
                .zip(found.iter().flat_map(|map| &map.values))
            {
                assert!((expected - found).abs() < 1e-3, "{expected} {found}");
            }
        }
    }

    #[test]
    fn layer_3_has_heat_maps_of_its_own_size() {
        let network = ResNet::new(ARCHITECTURE, &Weights::random(ARCHITECTURE, 2)).unwrap();
        let layer3 = network.answer(&images()).unwrap().maps.layer3.narrow(0, 0, 1);
        let found = network.cam(FeatureLayer::Layer3, None).heat_maps(
            &layer3,
            &[1],
            CamMethod::GradCamPlusPlus,
        );
        assert_eq!(found.iter().map(|map| (map.height, map.width)).collect::<Vec<_>>(), [(4, 6)]);
    }
}
