//! The types of the values of recipes. Each value is checked once, when it is made, so that other
//! code never meets a bad one.
//! [`numbers`] and [`channels`] have bounds, [`choices`] are one of a few words, and [`names`] can
//! name files. Values with a form of their own are in this file.

mod channels;
mod choices;
mod names;
mod numbers;
mod seeds;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

pub use channels::*;
pub use choices::*;
pub use names::*;
pub use numbers::*;
pub use seeds::*;

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
                {
                    "type": "object",
                    "properties": { "above": threshold },
                    "required": ["above"],
                    "additionalProperties": false
                },
            ],
        })
    }
}

impl Serialize for Present {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Present::Above(threshold) => {
                BTreeMap::from([("above", threshold)]).serialize(serializer)
            }
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

/// A file of weights; `sha256` may be the whole digest or its first 8 or more digits, as
/// torchvision's file names have them.
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
            "description": "\"random\", the path of a weights file, or { file = \"...\", sha256 = \
                \"...\" }.",
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
                f.write_str(
                    "\"random\", the path of a weights file, or { file = \"...\", sha256 = \
                     \"...\" }",
                )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct One<T> {
        value: T,
    }

    fn read<T: de::DeserializeOwned>(text: &str) -> Result<T, String> {
        toml::from_str::<One<T>>(&format!("value = {text}"))
            .map(|one| one.value)
            .map_err(|error| error.to_string())
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
        assert_eq!(
            read::<Present>("{ above = 0.43 }").unwrap(),
            Present::Above(Threshold::new(0.43).unwrap())
        );
        assert!(read::<Present>("{ below = 0.4 }").unwrap_err().contains("unknown field `below`"));
    }

    #[test]
    fn init_is_random_or_a_file() {
        assert_eq!(read::<Init>("\"random\"").unwrap(), Init::Random);
        let Init::File(file) = read::<Init>("{ file = \"w.pth\", sha256 = \"0676ba61\" }").unwrap()
        else {
            panic!("a file")
        };
        assert_eq!(file.sha256.as_deref(), Some("0676ba61"));
    }

    #[test]
    fn other_bad_values_say_what_is_expected() {
        assert!(read::<Pool>("64").unwrap_err().contains("512, 128 or 32"));
        assert!(read::<ImageSize>("[8, 320]").unwrap_err().contains("[height, width]"));
        assert!(read::<Name>("\"../x\"").unwrap_err().contains("cannot name a folder"));
        assert!(read::<Pool>("-1").is_err());
    }

    #[test]
    fn a_number_out_of_bounds_is_told_them() {
        for (error, expected) in [
            (
                read::<Whole<1, 256>>("0").unwrap_err(),
                "0 is out of bounds: a whole number from 1 to 256 is expected",
            ),
            (read::<Whole<1, 256>>("-3").unwrap_err(), "-3 is out of bounds"),
            (read::<Whole<1, 256>>("1000000000").unwrap_err(), "from 1 to 256"),
            (read::<Whole<1, 256>>("1e9").unwrap_err(), "expected a whole number from 1 to 256"),
            (
                read::<LearningRate>("1e308").unwrap_err(),
                "1e308 is out of bounds: a number above 0 and at most 1000 is expected",
            ),
            (read::<LearningRate>("0").unwrap_err(), "0.0 is out of bounds"),
            (read::<Decay>("-inf").unwrap_err(), "from 0 to 1000"),
            (read::<Share>("nan").unwrap_err(), "from 0 to 1"),
            (
                read::<ChannelDeviations>("[1, 1, 0]").unwrap_err(),
                "0.0 is out of bounds: for each channel a number from 0.000001",
            ),
            (read::<ChannelDeviations>("[nan, 1, 1]").unwrap_err(), "NaN is out of bounds"),
            (read::<ChannelMeans>("[0, 1e308, 1]").unwrap_err(), "from -1000 to 1000"),
        ] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_bounded_number_is_written_as_the_number_that_it_is() {
        let json =
            |text: &str| serde_json::to_string(&read::<ChannelMeans>(text).unwrap()).unwrap();
        assert_eq!(json("[0, 0.4084945, 1]"), "[0.0,0.4084945,1.0]");
        assert_eq!(
            serde_json::to_string(&(
                Whole::<0, 9>::new(3),
                LearningRate::new(1e-3),
                Share::new(1.0)
            ))
            .unwrap(),
            "[3,0.001,1.0]"
        );
    }

    #[test]
    fn a_class_is_named_by_words_that_a_file_could_have() {
        for text in ["bipolar forceps", "L-hook (left), 2.5 mm", "pince à biopsie"] {
            assert!(read::<ClassName>(&format!("{text:?}")).is_ok(), "{text}");
        }
        for text in ["", " tissue", "tissue ", "../tissue", "a/b", "=1+1", "a\\nb", "<b>"] {
            assert!(
                read::<ClassName>(&format!("\"{text}\""))
                    .unwrap_err()
                    .contains("cannot name a class"),
                "{text}"
            );
        }
    }
}
