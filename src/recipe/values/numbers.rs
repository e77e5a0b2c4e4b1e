//! Numbers with bounds.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
            Err(format!("{value} is outside [0, 1): at least 0 and less than 1 is expected"))
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
    /// What the authors cut boxes out to.
    pub const OF_CROPS: ImageSize = ImageSize::new(224, 224);

    pub const fn new(height: u32, width: u32) -> Self {
        assert!(height >= 32 && width >= 32, "a picture has at least 32x32 pixels");
        ImageSize([height, width])
    }

    pub const fn height_width(self) -> [u32; 2] {
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
