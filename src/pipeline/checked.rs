//! Settings that are read from files which anybody may have made or edited, such as those of
//! exported captioners and heads.
//!
//! A recipe's values are checked one by one when they are read. A [`Checked`] value has also been
//! checked as a whole for everything that the worker relies on.

use std::ops::{Deref, RangeInclusive};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::head_settings::{
    CaptionerSettings, GraphSettings, HeadUse, TransformerSettings, fits_attention_heads,
};
use super::settings::{Architecture, ExtractionSettings, Normalization};
use surgcam_values::{ImageSize, Present, Threshold};

type Outcome = Result<(), String>;

/// Settings that can be checked as a whole.
pub trait Check {
    fn check(&self) -> Outcome;
}

/// Settings whose values make sense together. They are written without a wrapper, and reading them
/// fails where the values do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Checked<T>(T);

impl<T: Check> Checked<T> {
    pub fn new(settings: T) -> Result<Self, String> {
        settings.check().map(|()| Checked(settings))
    }
}

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Check + Deserialize<'de>> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Checked::new(T::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The most numbers in a vector. No head needs more, and sizes made of this number cannot overflow.
const WIDEST: usize = 1 << 16;

impl Check for TransformerSettings {
    fn check(&self) -> Outcome {
        attention(self.width, self.attention_heads)?;
        within("layers", self.layers, 1..=1000)?;
        within("feed_forward", self.feed_forward, 1..=WIDEST)?;
        within("memory_slots", self.memory_slots, 0..=WIDEST)?;
        dropout(self.dropout)
    }
}

impl Check for GraphSettings {
    fn check(&self) -> Outcome {
        attention(self.width, self.attention_heads)?;
        within("rounds", self.rounds, 1..=1000)?;
        within("classes", self.classes, 1..=WIDEST)?;
        ImageSize::try_from(self.image_size)?;
        dropout(self.dropout)
    }
}

impl Check for CaptionerSettings {
    fn check(&self) -> Outcome {
        let classes = self.extraction.architecture.classes;
        within("classes", classes, 1..=WIDEST)?;
        if let Some(length) = self.extraction.architecture.clip_length {
            within("clip_length", length, 2..=Architecture::LONGEST_CLIP)?;
        }
        if self.classes.len() != classes {
            return Err(format!(
                "it names {} classes and its network has {classes}",
                self.classes.len()
            ));
        }
        ImageSize::try_from(self.image_size)?;
        extraction(&self.extraction)?;
        head_use(&self.heads)
    }
}

fn extraction(settings: &ExtractionSettings) -> Outcome {
    normalization(&settings.normalization)?;
    if !settings.batch_norm.is_default() && !settings.mode.takes_cells() {
        return Err(format!("the mode {} does not use `batch_norm`", settings.mode.name()));
    }
    if let Some(crop_size) = settings.crop_size {
        ImageSize::try_from(crop_size)?;
    }
    match &settings.regions {
        None if settings.mode.is_localised() => {
            Err(format!("the mode {} needs `regions`", settings.mode.name()))
        }
        None => Ok(()),
        Some(regions) => {
            Threshold::new(regions.roi_threshold)?;
            let classes = settings.architecture.classes;
            match &regions.cam.present {
                Present::Classes(present) if present.iter().any(|&class| class >= classes) => {
                    Err(format!("`present` names a class beyond its {classes} classes"))
                }
                Present::Classes(_) | Present::Above(_) => Ok(()),
            }
        }
    }
}

fn normalization(normalization: &Normalization) -> Outcome {
    let makes_sense = normalization.std.iter().all(|&deviation| deviation > 0.0);
    if makes_sense {
        Ok(())
    } else {
        Err(format!("a standard deviation of {:?} is not above 0", normalization.std))
    }
}

fn head_use(heads: &HeadUse) -> Outcome {
    within("beam", heads.search.beam, 1..=256)?;
    within("longest", heads.search.longest, 1..=256)?;
    within("caption_regions", heads.caption_regions, 1..=1024)?;
    within("interaction_regions", heads.interaction_regions, 1..=1024)
}

fn attention(width: usize, heads: usize) -> Outcome {
    within("width", width, 2..=WIDEST)?;
    within("attention_heads", heads, 1..=width)?;
    if fits_attention_heads(width, heads) {
        Ok(())
    } else {
        Err(format!(
            "a width of {width} and {heads} attention heads do not fit: an even multiple of them \
             is expected"
        ))
    }
}

fn dropout(value: f64) -> Outcome {
    Threshold::new(value).map(|_| ()).map_err(|problem| format!("`dropout`: {problem}"))
}

fn within(name: &str, value: usize, range: RangeInclusive<usize>) -> Outcome {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("`{name}` is {value}: {} to {} is expected", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn captioner() -> Value {
        json!({
            "extraction": {
                "mode": "sl-fe",
                "regions": {
                    "cam": { "method": "grad-cam", "layer": "layer4", "present": [0, 1] },
                    "roi_threshold": 0.3, "minimum_area": null, "feature_layer": "layer4"
                },
                "architecture": { "backbone": "resnet10", "classes": 2 },
                "normalization": { "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2] },
                "pool": 512, "precision": "f32"
            },
            "image_size": [64, 80],
            "classes": ["hook", "tissue"],
            "heads": {
                "search": { "beam": 5, "longest": 20 },
                "caption_regions": 6,
                "interaction_regions": 6
            }
        })
    }

    /// What is wrong with `settings` once the value at `pointer` is `value`.
    fn problem<T: Check + DeserializeOwned + std::fmt::Debug>(
        mut settings: Value,
        pointer: &str,
        value: Value,
    ) -> String {
        *settings.pointer_mut(pointer).unwrap() = value;
        serde_json::from_value::<Checked<T>>(settings).unwrap_err().to_string()
    }

    #[test]
    fn good_settings_are_read_and_written_as_they_are() {
        let checked: Checked<CaptionerSettings> = serde_json::from_value(captioner()).unwrap();
        assert_eq!(checked.classes, ["hook", "tissue"]);
        let plain: CaptionerSettings = serde_json::from_value(captioner()).unwrap();
        assert_eq!(serde_json::to_value(&checked).unwrap(), serde_json::to_value(&plain).unwrap());
    }

    #[test]
    fn a_captioner_that_nothing_can_be_captioned_with_is_refused() {
        for (pointer, value, expected) in [
            ("/extraction/architecture/classes", json!(0), "`classes` is 0"),
            ("/extraction/architecture/classes", json!(3), "names 2 classes and its network has 3"),
            (
                "/extraction/architecture",
                json!({ "backbone": "resnet10", "classes": 2, "clip_length": 65 }),
                "`clip_length` is 65",
            ),
            ("/classes", json!([]), "names 0 classes"),
            ("/image_size", json!([0, 80]), "not a picture size"),
            ("/image_size", json!([4294967295u32, 4294967295u32]), "not a picture size"),
            ("/extraction/regions", Value::Null, "sl-fe needs `regions`"),
            ("/extraction/regions/roi_threshold", json!(-1.0), "outside [0, 1)"),
            ("/extraction/regions/cam/present", json!([2]), "beyond its 2 classes"),
            ("/extraction/normalization/std", json!([0.2, 0.0, 0.2]), "not above 0"),
            ("/heads/search/beam", json!(0), "`beam` is 0"),
            ("/heads/search/longest", json!(4294967296u64), "`longest` is 4294967296"),
            ("/heads/caption_regions", json!(0), "`caption_regions` is 0"),
            ("/heads/interaction_regions", json!(1u64 << 60), "`interaction_regions`"),
        ] {
            let said = problem::<CaptionerSettings>(captioner(), pointer, value);
            assert!(said.contains(expected), "{pointer}: {said}");
        }
    }

    #[test]
    fn heads_of_no_shape_are_refused() {
        let transformer = json!({
            "width": 16, "layers": 1, "attention_heads": 2, "feed_forward": 16, "memory_slots": 0,
            "dropout": 0.1
        });
        let graph = json!({
            "width": 16, "rounds": 1, "attention_heads": 2, "dropout": 0.1, "classes": 2,
            "image_size": [64, 80]
        });
        assert!(
            serde_json::from_value::<Checked<TransformerSettings>>(transformer.clone()).is_ok()
        );
        assert!(serde_json::from_value::<Checked<GraphSettings>>(graph.clone()).is_ok());
        for (pointer, value) in [
            ("/attention_heads", json!(0)),
            ("/attention_heads", json!(3)),
            ("/width", json!(0)),
            ("/dropout", json!(2)),
        ] {
            problem::<TransformerSettings>(transformer.clone(), pointer, value.clone());
            problem::<GraphSettings>(graph.clone(), pointer, value);
        }
        problem::<TransformerSettings>(transformer, "/layers", json!(0));
        problem::<GraphSettings>(graph.clone(), "/classes", json!(0));
        problem::<GraphSettings>(graph, "/image_size", json!([0, 0]));
    }
}
