//! The tables of keys in docs/recipes.md. They are made from the JSON Schema of recipes, so that
//! the document and the program cannot differ.

use serde_json::Value;

use super::schema::{ExperimentRecipe, Section, json_schema};
use surgcam_engine::error::{Error, Result};

/// The line behind the table of a section.
const END: &str = "<!-- end -->";

/// The line before the table of a section.
fn start(section: &str) -> String {
    format!("<!-- keys of [{section}]: made by `make recipe-reference` -->")
}

/// The document with the tables of all sections made again, each between its two marking lines.
pub fn rewritten(document: &str) -> Result<String> {
    let schema = json_schema();
    let recipes = Section::ALL.into_iter().map(|section| (section.name(), section.keys()));
    let mut sections = std::iter::once(("experiment", ExperimentRecipe::KEYS)).chain(recipes);
    sections.try_fold(document.to_string(), |document, (section, keys)| {
        with_table(&document, section, &key_table(&schema, section, keys))
    })
}

fn with_table(document: &str, section: &str, table: &str) -> Result<String> {
    let start = start(section);
    let missing = |line: &str| {
        Error::usage(format!("the document has no line `{line}` for the keys of [{section}]"))
            .hint(format!("write `{start}` and `{END}` where the table of these keys belongs"))
    };
    let (before, behind) = document.split_once(start.as_str()).ok_or_else(|| missing(&start))?;
    let (_, after) = behind.split_once(END).ok_or_else(|| missing(END))?;
    Ok(format!("{before}{start}\n\n{table}\n{END}{after}"))
}

fn key_table(schema: &Value, section: &str, keys: &[&str]) -> String {
    let properties = &definition(schema, section)["properties"];
    let rows = keys.iter().map(|key| row(schema, key, &properties[*key]));
    let head =
        ["| key | value | default | meaning |", "| --- | --- | --- | --- |"].map(String::from);
    head.into_iter().chain(rows).map(|line| line + "\n").collect()
}

/// What the schema says about the recipes of a section, or about `[experiment]`.
fn definition<'a>(schema: &'a Value, section: &str) -> &'a Value {
    let table = resolved(schema, &schema["properties"][section]);
    let named_recipes =
        table["patternProperties"].as_object().and_then(|patterns| patterns.values().next());
    named_recipes.map_or(table, |recipe| resolved(schema, recipe))
}

fn row(schema: &Value, key: &str, property: &Value) -> String {
    let default =
        property.get("default").map(|default| code(&in_toml(default))).unwrap_or_default();
    let meaning = property["description"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let cells = [code(key), values(schema, property), default, meaning];
    format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// What may be written as a value, in words: "a whole number from 1 to 100".
fn values(schema: &Value, value: &Value) -> String {
    let value = resolved(schema, value);
    let choices = choices(value);
    if !choices.is_empty() {
        return either(&choices);
    }
    if let Some(forms) = value["anyOf"].as_array() {
        return forms.iter().map(|form| values(schema, form)).collect::<Vec<_>>().join("; or ");
    }
    match kind(value) {
        "boolean" => either(&["true", "false"].map(code)),
        "integer" => format!("a whole number{}", bounds(value)),
        "number" => format!("a number{}", bounds(value)),
        "string" => "a string".into(),
        "array" => list(schema, value),
        "object" => table(schema, value),
        _ => "any value".into(),
    }
}

/// Follows a reference to a definition, and takes the one form of a value that may also be absent.
fn resolved<'a>(schema: &'a Value, value: &'a Value) -> &'a Value {
    if let Some(reference) = value["$ref"].as_str() {
        return schema.pointer(reference.trim_start_matches('#')).unwrap_or(value);
    }
    let mut forms =
        value["anyOf"].as_array().into_iter().flatten().filter(|form| kind(form) != "null");
    match (forms.next(), forms.next()) {
        (Some(only), None) => resolved(schema, only),
        _ => value,
    }
}

/// The name of a value's type. A value that may also be absent has the type "null" beside its own.
fn kind(value: &Value) -> &str {
    let named = match &value["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    named.unwrap_or_default()
}

/// The values of a key that has one of a few words or numbers.
fn choices(value: &Value) -> Vec<String> {
    let own = value["enum"].as_array().into_iter().flatten().chain(value.get("const"));
    let alternatives = value["oneOf"].as_array().into_iter().flatten();
    own.map(|choice| code(&in_toml(choice))).chain(alternatives.flat_map(choices)).collect()
}

/// The words for the bounds of a number: " from 1 to 100", or " above 0 and at most 1".
fn bounds(value: &Value) -> String {
    let bound = |key: &str| value.get(key).and_then(Value::as_f64);
    if let (Some(least), Some(most)) = (bound("minimum"), bound("maximum")) {
        return format!(" from {least} to {most}");
    }
    let named = [
        ("minimum", "of at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
    ];
    let bounds = named
        .into_iter()
        .filter_map(|(key, word)| Some(format!("{word} {}", bound(key)?)))
        .collect::<Vec<_>>();
    if bounds.is_empty() { String::new() } else { format!(" {}", bounds.join(" and ")) }
}

fn list(schema: &Value, value: &Value) -> String {
    let entry = values(schema, &value["items"]);
    match (value["minItems"].as_u64(), value["maxItems"].as_u64()) {
        (Some(least), Some(most)) if least == most => format!("a list of {least}, each {entry}"),
        _ => format!("a list, each {entry}"),
    }
}

fn table(schema: &Value, value: &Value) -> String {
    if let Some(properties) = value["properties"].as_object() {
        return format!(
            "a table with {}",
            properties.keys().map(|key| code(key)).collect::<Vec<_>>().join(", ")
        );
    }
    match &value["additionalProperties"] {
        Value::Object(_) => {
            format!("a table, each value {}", values(schema, &value["additionalProperties"]))
        }
        _ => "a table".into(),
    }
}

/// "a, b or c".
fn either(choices: &[String]) -> String {
    match choices.split_last() {
        Some((last, earlier)) if !earlier.is_empty() => format!("{} or {last}", earlier.join(", ")),
        _ => choices.concat(),
    }
}

/// A value as it stands in a recipe.
fn in_toml(value: &Value) -> String {
    toml::Value::try_from(value).map_or_else(|_| value.to_string(), |value| value.to_string())
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(section: &str, key: &str) -> String {
        let schema = json_schema();
        row(&schema, key, &definition(&schema, section)["properties"][key])
    }

    fn begins(section: &str, key: &str, expected: &str) {
        let row = row_of(section, key);
        assert!(row.starts_with(expected), "{row}");
    }

    #[test]
    fn a_row_says_what_may_be_written_and_what_holds_without_it() {
        begins(
            "data",
            "image_size",
            "| `image_size` | a list of 2, each a whole number from 32 to 8192 | `[256, 320]` | ",
        );
        begins(
            "extraction",
            "crop_size",
            "| `crop_size` | a list of 2, each a whole number from 32 to 8192 | `[224, 224]` | ",
        );
        begins(
            "model",
            "learning_rate",
            "| `learning_rate` | a number above 0 and at most 1000 | `0.001` | ",
        );
        begins(
            "extraction",
            "roi_threshold",
            "| `roi_threshold` | a number of at least 0 and below 1 | `0.3` | ",
        );
        begins("model", "train", "| `train` | `\"full\"` or `\"none\"` | `\"full\"` | ");
        begins(
            "head",
            "task",
            "| `task` | `\"probe\"`, `\"caption\"` or `\"interaction\"` | `\"probe\"` | ",
        );
        begins("extraction", "pool", "| `pool` | `512`, `128` or `32` | `512` | ");
        begins("experiment", "speed", "| `speed` | `true` or `false` | `true` | ");
        begins("model", "extends", "| `extends` | a string |  | ");
    }

    #[test]
    fn a_value_of_several_forms_has_them_all() {
        let present = "a list, each a whole number of at least 0; or a table with `above`";
        begins(
            "extraction",
            "present",
            &format!("| `present` | {present} | `{{ above = 0.5 }}` | "),
        );
        begins(
            "model",
            "init",
            "| `init` | a string; or a table with `file`, `sha256` | `\"random\"` | ",
        );
    }

    #[test]
    fn a_document_keeps_what_stands_around_the_tables() {
        let marked = |section: &str| {
            format!(
                "## {section}\n\n{}\n| a row of before |\n{END}\nprose of {section}\n",
                start(section)
            )
        };
        let sections = ["experiment"].into_iter().chain(Section::ALL.map(Section::name));
        let document: String = sections.clone().map(marked).collect();
        let made = rewritten(&document).unwrap();
        assert!(
            !made.contains("a row of before")
                && sections
                    .clone()
                    .all(|section| made.contains(&format!("\nprose of {section}\n"))),
            "{made}"
        );
        assert_eq!(rewritten(&made).unwrap(), made);
    }

    #[test]
    fn a_document_without_the_marks_of_a_section_is_refused() {
        let error =
            rewritten(&format!("{}\n{END}\n", start("experiment"))).unwrap_err().to_string();
        assert!(error.contains("keys of [adapter]") && error.contains("hint: "), "{error}");
    }
}
