//! `surgcam data check`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{proposed, recipe_text, rendering};
use crate::cli::context::Context;
use crate::cli::{Overrides, WorkerOptions};
use crate::report::drawing;
use crate::report::pictures::sheet::sheet;
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::store::file::{Durability, write_if_absent, write_with};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_frames::dataset::check::{Checked, check};
use surgcam_frames::dataset::index::Layout;
use surgcam_frames::dataset::labels::ClassMap;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_pipeline::described_folder::{DescribedFolder, described_folder};
use surgcam_recipe::experiment::Experiment;
use surgcam_recipe::file;
use surgcam_recipe::library::Library;
use surgcam_recipe::schema::Section;
use surgcam_recipe::settings;

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people, in 80 columns
    Text,
    /// For programs, with every problem
    Json,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// A folder, the name of a data recipe, or a TOML file with one
    #[arg(value_name = "ROOT|RECIPE")]
    what: String,
    /// Draw frames of every class, with their boxes and classes, into a file: PNG, JPEG, SVG or PDF
    /// by its extension
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Write the recipe that is proposed for a folder; an existing file is never replaced
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Which labels of a folder to propose a recipe for, if it has several
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<String>,
    /// How the result is printed
    #[arg(long, default_value = "text")]
    format: Format,
    #[command(flatten)]
    overrides: Overrides,
}

/// A data set to check: its folder, and how its files are read.
struct Looked {
    root: PathBuf,
    source: SourceLayout,
    classes: ClassMap,
    /// The text of a recipe for a folder that has none.
    proposed: Option<String>,
    notes: Vec<String>,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let asked_sheet = arguments.sheet.as_deref().map(with_form).transpose()?;
    let looked = match described(arguments)? {
        Some(described) => described,
        None => of_folder(arguments)?,
    };
    let Checked { mut report, index } = check(&looked.source, &looked.root, &looked.classes);
    report.notes = looked.notes.into_iter().chain(report.notes).collect();
    let proposed = looked.proposed.as_deref();
    match arguments.format {
        Format::Text => printer::lines(rendering::text(&report, proposed).trim_end())?,
        Format::Json => printer::lines(&rendering::json(&report, proposed)?)?,
    }
    if let Some((file, form)) = asked_sheet {
        let drawn = sheet(&looked.root, &index, &looked.classes.space)?.sheet_file(form)?;
        write_with(file, &drawn, Durability::Remade)?;
        printer::message(&format!("{}: frames of every class", file.display()));
    }
    if let (Some(file), Some(text)) = (&arguments.write, proposed) {
        write_recipe(file, text)?;
    }
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(Error::failure("1 problem was found")),
        several => Err(Error::failure(format!("{several} problems were found"))),
    }
}

/// A file, and the form that its name asks for.
fn with_form(file: &Path) -> Result<(&Path, drawing::Format)> {
    Ok((file, drawing::Format::of_path(file, drawing::Format::Png)?))
}

/// The data set as a recipe describes it. `None` if the argument is a folder and not a recipe.
fn described(arguments: &Arguments) -> Result<Option<Looked>> {
    let path = Path::new(&arguments.what);
    if path.is_file() {
        return of_file(arguments, path).map(Some);
    }
    let is_path = arguments.what.contains('/') || path.file_name().is_none();
    if is_path && path.is_dir() {
        return Ok(None);
    }
    let name = arguments.what.strip_prefix("data.").unwrap_or(&arguments.what);
    let (context, library) = match project(arguments) {
        Err(_) if path.is_dir() => return Ok(None),
        found => found?,
    };
    let names = library.names(Section::Data);
    if names.iter().any(|known| known == name) {
        return of_recipe(arguments, &context, library, name).map(Some);
    }
    if path.is_dir() {
        return Ok(None);
    }
    let suggestion = did_you_mean(name, names.iter().map(String::as_str));
    Err(Error::usage(format!(
        "there is no folder `{0}` and no data recipe `{0}`{suggestion}",
        shortened(name)
    ))
    .hint(format!("the data recipes there are: {}", names.join(", "))))
}

fn project(arguments: &Arguments) -> Result<(Context, Library)> {
    let context =
        Context::new(Some(&arguments.what), &arguments.overrides, &WorkerOptions::default())?;
    let library = Library::load(&context.project.join("recipes"))?;
    Ok((context, library))
}

fn of_file(arguments: &Arguments, path: &Path) -> Result<Looked> {
    let (context, mut library) = project(arguments)?;
    let checked = file::read(path)?;
    library.add(&checked);
    let recipes = checked.table.get("data").and_then(toml::Value::as_table);
    let names: Vec<&String> = recipes.into_iter().flat_map(toml::Table::keys).collect();
    match names.as_slice() {
        [name] => of_recipe(arguments, &context, library, name),
        [] => Err(Error::usage("the file has no data recipe")
            .at_path(path)
            .hint("name a folder, or a TOML file with a table [data.NAME]")),
        several => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(Error::usage(format!("the file has several data recipes: {}", names.join(", ")))
                .at_path(path)
                .hint("put it below recipes/ of a project and give the name of one of them"))
        }
    }
}

fn of_recipe(
    arguments: &Arguments,
    context: &Context,
    library: Library,
    name: &str,
) -> Result<Looked> {
    if arguments.write.is_some() || arguments.layout.is_some() {
        return Err(Error::usage(format!(
            "`{name}` is a recipe already; --write and --layout are for folders without one"
        ))
        .hint(format!("a folder of this name is meant by ./{name}")));
    }
    let experiment = Experiment::of_library(library).with_overrides(context.overrides())?;
    let DescribedFolder { root, source, classes } =
        described_folder(&experiment, &context.project, name)?;
    Ok(Looked { root, source, classes, proposed: None, notes: Vec::new() })
}

fn of_folder(arguments: &Arguments) -> Result<Looked> {
    if !arguments.overrides.set.is_empty() {
        return Err(Error::usage("--set changes recipes, but a folder was given")
            .hint("write a recipe for it with --write FILE and check that one"));
    }
    let root = Path::new(&arguments.what);
    if let Some(file) = arguments.write.as_ref().filter(|file| file.symlink_metadata().is_ok()) {
        return Err(exists_already(file));
    }
    let layout = arguments.layout.as_deref().map(layout_named).transpose()?;
    let proposal = proposed(root, layout)?;
    let name = recipe_text::free_name(root, &names_in_project());
    let text = recipe_text::data_recipe(&name, root, &proposal)?;
    Ok(Looked {
        root: root.to_path_buf(),
        source: proposal.source,
        classes: proposal.classes,
        proposed: Some(text),
        notes: proposal.notes,
    })
}

fn layout_named(name: &str) -> Result<Layout> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|error| {
        Error::usage(format!("`{}` is not the name of a layout: {error}", shortened(name)))
    })
}

/// The names that recipes of the project have, which a new recipe must not have. Empty outside of a
/// project.
fn names_in_project() -> BTreeSet<String> {
    let library = settings::find_project(None)
        .map(|project| Library::read(&project.join("recipes")).0)
        .unwrap_or_default();
    let sections = [Section::Data, Section::LabelSpace, Section::Model];
    sections.into_iter().flat_map(|section| library.names(section)).collect()
}

fn write_recipe(file: &Path, text: &str) -> Result<()> {
    if !write_if_absent(file, text.as_bytes())? {
        return Err(exists_already(file));
    }
    printer::message(&format!("{}: the proposed recipe", file.display()));
    Ok(())
}

fn exists_already(file: &Path) -> Error {
    Error::usage("the file exists, and a recipe is never written over another one")
        .at_path(file)
        .hint("give --write the name of a new file, as in recipes/data/mine.toml")
}
