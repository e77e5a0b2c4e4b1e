//! `surgcam show`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::context::Context;
use super::{Machine, Overrides, history};
use crate::report::printer;
use surgcam_engine::error::{Class, Error, Result};
use surgcam_recipe::library::{Library, Resolved};
use surgcam_recipe::schema::*;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// A run, as after `run`: its id, enough of it, or `latest`
    #[arg(value_name = "RUN")]
    run: Option<String>,
}

#[derive(clap::Subcommand)]
enum What {
    /// A recipe: each value and where it came from
    Recipe {
        /// Its name, as in gc-d; with its section if two recipes share it, as in model.gc-d
        name: String,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// A run: what it was asked, what it did, with which recipes
    Run {
        /// Its id, enough of it, or `latest`
        id: String,
    },
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match (&arguments.what, &arguments.run) {
        (Some(What::Recipe { name, overrides }), _) => show_recipe(name, overrides),
        (Some(What::Run { id }), _) => history::show_run(id),
        (None, Some(wanted)) => show_bare(wanted),
        (None, None) => Err(Error::usage("nothing to show is named").hint("write `surgcam show RUN` or `surgcam show recipe NAME`")),
    }
}

/// A run; whoever gives a recipe's name is told how recipes are shown.
fn show_bare(wanted: &str) -> Result<()> {
    history::show_run(wanted).map_err(|error| {
        let is_recipe = || Library::load(&Context::plain()?.project.join("recipes")).and_then(|library| find(&library, wanted));
        if error.class() == Class::Usage && is_recipe().is_ok() {
            return Error::usage(format!("`{wanted}` is a recipe and no run")).hint(format!("write: surgcam show recipe {wanted}"));
        }
        error
    })
}

fn show_recipe(name: &str, overrides: &Overrides) -> Result<()> {
    let context = Context::new(None, overrides, &Machine::default())?;
    let library = Library::load(&context.project.join("recipes"))?;
    let overrides = library.aim(context.overrides())?;
    let (section, name) = find(&library, name)?;
    let lines = match section {
        Section::Adapter => lines(library.resolve::<AdapterRecipe>(section, &name, &overrides)?),
        Section::LabelSpace => lines(library.resolve::<LabelSpaceRecipe>(section, &name, &overrides)?),
        Section::Data => lines(library.resolve::<DataRecipe>(section, &name, &overrides)?),
        Section::Model => lines(library.resolve::<ModelRecipe>(section, &name, &overrides)?),
        Section::Extraction => lines(library.resolve::<ExtractionRecipe>(section, &name, &overrides)?),
        Section::Head => lines(library.resolve::<HeadRecipe>(section, &name, &overrides)?),
    }?;
    printer::line(&format!("[{}.{name}]", section.name()))?;
    lines.iter().try_for_each(|line| printer::line(line))
}

fn find(library: &Library, wanted: &str) -> Result<(Section, String)> {
    let (section, name) = match wanted.split_once('.') {
        Some((section, name)) if Section::named(section).is_some() => (Section::named(section), name),
        _ => (None, wanted),
    };
    let sections = section.map_or(Section::ALL.to_vec(), |section| vec![section]);
    let found: Vec<Section> = sections.into_iter().filter(|section| library.names(*section).iter().any(|known| known == name)).collect();
    match found.as_slice() {
        [section] => Ok((*section, name.to_string())),
        [] => {
            let names: Vec<String> = Section::ALL.into_iter().flat_map(|section| library.names(section)).collect();
            let suggestion = surgcam_recipe::file::did_you_mean(name, names.iter().map(String::as_str));
            Err(Error::usage(format!("there is no recipe `{name}`{suggestion}"))
                .hint(format!("the recipes there are: {}", names.join(", "))))
        }
        several => {
            let sections: Vec<String> = several.iter().map(|section| format!("{}.{name}", section.name())).collect();
            Err(Error::usage(format!("`{name}` names several recipes")).hint(format!("say which: {}", sections.join(" or "))))
        }
    }
}

fn lines<T: Serialize>(resolved: Resolved<T>) -> Result<Vec<String>> {
    let unprintable = |error: &dyn std::fmt::Display| Error::failure(format!("cannot print the recipe: {error}"));
    let values = serde_json::to_value(&resolved.value).map_err(|error| unprintable(&error))?;
    let values: BTreeMap<String, serde_json::Value> = serde_json::from_value(values).map_err(|error| unprintable(&error))?;
    let shown = |value: &serde_json::Value| if value.is_null() { "(not set)".to_string() } else { value.to_string() };
    let width = values.values().map(|value| shown(value).len().min(40)).max().unwrap_or(0);
    Ok(values
        .iter()
        .map(|(key, value)| {
            let origin = resolved.origins.get(key).map_or("built-in", String::as_str);
            format!("{key:<20} = {:<width$}  # {origin}", shown(value))
        })
        .collect())
}
