//! Values in JSON files that somebody else wrote, each of a bounded size.
//!
//! A general JSON value can take thirty times the memory of its text, so that a label file of 64 MB
//! could fill the memory of a machine. Here a value is a number, a text or a short list of numbers.
//! Everything else is read past and kept only as [`JsonValue::Other`], so that a strange value is a
//! problem of its entry and not the end of the file.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use surgcam_engine::error::Error;

/// How many entries a list may have, so that a file of small entries has a bounded size in memory.
pub const MAXIMUM_ENTRIES: usize = 1_000_000;

/// How many numbers a value may have. Boxes have four, the longest known list (CholecT50) fifteen.
const LONGEST_LIST: usize = 32;

#[derive(Debug, Clone, Default, PartialEq)]
pub enum JsonValue {
    /// The key is not there, or its value is `null`.
    #[default]
    Absent,
    Whole(i128),
    Fraction(f64),
    Text(String),
    /// At most [`LONGEST_LIST`] numbers.
    Numbers(Vec<f64>),
    /// Anything else.
    Other,
}

impl JsonValue {
    pub fn number(&self) -> Option<f64> {
        match self {
            JsonValue::Whole(number) => Some(*number as f64),
            JsonValue::Fraction(number) => Some(*number),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            JsonValue::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn numbers(&self) -> Option<&[f64]> {
        match self {
            JsonValue::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }
}

/// As a message shows it after "the value is".
impl fmt::Display for JsonValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonValue::Absent => f.write_str("missing"),
            JsonValue::Whole(number) => write!(f, "{number}"),
            JsonValue::Fraction(number) => write!(f, "{number}"),
            JsonValue::Text(text) => write!(f, "\"{text}\""),
            JsonValue::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
                write!(f, "[{}]", numbers.join(","))
            }
            JsonValue::Other => {
                f.write_str("neither a number, nor a text, nor a short list of numbers")
            }
        }
    }
}

impl<'de> Deserialize<'de> for JsonValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = JsonValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<JsonValue, E> {
        Ok(JsonValue::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<JsonValue, E> {
        Ok(JsonValue::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<JsonValue, E> {
        Ok(JsonValue::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<JsonValue, E> {
        Ok(JsonValue::Whole(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<JsonValue, E> {
        Ok(JsonValue::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonValue, E> {
        Ok(JsonValue::Text(text.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<JsonValue, A::Error> {
        let mut numbers = Some(Vec::new());
        // All elements are read, even when it is known that this is not a short list of numbers.
        while let Some(element) = list.next_element::<JsonValue>()? {
            let room = numbers.filter(|numbers| numbers.len() < LONGEST_LIST);
            numbers = room.zip(element.number()).map(|(mut numbers, number)| {
                numbers.push(number);
                numbers
            });
        }
        Ok(numbers.map_or(JsonValue::Other, JsonValue::Numbers))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonValue, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(JsonValue::Other)
    }
}

/// Why a file could not be understood, with its line. `what` is what it was read as.
pub fn not_understood(what: &str, error: &serde_json::Error, path: &Path) -> Error {
    Error::failure(format!("cannot understand {what}: {error}")).at(format!(
        "{}:{}",
        path.display(),
        error.line().max(1)
    ))
}

/// For serde's `deserialize_with`: a list of at most [`MAXIMUM_ENTRIES`].
pub fn bounded_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            expect_room::<A::Error>(entries.len())?;
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// For serde's `deserialize_with`: the entries of an object in the order of the file, at most
/// [`MAXIMUM_ENTRIES`]. A key that is there twice gives two entries.
pub fn bounded_entries<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<(String, T)>, D::Error> {
    deserializer.deserialize_map(EntriesVisitor(PhantomData))
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<(String, T)>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            expect_room::<A::Error>(entries.len())?;
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn expect_room<E: serde::de::Error>(entries: usize) -> Result<(), E> {
    if entries < MAXIMUM_ENTRIES {
        return Ok(());
    }
    Err(E::custom(format!("it has more than {MAXIMUM_ENTRIES} entries")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_kind_are_read_and_only_small_ones_are_kept() {
        let text = r#"[null, 18446744073709551615, -1, 2.5, "é", [1, 2.5, -3], [1, "2"],
            {"a": [1]}, true]"#;
        let found: Vec<JsonValue> = serde_json::from_str(text).unwrap();
        let expected = [
            JsonValue::Absent,
            JsonValue::Whole(u64::MAX.into()),
            JsonValue::Whole(-1),
            JsonValue::Fraction(2.5),
            JsonValue::Text("é".to_string()),
            JsonValue::Numbers(vec![1.0, 2.5, -3.0]),
            JsonValue::Other,
            JsonValue::Other,
            JsonValue::Other,
        ];
        assert_eq!(found, expected);
        assert_eq!(found[5].to_string(), "[1,2.5,-3]");
        let long = format!("[{}1]", "1,".repeat(LONGEST_LIST));
        assert_eq!(serde_json::from_str::<JsonValue>(&long).unwrap(), JsonValue::Other);
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(serde_json::from_str::<JsonValue>(&deep).unwrap(), JsonValue::Other);
    }

    #[test]
    fn a_key_that_is_there_twice_gives_two_entries() {
        #[derive(Deserialize)]
        struct File {
            #[serde(deserialize_with = "bounded_entries")]
            frames: Vec<(String, JsonValue)>,
        }
        let file: File = serde_json::from_str(r#"{"frames": {"7": 1, "7": [2]}}"#).unwrap();
        let keys: Vec<&str> = file.frames.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["7", "7"]);
        assert_eq!(file.frames[1].1, JsonValue::Numbers(vec![2.0]));
    }
}
