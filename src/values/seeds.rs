//! The seeds of an experiment's replicates.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// With more replicates than this, an experiment is a mistake.
const MOST: usize = 100;
/// The default seed of models and heads. What it made counts as the first replicate.
const FIRST: u64 = 42;
/// TOML has no greater numbers.
const LARGEST: u64 = i64::MAX as u64;

/// The seeds that models and heads are trained with, one after the other: each is a replicate. A
/// recipe gives their number, which stands for that many seeds from 42 on, or lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Seeds(Vec<u64>);

impl Seeds {
    /// There is at least one, and no seed is there twice.
    pub fn values(&self) -> &[u64] {
        &self.0
    }
}

impl JsonSchema for Seeds {
    fn schema_name() -> Cow<'static, str> {
        "Seeds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How many seeds, from 42 on, or a list of seeds.",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": MOST },
                {
                    "type": "array",
                    "items": { "type": "integer", "minimum": 0 },
                    "minItems": 1,
                    "maxItems": MOST,
                    "uniqueItems": true,
                },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SeedsVisitor;

        impl<'de> Visitor<'de> for SeedsVisitor {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a number of seeds from 1 to {MOST}, or a list of seeds")
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Seeds, E> {
                match u64::try_from(count) {
                    Ok(count) if (1..=MOST as u64).contains(&count) => {
                        Ok(Seeds((FIRST..FIRST + count).collect()))
                    }
                    _ => Err(E::custom(format!(
                        "{count} is out of bounds: a number of seeds from 1 to {MOST} is expected"
                    ))),
                }
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Seeds, E> {
                // A number that no i64 holds is out of bounds, too.
                self.visit_i64(i64::try_from(count).unwrap_or(i64::MAX))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Seeds, A::Error> {
                let mut seeds: Vec<u64> = Vec::new();
                while let Some(seed) = items.next_element::<u64>()? {
                    if seed > LARGEST {
                        return Err(de::Error::custom(format!("the seed {seed} is too large")));
                    }
                    if seeds.contains(&seed) {
                        return Err(de::Error::custom(format!("the seed {seed} is there twice")));
                    }
                    if seeds.len() == MOST {
                        return Err(de::Error::custom(format!("there are more than {MOST} seeds")));
                    }
                    seeds.push(seed);
                }
                if seeds.is_empty() {
                    return Err(de::Error::custom("the list of seeds is empty"));
                }
                Ok(Seeds(seeds))
            }
        }

        deserializer.deserialize_any(SeedsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct One {
        seeds: Seeds,
    }

    fn read(text: &str) -> Result<Vec<u64>, String> {
        toml::from_str::<One>(&format!("seeds = {text}"))
            .map(|one| one.seeds.values().to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn seeds_are_a_number_or_a_list() {
        assert_eq!(read("3").unwrap(), [42, 43, 44]);
        assert_eq!(read("1").unwrap(), [42]);
        assert_eq!(read("[7, 1]").unwrap(), [7, 1]);
        for (text, expected) in [
            ("0", "0 is out of bounds: a number of seeds from 1 to 100 is expected"),
            ("-1", "-1 is out of bounds"),
            ("101", "101 is out of bounds"),
            ("[]", "the list of seeds is empty"),
            ("[1, 2, 1]", "the seed 1 is there twice"),
            ("\"five\"", "expected a number of seeds from 1 to 100, or a list of seeds"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(read("[-1]").is_err());
    }
}
