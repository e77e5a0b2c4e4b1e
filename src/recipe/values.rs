//! The values of a recipe: each checked once, where it is made, so that nothing behind this room can meet a bad one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A number in [0, 1): where a heat map or a probability counts as high.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
pub struct Threshold(f64);

impl Threshold {
    pub fn new(value: f64) -> Result<Self, String> {
        if (0.0..1.0).contains(&value) {
            Ok(Threshold(value))
        } else {
            Err(format!("{value} is outside [0, 1): a threshold is at least 0 and less than 1"))
        }
    }

    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Threshold {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        Threshold::new(value)
    }
}

impl From<Threshold> for f64 {
    fn from(threshold: Threshold) -> f64 {
        threshold.0
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A whole number above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("minimum" = 1))]
pub struct Count(u32);

impl Count {
    pub const fn new(value: u32) -> Self {
        assert!(value > 0, "a count is above 0");
        Count(value)
    }

    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl TryFrom<u64> for Count {
    type Error = String;

    fn try_from(value: u64) -> Result<Self, String> {
        u32::try_from(value)
            .ok()
            .filter(|&value| value > 0)
            .map(Count)
            .ok_or_else(|| format!("{value} is no count: a whole number above 0 is expected"))
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> u64 {
        u64::from(count.0)
    }
}

/// A number above 0: a learning rate, a factor.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(extend("exclusiveMinimum" = 0))]
pub struct Positive(f64);

impl Positive {
    pub const fn new(value: f64) -> Self {
        assert!(value > 0.0, "a positive number is above 0");
        Positive(value)
    }

    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Positive {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if value > 0.0 && value.is_finite() { Ok(Positive(value)) } else { Err(format!("{value} is not above 0")) }
    }
}

impl From<Positive> for f64 {
    fn from(positive: Positive) -> f64 {
        positive.0
    }
}

/// A number that is not below 0: a decay, a penalty.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(extend("minimum" = 0))]
pub struct NonNegative(f64);

impl NonNegative {
    pub const fn new(value: f64) -> Self {
        assert!(value >= 0.0, "not below 0");
        NonNegative(value)
    }

    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for NonNegative {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if value >= 0.0 && value.is_finite() { Ok(NonNegative(value)) } else { Err(format!("{value} is below 0")) }
    }
}

impl From<NonNegative> for f64 {
    fn from(value: NonNegative) -> f64 {
        value.0
    }
}

/// `[height, width]` in pixels; at least 32 each, which a ResNet shrinks to one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "[u32; 2]", into = "[u32; 2]")]
pub struct ImageSize([u32; 2]);

impl ImageSize {
    pub const fn new(height: u32, width: u32) -> Self {
        assert!(height >= 32 && width >= 32, "a picture has at least 32x32 pixels");
        ImageSize([height, width])
    }

    pub fn height_width(self) -> [u32; 2] {
        self.0
    }
}

impl TryFrom<[u32; 2]> for ImageSize {
    type Error = String;

    fn try_from([height, width]: [u32; 2]) -> Result<Self, String> {
        if (32..=8192).contains(&height) && (32..=8192).contains(&width) {
            Ok(ImageSize([height, width]))
        } else {
            Err(format!("[{height}, {width}] is no picture size: [height, width] with 32 to 8192 pixels each is expected"))
        }
    }
}

impl From<ImageSize> for [u32; 2] {
    fn from(size: ImageSize) -> [u32; 2] {
        size.0
    }
}

/// ResNets by torchvision's names; `resnet10` has one basic block a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    ResNet10,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
}

/// The layer of the backbone that a feature map comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeatureLayer {
    Layer3,
    Layer4,
}

/// How regions become features (METHOD 6), and two yardsticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Localization and naive feature extraction: a forward pass for every box.
    LnFe,
    /// Localization-aided: the box's part of a feature map.
    LFe,
    /// Single-pass localization-aided: the hot cells of a feature map.
    SlFe,
    /// Yardstick: LN-FE on the ground truth's boxes, the conventional pipeline with a perfect detector.
    GroundTruthBoxes,
    /// Yardstick: one region, the whole frame.
    WholeFrame,
}

impl Mode {
    /// Its name in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Mode::LnFe => "ln-fe",
            Mode::LFe => "l-fe",
            Mode::SlFe => "sl-fe",
            Mode::GroundTruthBoxes => "ground-truth-boxes",
            Mode::WholeFrame => "whole-frame",
        }
    }

    /// Whether regions come from heat maps, so that T_ROI and the present classes matter.
    pub fn is_localised(self) -> bool {
        matches!(self, Mode::LnFe | Mode::LFe | Mode::SlFe)
    }
}

/// How channels weigh in a heat map (METHOD 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CamMethod {
    #[serde(rename = "grad-cam")]
    GradCam,
    #[serde(rename = "grad-cam++")]
    GradCamPlusPlus,
}

/// What the network counts in, in evaluation and extraction. What it finds is kept in f32 whatever it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    Bf16,
    F16,
}

impl Precision {
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }
}

/// The shape `(p0, p1, p2)` that a region is pooled to, named by p0; always 512 numbers (METHOD 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64", into = "u64")]
#[schemars(extend("enum" = [512, 128, 32]))]
pub struct Pool(u32);

impl Pool {
    pub const P512: Pool = Pool(512);

    /// `(p0, p1, p2)`.
    pub fn shape(self) -> (i64, i64, i64) {
        match self.0 {
            512 => (512, 1, 1),
            128 => (128, 2, 2),
            _ => (32, 4, 4),
        }
    }

    pub fn channels(self) -> u32 {
        self.0
    }
}

impl TryFrom<u64> for Pool {
    type Error = String;

    fn try_from(value: u64) -> Result<Self, String> {
        match value {
            512 | 128 | 32 => Ok(Pool(value as u32)),
            _ => Err(format!("{value} is no pool size: 512, 128 or 32 is expected")),
        }
    }
}

impl From<Pool> for u64 {
    fn from(pool: Pool) -> u64 {
        u64::from(pool.0)
    }
}

/// Which classes of a frame count as present.
#[derive(Debug, Clone, PartialEq)]
pub enum Present {
    /// Where sigmoid(logit) is above T_class.
    Above(Threshold),
    /// These class ids, in every frame.
    Classes(Vec<usize>),
}

impl JsonSchema for Present {
    fn schema_name() -> Cow<'static, str> {
        "Present".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let threshold = generator.subschema_for::<Threshold>();
        json_schema!({
            "description": "A list of class ids, or { above = T_class }.",
            "anyOf": [
                { "type": "array", "items": { "type": "integer", "minimum": 0 } },
                { "type": "object", "properties": { "above": threshold }, "required": ["above"], "additionalProperties": false },
            ],
        })
    }
}

impl Serialize for Present {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Present::Above(threshold) => BTreeMap::from([("above", threshold)]).serialize(serializer),
            Present::Classes(classes) => classes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PresentVisitor;

        impl<'de> Visitor<'de> for PresentVisitor {
            type Value = Present;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of class ids, or { above = 0.5 }")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Present, A::Error> {
                let mut classes = Vec::new();
                while let Some(class) = items.next_element()? {
                    classes.push(class);
                }
                classes.sort_unstable();
                classes.dedup();
                Ok(Present::Classes(classes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Present, A::Error> {
                let mut above = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "above" {
                        return Err(de::Error::unknown_field(&key, &["above"]));
                    }
                    above = Some(map.next_value()?);
                }
                above.map(Present::Above).ok_or_else(|| de::Error::missing_field("above"))
            }
        }

        deserializer.deserialize_any(PresentVisitor)
    }
}

/// Where a network starts: `"random"`, or `{ file = "...", sha256 = "..." }`.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    Random,
    File(WeightsFile),
}

/// A file of weights; `sha256` may be the whole digest or its first 8 or more digits, as torchvision's file names have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightsFile {
    pub file: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl JsonSchema for Init {
    fn schema_name() -> Cow<'static, str> {
        "Init".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<WeightsFile>();
        json_schema!({
            "description": "\"random\", the path of a weights file, or { file = \"...\", sha256 = \"...\" }.",
            "anyOf": [{ "type": "string", "minLength": 1 }, file],
        })
    }
}

impl Serialize for Init {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Init::Random => "random".serialize(serializer),
            Init::File(file) => file.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Init {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InitVisitor;

        impl<'de> Visitor<'de> for InitVisitor {
            type Value = Init;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("\"random\", the path of a weights file, or { file = \"...\", sha256 = \"...\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Init, E> {
                match text {
                    "random" => Ok(Init::Random),
                    "" => Err(de::Error::invalid_value(de::Unexpected::Str(text), &self)),
                    path => Ok(Init::File(WeightsFile { file: PathBuf::from(path), sha256: None })),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Init, A::Error> {
                WeightsFile::deserialize(de::value::MapAccessDeserializer::new(map)).map(Init::File)
            }
        }

        deserializer.deserialize_any(InitVisitor)
    }
}

/// Whether a model is trained, or its weights are taken as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Training {
    Full,
    None,
}

/// What a head learns from features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeadTask {
    /// The frame's labels, in closed form: a first judgement of features.
    Probe,
    /// What happens, in words.
    Caption,
    /// What each instrument does to the tissue.
    Interaction,
}

/// The losses of interaction graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InteractionLoss {
    SoftMargin,
    CrossEntropy,
    ClassBalanced,
    CogTree,
}

impl InteractionLoss {
    pub fn name(self) -> &'static str {
        match self {
            InteractionLoss::SoftMargin => "soft-margin",
            InteractionLoss::CrossEntropy => "cross-entropy",
            InteractionLoss::ClassBalanced => "class-balanced",
            InteractionLoss::CogTree => "cog-tree",
        }
    }
}

/// A table that an experiment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    Classification,
    Localization,
    Extraction,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Table::Classification => "classification",
            Table::Localization => "localization",
            Table::Extraction => "extraction",
        }
    }
}

/// A name that is safe as a folder's: letters, digits, `-`, `_` and `.`, not starting with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        if !text.is_empty() && text.chars().all(allowed) && !text.starts_with('.') {
            Ok(Name(text))
        } else {
            Err(format!("`{text}` cannot name a folder: letters, digits, `-`, `_` and `.` are allowed"))
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct One<T> {
        value: T,
    }

    fn read<T: de::DeserializeOwned>(text: &str) -> Result<T, String> {
        toml::from_str::<One<T>>(&format!("value = {text}")).map(|one| one.value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_threshold_is_in_the_half_open_interval() {
        assert_eq!(read::<Threshold>("0").unwrap().value(), 0.0);
        for text in ["1.0", "-0.1", "nan", "2"] {
            assert!(read::<Threshold>(text).unwrap_err().contains("outside [0, 1)"), "{text}");
        }
    }

    #[test]
    fn present_is_a_list_or_a_threshold() {
        assert_eq!(read::<Present>("[6, 2, 2]").unwrap(), Present::Classes(vec![2, 6]));
        assert_eq!(read::<Present>("{ above = 0.43 }").unwrap(), Present::Above(Threshold(0.43)));
        assert!(read::<Present>("{ below = 0.4 }").unwrap_err().contains("unknown field `below`"));
    }

    #[test]
    fn init_is_random_or_a_file() {
        assert_eq!(read::<Init>("\"random\"").unwrap(), Init::Random);
        let Init::File(file) = read::<Init>("{ file = \"w.pth\", sha256 = \"0676ba61\" }").unwrap() else { panic!("a file") };
        assert_eq!(file.sha256.as_deref(), Some("0676ba61"));
    }

    #[test]
    fn other_bad_values_say_what_is_expected() {
        assert!(read::<Pool>("64").unwrap_err().contains("512, 128 or 32"));
        assert!(read::<Count>("0").unwrap_err().contains("above 0"));
        assert!(read::<ImageSize>("[8, 320]").unwrap_err().contains("[height, width]"));
        assert!(read::<Name>("\"../x\"").unwrap_err().contains("cannot name a folder"));
    }
}
