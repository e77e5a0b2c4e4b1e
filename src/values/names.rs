//! Names that are safe as parts of a path. They are checked once, when a file is read.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use surgcam_engine::quote::shortened;

/// The most bytes of a name. File systems allow 255, and the name of a file may contain several
/// names.
const LONGEST: usize = 100;

/// The name of an experiment or a recipe: letters, digits, `-`, `_` and `.`, not starting with a
/// dot, so that it can name a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
        let is_allowed = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        if !text.is_empty()
            && text.len() <= LONGEST
            && text.chars().all(is_allowed)
            && !text.starts_with('.')
        {
            Ok(Name(text))
        } else {
            Err(format!(
                "`{}` cannot name a folder: at most {LONGEST} bytes of letters, digits, `-`, `_` \
                 and `.`, without a `.` at the start, are allowed",
                shortened(text)
            ))
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Letters, digits, `-`, `_` and `.`, not starting with a dot, so that \
                it can name a folder.",
            "type": "string",
            "pattern": r"^[\p{L}\p{N}_-][\p{L}\p{N}._-]*$",
            "maxLength": LONGEST,
        })
    }
}

/// The name of a class, as people write it (`bipolar forceps`): starts with a letter or a digit and
/// has nothing in it that a file's name cannot have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassName(String);

impl ClassName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that no file name should have. Control characters are forbidden, too.
const FORBIDDEN: &str = "/\\:*?\"<>|";

impl TryFrom<String> for ClassName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_allowed = |letter: char| !letter.is_control() && !FORBIDDEN.contains(letter);
        let is_framed =
            text.starts_with(char::is_alphanumeric) && !text.ends_with(char::is_whitespace);
        if is_framed && text.len() <= LONGEST && text.chars().all(is_allowed) {
            Ok(ClassName(text))
        } else {
            Err(format!(
                "`{}` cannot name a class: at most {LONGEST} bytes that start with a letter or a \
                 digit, without any of {FORBIDDEN} and without control characters, are allowed",
                shortened(text)
            ))
        }
    }
}

impl From<ClassName> for String {
    fn from(name: ClassName) -> String {
        name.0
    }
}

impl JsonSchema for ClassName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ClassName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r#"^[\p{L}\p{N}][^/\\:*?"<>|\p{Cc}]*$"#,
            "maxLength": LONGEST
        })
    }
}
