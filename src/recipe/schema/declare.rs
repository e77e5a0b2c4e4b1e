//! How a section of a recipe file is declared: each key with its type, its default and its meaning.

use schemars::Schema;
use serde::Serialize;
use serde_json::Value;

/// Declares a section: its recipe, which has all values, and its patch, which has those of one
/// file.
///
/// The comment of a key is its description in the JSON Schema and in docs/recipes.md.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $recipe:ident, $patch:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[serde $serde:tt])?
                $field:ident : $type:ty = $default:expr,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $recipe {
            $( $(#[doc = $doc])* $(#[serde $serde])? pub $field: $type, )*
        }

        impl Default for $recipe {
            fn default() -> Self {
                $recipe { $( $field: $default, )* }
            }
        }

        impl $recipe {
            /// The name of every key, in the order of their declaration.
            pub const KEYS: &'static [&'static str] = &[$( stringify!($field), )*];
        }

        // The patch is read to check a file by itself, and the JSON Schema is made from it, so it
        // has the comments of the recipe. The values of layers are merged as TOML.
        $(#[doc = $about])*
        #[derive(Debug, Default, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(transform = super::declare::with_defaults::<$recipe>)]
        #[allow(dead_code, reason = "deserialising is the use")]
        pub struct $patch {
            $( $(#[doc = $doc])* $field: Option<$type>, )*
        }
    };
}

pub(super) use section;

/// Adds the defaults of a section's recipe to the JSON Schema of its patch. A default that says
/// nothing, such as an empty list, is left out.
pub(super) fn with_defaults<Recipe: Default + Serialize>(schema: &mut Schema) {
    let Ok(Value::Object(defaults)) = serde_json::to_value(Recipe::default()) else { return };
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (key, default) in defaults {
        if let Some(Value::Object(property)) = properties.get_mut(&key)
            && !says_nothing(&default)
        {
            property.insert("default".into(), default);
        }
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
