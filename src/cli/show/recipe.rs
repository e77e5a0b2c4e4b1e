//! `surgcam show recipe`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::{Overrides, WorkerOptions};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_recipe::library::{Library, Resolved};
use surgcam_recipe::schema::*;

/// Prints each value of a recipe and where it came from.
pub fn show_recipe(name: &str, overrides: &Overrides) -> Result<()> {
    let context = Context::new(None, overrides, &WorkerOptions::default())?;
    let library = Library::load(&context.project.join("recipes"))?;
    let overrides = library.aim(context.overrides())?;
    let (section, name) = find(&library, name)?;
    let lines = match section {
        Section::Adapter => lines(library.resolve::<AdapterRecipe>(section, &name, &overrides)?),
        Section::LabelSpace => {
            lines(library.resolve::<LabelSpaceRecipe>(section, &name, &overrides)?)
        }
        Section::Data => lines(library.resolve::<DataRecipe>(section, &name, &overrides)?),
        Section::Model => lines(library.resolve::<ModelRecipe>(section, &name, &overrides)?),
        Section::Extraction => {
            lines(library.resolve::<ExtractionRecipe>(section, &name, &overrides)?)
        }
        Section::Head => lines(library.resolve::<HeadRecipe>(section, &name, &overrides)?),
    }?;
    printer::line(&format!("[{}.{name}]", section.name()))?;
    lines.iter().try_for_each(|line| printer::line(line))
}

/// The section and name of a recipe, given as NAME or SECTION.NAME.
pub fn find(library: &Library, wanted: &str) -> Result<(Section, String)> {
    let (section, name) = match wanted.split_once('.') {
        Some((section, name)) if Section::named(section).is_some() => {
            (Section::named(section), name)
        }
        _ => (None, wanted),
    };
    let sections = section.map_or(Section::ALL.to_vec(), |section| vec![section]);
    let found: Vec<Section> = sections
        .into_iter()
        .filter(|section| library.names(*section).iter().any(|known| known == name))
        .collect();
    match found.as_slice() {
        [section] => Ok((*section, name.to_string())),
        [] => {
            let names: Vec<String> =
                Section::ALL.into_iter().flat_map(|section| library.names(section)).collect();
            let suggestion = did_you_mean(name, names.iter().map(String::as_str));
            Err(Error::usage(format!("there is no recipe `{name}`{suggestion}"))
                .hint(format!("the recipes there are: {}", names.join(", "))))
        }
        several => {
            let sections: Vec<String> =
                several.iter().map(|section| format!("{}.{name}", section.name())).collect();
            Err(Error::usage(format!("`{name}` names several recipes"))
                .hint(format!("say which: {}", sections.join(" or "))))
        }
    }
}

fn lines<T: Serialize>(resolved: Resolved<T>) -> Result<Vec<String>> {
    let unprintable =
        |error: &dyn std::fmt::Display| Error::failure(format!("cannot print the recipe: {error}"));
    let values = serde_json::to_value(&resolved.value).map_err(|error| unprintable(&error))?;
    let values: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(values).map_err(|error| unprintable(&error))?;
    let shown = |value: &serde_json::Value| {
        if value.is_null() { "(not set)".to_string() } else { value.to_string() }
    };
    let width = values.values().map(|value| shown(value).len().min(40)).max().unwrap_or(0);
    Ok(values
        .iter()
        .map(|(key, value)| {
            let origin = resolved.origins.get(key).map_or("built-in", String::as_str);
            format!("{key:<20} = {:<width$}  # {origin}", shown(value))
        })
        .collect())
}
