//! Stage keys: the name of a result before it exists.
//!
//! The contract that everything else relies on:
//!
//! * key = SHA-256 of the canonical JSON of `{format, kind, version, parameters, inputs}`.
//! * `parameters` are those that change the output, and nothing else: no path of a machine, no
//!   time, thread count, device name or log level. Stages whose output depends on the machine
//!   (speed figures) have the machine among their parameters.
//! * `inputs` are digests of *content*, not keys: an input that is made again with the same bytes
//!   leaves every later key unchanged (early cut-off).
//! * `version` is a constant beside the stage's parameters ([`crate::plan::kind::StageKind`]),
//!   raised when its output changes.
//! * canonical JSON: object keys sorted, no white space, numbers as serde_json prints them.
//!
//! | changes | key changes? |
//! | --- | --- |
//! | a value of a recipe that the stage uses | yes |
//! | a value of a recipe that it does not use | no |
//! | an input's bytes | yes |
//! | where the data lie, `--jobs`, the device, the store's folder | no |
//! | the stage's code with a raised version | yes |

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::Digest;
use super::name::PlainName;

/// Raised when the form of a key itself changes.
pub const KEY_FORMAT: u32 = 1;

/// The parts of a key. The stage's record keeps them, so that a later run can name the field that
/// changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyParts {
    pub kind: PlainName,
    pub version: u32,
    pub parameters: Value,
    pub inputs: BTreeMap<String, Digest>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageKey(pub Digest);

impl StageKey {
    pub fn hex(&self) -> String {
        self.0.hex()
    }

    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl KeyParts {
    pub fn key(&self) -> StageKey {
        let inputs = self.inputs.iter().map(|(name, digest)| (name.as_str(), *digest));
        key_of(self.kind.as_str(), self.version, &canonical_json(&self.parameters), inputs)
    }
}

/// The key of a stage from its parts. `parameters` is canonical JSON, and `inputs` are sorted by
/// name.
pub fn key_of<'a>(
    kind: &str,
    version: u32,
    parameters: &str,
    inputs: impl Iterator<Item = (&'a str, Digest)>,
) -> StageKey {
    // The canonical JSON of all parts: names in order, no white space.
    let mut text = format!("{{\"format\":{KEY_FORMAT},\"inputs\":{{");
    for (index, (name, digest)) in inputs.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        text.push_str(&format!("{comma}{}:\"{digest}\"", Value::from(name)));
    }
    text.push_str(&format!(
        "}},\"kind\":{},\"parameters\":{parameters},\"version\":{version}}}",
        Value::from(kind)
    ));
    StageKey(Digest::of_bytes(text.as_bytes()))
}

/// JSON with sorted keys and without white space, independent of the order in which values were
/// added.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, field)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(name, text);
                text.push(':');
                write_canonical(field, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::String(string) => write_string(string, text),
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn write_string(string: &str, text: &mut String) {
    text.push_str(&serde_json::to_string(string).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parts() -> KeyParts {
        KeyParts {
            kind: PlainName::literal("train"),
            version: 1,
            parameters: json!({
                "learning_rate": 0.001, "batch_size": 32, "nested": {"b": [1, 2], "a": null}
            }),
            inputs: BTreeMap::from([("pack".into(), Digest::of_bytes(b"pack"))]),
        }
    }

    #[test]
    fn the_key_of_known_parts_is_pinned() {
        assert_eq!(
            parts().key().hex(),
            "c4ef0b5d6cf2e71d27afb43546e3a0eebcf2b54c1b9aaba76d9132a0031a6ac2",
            "every store in use would be emptied: raise KEY_FORMAT if this is meant"
        );
    }

    #[test]
    fn the_order_in_which_parameters_are_written_does_not_matter() {
        let mut other = parts();
        other.parameters =
            json!({"nested": {"a": null, "b": [1, 2]}, "batch_size": 32, "learning_rate": 0.001});
        assert_eq!(other.key(), parts().key());
    }

    #[test]
    fn every_part_changes_the_key() {
        let key = parts().key();
        let mut other = parts();
        other.version = 2;
        assert_ne!(other.key(), key);
        let mut other = parts();
        other.parameters["batch_size"] = json!(64);
        assert_ne!(other.key(), key);
        let mut other = parts();
        other.inputs.insert("pack".into(), Digest::of_bytes(b"another"));
        assert_ne!(other.key(), key);
    }
}
