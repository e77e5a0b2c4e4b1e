//! Numbers with bounds, which serialise as plain numbers.
//!
//! Bounds are wide: they keep out what no machine could do and what a network cannot count with,
//! not what is merely unusual.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u32")]
pub struct Whole<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> Whole<LEAST, MOST> {
    /// # Panics
    /// Panics if the number is out of bounds. It is meant for numbers that are written in the code.
    pub const fn new(value: u32) -> Self {
        assert!(LEAST <= value && value <= MOST, "the number is out of bounds");
        Whole(value)
    }

    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl<const LEAST: u32, const MOST: u32> Default for Whole<LEAST, MOST> {
    fn default() -> Self {
        Whole(LEAST)
    }
}

impl<const LEAST: u32, const MOST: u32> From<Whole<LEAST, MOST>> for u32 {
    fn from(whole: Whole<LEAST, MOST>) -> u32 {
        whole.0
    }
}

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Whole<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor<const LEAST: u32, const MOST: u32>;

        impl<const LEAST: u32, const MOST: u32> Visitor<'_> for WholeVisitor<LEAST, MOST> {
            type Value = Whole<LEAST, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a whole number from {LEAST} to {MOST}")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                let found =
                    u32::try_from(value).ok().filter(|value| (LEAST..=MOST).contains(value));
                found.map(Whole).ok_or_else(|| {
                    E::custom(format!(
                        "{value} is out of bounds: a whole number from {LEAST} to {MOST} is \
                         expected"
                    ))
                })
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                // A number that does not fit into an i64 is out of all bounds.
                self.visit_i64(i64::try_from(value).unwrap_or(i64::MAX))
            }
        }

        deserializer.deserialize_any(WholeVisitor::<LEAST, MOST>)
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Whole<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Whole_from_{LEAST}_to_{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// Declares a number between two bounds. Each bound is either allowed (`>=`, `<=`) or not (`>`,
/// `<`).
macro_rules! bounded {
    (
        $(#[doc = $doc:literal])*
        $name:ident: $over:tt $least:literal, $under:tt $most:literal, $expected:literal,
        { $($schema:tt)* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// # Panics
            /// Panics if the number is out of bounds. It is meant for numbers that are written in
            /// the code.
            pub const fn new(value: f64) -> Self {
                assert!(Self::has(value), "the number is out of bounds");
                $name(value)
            }

            pub fn value(self) -> f64 {
                self.0
            }

            /// Whether the value is within the bounds. NaN is not.
            const fn has(value: f64) -> bool {
                value $over $least && value $under $most
            }
        }

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from(value: f64) -> Result<Self, String> {
                if $name::has(value) {
                    Ok($name(value))
                } else {
                    Err(format!("{value:?} is out of bounds: a number {} is expected", $expected))
                }
            }
        }

        impl From<$name> for f64 {
            fn from(number: $name) -> f64 {
                number.0
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "number", $($schema)* })
            }
        }
    };
}

bounded! {
    /// A part of a whole, or a probability.
    Share: >= 0.0, <= 1.0, "from 0 to 1", { "minimum": 0, "maximum": 1 }
}

bounded! {
    /// What something is multiplied by to make it smaller.
    Factor: > 0.0, <= 1.0, "above 0 and at most 1", { "exclusiveMinimum": 0, "maximum": 1 }
}

bounded! {
    /// A learning rate. Anything near the upper bound makes every loss infinite; f32 counts with it
    /// nonetheless.
    LearningRate: > 0.0, <= 1000.0, "above 0 and at most 1000",
    { "exclusiveMinimum": 0, "maximum": 1000 }
}

bounded! {
    /// A decay of weights.
    Decay: >= 0.0, <= 1000.0, "from 0 to 1000", { "minimum": 0, "maximum": 1000 }
}

bounded! {
    /// How far a factor is drawn from 1.
    Reach: >= 0.0, <= 10.0, "from 0 to 10", { "minimum": 0, "maximum": 10 }
}

bounded! {
    /// A number above 0: a penalty, seconds (thirty years of them).
    Positive: > 0.0, <= 1e9, "above 0 and at most 1000000000",
    { "exclusiveMinimum": 0, "maximum": 1_000_000_000 }
}

bounded! {
    /// A number that was printed in a table.
    Printed: >= -1e9, <= 1e9, "from -1000000000 to 1000000000",
    { "minimum": -1_000_000_000, "maximum": 1_000_000_000 }
}

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
            Err(format!("{value:?} is outside [0, 1): at least 0 and less than 1 is expected"))
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

/// `[height, width]` in pixels; at least 32 each, which a ResNet shrinks to one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[u32; 2]", into = "[u32; 2]")]
pub struct ImageSize([u32; 2]);

impl ImageSize {
    /// What the authors cut boxes out to.
    pub const OF_CROPS: ImageSize = ImageSize::new(224, 224);

    const LEAST: u32 = 32;
    const MOST: u32 = 8192;

    pub const fn new(height: u32, width: u32) -> Self {
        assert!(
            height >= Self::LEAST && width >= Self::LEAST,
            "a picture has at least 32x32 pixels"
        );
        ImageSize([height, width])
    }

    pub const fn height_width(self) -> [u32; 2] {
        self.0
    }
}

impl JsonSchema for ImageSize {
    fn schema_name() -> Cow<'static, str> {
        "ImageSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`[height, width]` in pixels; at least 32 each, which a ResNet shrinks \
                to one cell.",
            "type": "array",
            "items": { "type": "integer", "minimum": ImageSize::LEAST, "maximum": ImageSize::MOST },
            "minItems": 2,
            "maxItems": 2,
        })
    }
}

impl TryFrom<[u32; 2]> for ImageSize {
    type Error = String;

    fn try_from([height, width]: [u32; 2]) -> Result<Self, String> {
        let is_side = |side: u32| (ImageSize::LEAST..=ImageSize::MOST).contains(&side);
        if is_side(height) && is_side(width) {
            Ok(ImageSize([height, width]))
        } else {
            Err(format!(
                "[{height}, {width}] is not a picture size: [height, width] with 32 to 8192 pixels \
                 each is expected"
            ))
        }
    }
}

impl From<ImageSize> for [u32; 2] {
    fn from(size: ImageSize) -> [u32; 2] {
        size.0
    }
}

/// The shape `(p0, p1, p2)` that a region is pooled to, named by p0; always 512 numbers (METHOD 6).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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
            _ => Err(format!("{value} is not a pool size: 512, 128 or 32 is expected")),
        }
    }
}

impl From<Pool> for u64 {
    fn from(pool: Pool) -> u64 {
        u64::from(pool.0)
    }
}
