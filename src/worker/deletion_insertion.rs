//! How the probability of a class changes while the hottest pixels of a picture are removed, and
//! while they are inserted into a blurred one (METHOD 7).
//!
//! The definition is that of RISE (Petsiuk et al., BMVC 2018, `evaluation.py`): a removed pixel
//! gets the mean colour, which is 0 after normalisation, and the blur is a kernel of 11x11 pixels.

use surgcam_engine::error::Result;
use surgcam_frames::vision::heat_map::HeatMap;
use tch::{Device, Kind, Tensor};

use crate::features::values_of;
use crate::model::classifier::Classifier;
use crate::model::clips;
use crate::model::fused_convolution::channels_last;

/// The side of the blur's kernel, and the standard deviation that it is computed with.
const BLUR_LENGTH: usize = 11;
const BLUR_SIGMA: f64 = 5.0;

/// The result for one heat map of a class: the probability of the class after 0, 1, 2, ... steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    pub deletion: Vec<f64>,
    pub insertion: Vec<f64>,
}

/// A picture, and what is left of it when all pixels are removed or none is inserted yet.
pub struct ChangedPicture {
    /// [1, 3, H, W] and normalised, like the others.
    whole: Tensor,
    empty: Tensor,
    blurred: Tensor,
    /// Of a temporal classifier: the pooled features of the frames before it in its clip
    /// [clip length - 1, C4]. These frames are not changed.
    earlier: Option<Tensor>,
}

impl ChangedPicture {
    /// `image`: [1, 3, H, W], normalised.
    pub fn of(image: &Tensor) -> Self {
        ChangedPicture {
            whole: image.shallow_clone(),
            empty: image.zeros_like(),
            blurred: blurred(image),
            earlier: None,
        }
    }

    /// The same picture as the last frame of a clip.
    pub fn behind(self, earlier: Tensor) -> Self {
        ChangedPicture { earlier: Some(earlier), ..self }
    }
}

pub struct CurveMaker<'a> {
    pub classifier: &'a dyn Classifier,
    pub device: Device,
    pub pictures_in_a_pass: usize,
    /// In how many steps all pixels are changed. Each step changes the same number of pixels,
    /// except the last one, which changes the rest.
    pub steps: usize,
}

impl CurveMaker<'_> {
    /// `heat` has the size of the picture.
    pub fn curves(&self, picture: &ChangedPicture, heat: &HeatMap, class: usize) -> Result<Curves> {
        let ranks = Tensor::from_slice(&ranks(&heat.values))
            .view([1, 1, heat.height as i64, heat.width as i64])
            .to_device(self.device);
        let ChangedPicture { whole, empty, blurred, earlier } = picture;
        let probabilities = |start: &Tensor, finish: &Tensor| {
            self.probabilities([start, finish], earlier.as_ref(), &ranks, class)
        };
        Ok(Curves {
            deletion: probabilities(whole, empty)?,
            insertion: probabilities(blurred, whole)?,
        })
    }

    /// The probabilities of the class in pictures on the way from `start` to `finish`. In each step
    /// more pixels come from `finish`, in the order of `ranks`.
    fn probabilities(
        &self,
        [start, finish]: [&Tensor; 2],
        earlier: Option<&Tensor>,
        ranks: &Tensor,
        class: usize,
    ) -> Result<Vec<f64>> {
        let mut probabilities = Vec::new();
        for changed in changed_pixels(ranks.numel(), self.steps).chunks(self.pictures_in_a_pass) {
            let changed = Tensor::from_slice(changed).view([-1, 1, 1, 1]).to_device(self.device);
            let pictures = finish.where_self(&ranks.lt_tensor(&changed), start);
            let logits = self.logits(&channels_last(&pictures), earlier)?;
            let of_class = values_of(&logits.select(1, class as i64).sigmoid());
            probabilities.extend(of_class.into_iter().map(f64::from));
        }
        Ok(probabilities)
    }

    fn logits(&self, pictures: &Tensor, earlier: Option<&Tensor>) -> Result<Tensor> {
        let Some(earlier) = earlier else { return Ok(self.classifier.answer(pictures)?.logits) };
        let maps = self.classifier.maps_of(pictures)?;
        let clips = clips::behind(earlier, &self.classifier.pooled(&maps.layer4));
        Ok(self.classifier.logits_of_clips(&clips))
    }
}

/// How many pixels are changed before the first step, after it, and so on to the last.
fn changed_pixels(pixels: usize, steps: usize) -> Vec<i64> {
    let in_a_step = pixels.div_ceil(steps.max(1)).max(1);
    (0..=pixels.div_ceil(in_a_step)).map(|step| (step * in_a_step) as i64).collect()
}

/// The place of each pixel among all of them, by falling heat. Equally hot pixels keep their order.
fn ranks(heat: &[f32]) -> Vec<i64> {
    let mut order: Vec<usize> = (0..heat.len()).collect();
    order.sort_by(|&a, &b| heat[b].total_cmp(&heat[a]));
    let mut ranks = vec![0; heat.len()];
    for (rank, pixel) in order.into_iter().enumerate() {
        ranks[pixel] = rank as i64;
    }
    ranks
}

/// The area under a curve whose points are equally far apart, by trapezoids.
pub fn area(curve: &[f64]) -> Option<f64> {
    let (first, last) = (curve.first()?, curve.last()?);
    let pieces = curve.len() - 1;
    (pieces > 0).then(|| (curve.iter().sum::<f64>() - first / 2.0 - last / 2.0) / pieces as f64)
}

/// [1, 3, H, W] blurred channel by channel, with zeros around it: the kernel is a product of a
/// column and a row.
fn blurred(image: &Tensor) -> Tensor {
    let length = BLUR_LENGTH as i64;
    let margin = length / 2;
    let line = Tensor::from_slice(&blur_line()).to_kind(Kind::Float).to_device(image.device());
    let column = line.view([1, 1, length, 1]).repeat([3, 1, 1, 1]);
    let row = line.view([1, 1, 1, length]).repeat([3, 1, 1, 1]);
    tch::no_grad(|| {
        image.conv2d(&column, None::<&Tensor>, [1, 1], [margin, 0], [1, 1], 3).conv2d(
            &row,
            None::<&Tensor>,
            [1, 1],
            [0, margin],
            [1, 1],
            3,
        )
    })
}

/// The result of `scipy.ndimage.gaussian_filter` for a line that is 1 in the middle and 0
/// elsewhere. It reflects the line at its ends, so the kernel is flatter than a Gaussian and its
/// sum is 1.
fn blur_line() -> [f64; BLUR_LENGTH] {
    let length = BLUR_LENGTH as i64;
    // Four standard deviations, as scipy's.
    let radius = (4.0 * BLUR_SIGMA).round() as i64;
    let weight = |offset: i64| (-0.5 * (offset as f64 / BLUR_SIGMA).powi(2)).exp();
    let total: f64 = (-radius..=radius).map(weight).sum();
    let reflected = |place: i64| {
        let place = place.rem_euclid(2 * length);
        if place < length { place } else { 2 * length - 1 - place }
    };
    std::array::from_fn(|place| {
        let meets = |offset: &i64| reflected(place as i64 + offset) == length / 2;
        (-radius..=radius).filter(meets).map(weight).sum::<f64>() / total
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use surgcam_frames::formula::uniform;
    use surgcam_pipeline::settings::Architecture;
    use surgcam_values::Backbone;

    use super::*;
    use crate::model::classifier;
    use crate::model::weights::Weights;
    use crate::self_test::golden_set::formula_weights;

    /// As tests/golden/rise.py makes it.
    fn heat(class: usize, height: usize, width: usize) -> HeatMap {
        let pixels = height * width;
        let value = |place: usize| ((place * 2467 + 137 * class) % pixels) as f32 / pixels as f32;
        HeatMap { height, width, values: (0..pixels).map(value).collect() }
    }

    #[test]
    fn curves_are_those_of_rise() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/rise.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let number = |name: &str| golden[name].as_u64().unwrap();
        let architecture = Architecture::of_frames(Backbone::ResNet18, number("classes") as usize);
        let weights = formula_weights(architecture, number("seed"));
        let classifier = classifier::for_evaluation(architecture, &weights, Device::Cpu).unwrap();
        let size: [i64; 4] = serde_json::from_value(golden["images"].clone()).unwrap();
        let pixel = uniform("images", number("seed"));
        let values: Vec<f32> = (0..size.iter().product::<i64>() as u64)
            .map(|place| 2.0 * (pixel(place) as f32) - 1.0)
            .collect();
        let picture = ChangedPicture::of(&Tensor::from_slice(&values).view(size));
        let near = |found: &[f64], expected: &Value, what: &str| {
            let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
            assert_eq!(found.len(), expected.len(), "{what}");
            let differences =
                found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
            let worst = differences.fold(0.0, f64::max);
            assert!(worst < 1e-4, "{what}: {worst}");
        };
        let corner = picture.blurred.narrow(2, 0, 4).narrow(3, 0, 4);
        let corner: Vec<f64> = values_of(&corner).into_iter().map(f64::from).collect();
        near(&corner, &golden["blurred_corner"], "the blurred picture");
        let (height, width) = (size[2] as usize, size[3] as usize);
        let cases = golden["curves"].as_array().unwrap();
        assert!(cases.len() > 4);
        for case in cases {
            let class = case["class"].as_u64().unwrap() as usize;
            let in_a_step = case["pixels_a_step"].as_u64().unwrap() as usize;
            let maker = CurveMaker {
                classifier: &*classifier,
                device: Device::Cpu,
                pictures_in_a_pass: 5,
                steps: (height * width).div_ceil(in_a_step),
            };
            let found = maker.curves(&picture, &heat(class, height, width), class).unwrap();
            let what = format!("class {class}, {in_a_step} pixels a step");
            assert_eq!(changed_pixels(height * width, maker.steps)[1], in_a_step as i64);
            near(&found.deletion, &case["deletion"], &what);
            near(&found.insertion, &case["insertion"], &what);
            near(&[area(&found.deletion).unwrap()], &as_list(&case["deletion_area"]), &what);
            near(&[area(&found.insertion).unwrap()], &as_list(&case["insertion_area"]), &what);
        }
    }

    /// An unchanged frame has the probability that its whole clip gives it.
    #[test]
    fn the_last_frame_of_a_clip_is_changed_and_the_frames_before_it_stay() {
        let frames = Architecture::of_frames(Backbone::ResNet10, 2);
        let architecture = Architecture { clip_length: Some(3), ..frames };
        let weights = Weights::random(architecture, 4);
        let classifier = classifier::for_evaluation(architecture, &weights, Device::Cpu).unwrap();
        let _kept = crate::generator::seeded(7);
        let brightness = Tensor::from_slice(&[4f32, 2.0, 1.0]).view([3, 1, 1, 1]);
        let images = Tensor::rand([3, 3, 32, 48], (Kind::Float, Device::Cpu)) * brightness;
        let images = channels_last(&images);
        let pooled = classifier.pooled(&classifier.maps_of(&images).unwrap().layer4);
        let logits = classifier.logits_of_clips(&pooled.unsqueeze(0));
        let expected = logits.sigmoid().double_value(&[0, 1]);
        let maker = CurveMaker {
            classifier: &*classifier,
            device: Device::Cpu,
            pictures_in_a_pass: 5,
            steps: 3,
        };
        let (picture, heat) = (ChangedPicture::of(&images.narrow(0, 2, 1)), heat(1, 32, 48));
        let alone = maker.curves(&picture, &heat, 1).unwrap();
        let of_clip = maker.curves(&picture.behind(pooled.narrow(0, 0, 2)), &heat, 1).unwrap();
        assert_eq!((of_clip.deletion.len(), of_clip.insertion.len()), (4, 4));
        for probability in [of_clip.deletion[0], of_clip.insertion[3]] {
            assert!((probability - expected).abs() < 1e-5, "{probability} for {expected}");
        }
        assert!((alone.deletion[0] - expected).abs() > 1e-4, "{expected}");
    }

    fn as_list(value: &Value) -> Value {
        Value::Array(vec![value.clone()])
    }
}
