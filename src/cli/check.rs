//! `surgcam check`.

use std::path::Path;

use clap_complete::ArgValueCompleter;

use super::context::Context;
use super::{Overrides, WorkerOptions, candidates};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_pipeline::mistakes;
use surgcam_recipe::experiment::Experiment;
use surgcam_recipe::experiment_file;
use surgcam_recipe::file;
use surgcam_recipe::library::Library;

#[derive(clap::Args)]
pub struct Arguments {
    /// The experiments to check; all in experiments/ if left out
    #[arg(add = ArgValueCompleter::new(candidates::experiments))]
    experiments: Vec<String>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Checks every recipe and each experiment, and prints all mistakes. Data folders and weights files
/// need not exist.
pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = Context::new(
        arguments.experiments.first().map(String::as_str),
        &arguments.overrides,
        &WorkerOptions::default(),
    )?;
    let mut names = arguments.experiments.clone();
    if names.is_empty() {
        names = context.experiment_files()?.iter().map(|path| path.display().to_string()).collect();
    }
    let folder = context.project.join("recipes");
    let (library, unreadable) = Library::read(&folder);
    let are_readable = unreadable.is_empty();
    let mut found =
        if are_readable { recipes(&context, library, &folder)? } else { told(unreadable) };
    for name in &names {
        found += if are_readable {
            experiment(&context, name)?
        } else {
            told(file_alone(&context, name).err())
        };
    }
    if !are_readable {
        printer::message("experiments are checked completely once all recipes can be read");
    }
    match found {
        0 => Ok(()),
        1 => Err(Error::usage("1 mistake was found")),
        several => Err(Error::usage(format!("{several} mistakes were found"))),
    }
}

fn recipes(context: &Context, library: Library, folder: &Path) -> Result<usize> {
    let library = Experiment::of_library(library);
    let found = told(mistakes::of_recipes(&library, &context.project, |_| true));
    if found == 0 {
        printer::line(&format!(
            "{}: {} recipes, no mistake found",
            folder.display(),
            library.library().recipes().count()
        ))?;
    }
    Ok(found)
}

fn experiment(context: &Context, name: &str) -> Result<usize> {
    let experiment = match context.experiment(name) {
        Ok(experiment) => experiment,
        Err(error) => return Ok(told([error])),
    };
    let found = told(mistakes::of_experiment(&experiment, &context.project));
    if found == 0 {
        printer::line(&format!("{name}: {} cells, no mistake found", experiment.cells.len()))?;
    }
    Ok(found)
}

/// Checks an experiment's file as far as possible without the recipes.
fn file_alone(context: &Context, name: &str) -> Result<()> {
    file::read(&experiment_file::find(&context.project, name)?).map(drop)
}

/// Prints mistakes and counts them.
fn told(mistakes: impl IntoIterator<Item = Error>) -> usize {
    let mut count = 0;
    for mistake in mistakes {
        printer::error(&mistake);
        count += 1;
    }
    count
}
