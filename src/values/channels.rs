//! Values for each of a picture's three channels.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Red, green and blue, each between the same bounds.
macro_rules! channels {
    ($(#[doc = $doc:literal])* $name:ident: $least:literal..=$most:literal) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "[f64; 3]", into = "[f64; 3]")]
        pub struct $name([f64; 3]);

        impl $name {
            const BOUNDS: RangeInclusive<f64> = $least..=$most;

            pub fn values(self) -> [f64; 3] {
                self.0
            }
        }

        impl TryFrom<[f64; 3]> for $name {
            type Error = String;

            fn try_from(values: [f64; 3]) -> Result<Self, String> {
                // NaN is in no range, so it is refused, too.
                match values.iter().find(|value| !$name::BOUNDS.contains(*value)) {
                    None => Ok($name(values)),
                    Some(value) => Err(format!(
                        "{value:?} is out of bounds: for each channel a number from {} to {} is \
                         expected",
                        $least, $most
                    )),
                }
            }
        }

        impl From<$name> for [f64; 3] {
            fn from(channels: $name) -> [f64; 3] {
                channels.0
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
                json_schema!({
                    "type": "array",
                    "items": { "type": "number", "minimum": $least, "maximum": $most },
                    "minItems": 3,
                    "maxItems": 3,
                })
            }
        }
    };
}

channels! {
    /// The mean of each channel of frames in [0, 1], or whatever else is taken off it.
    ChannelMeans: -1000.0..=1000.0
}

channels! {
    /// The standard deviation of each channel of frames in [0, 1]. The network's input is divided
    /// by it, so none may be 0.
    ChannelDeviations: 0.000001..=1000.0
}

impl ChannelMeans {
    /// The values in the authors' extraction scripts.
    pub const OF_THE_AUTHORS: ChannelMeans = ChannelMeans([0.4084945, 0.25513682, 0.25353566]);
}

impl ChannelDeviations {
    /// The values in the authors' extraction scripts.
    pub const OF_THE_AUTHORS: ChannelDeviations =
        ChannelDeviations([0.22662906, 0.20201652, 0.1962526]);
}
