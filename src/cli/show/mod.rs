//! `surgcam show`: one file for each subcommand.

mod recipe;
mod run;

use clap_complete::ArgValueCompleter;

use super::context::Context;
use super::{Overrides, candidates};
use surgcam_engine::error::{Class, Error, Result};
use surgcam_recipe::library::Library;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// A run: its id, a part of it, or `latest`
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(candidates::runs))]
    run: Option<String>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Show each value of a recipe and where it came from
    Recipe {
        /// The recipe's name, as in gc-d; with its section if two recipes share it, as in
        /// model.gc-d
        #[arg(add = ArgValueCompleter::new(candidates::recipes))]
        name: String,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Show what a run was asked to do, what it did, and with which recipes
    Run {
        /// The run's id, a part of it, or `latest`
        #[arg(add = ArgValueCompleter::new(candidates::runs))]
        id: String,
        /// Print the run's own file as JSON, and what its command asked for
        #[arg(long)]
        json: bool,
    },
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match (&arguments.what, &arguments.run) {
        (Some(What::Recipe { name, overrides }), _) => recipe::show_recipe(name, overrides),
        (Some(What::Run { id, json: false }), _) => run::show_run(id),
        (Some(What::Run { id, json: true }), _) => run::print_json(id),
        (None, Some(wanted)) => show_bare(wanted),
        (None, None) => Err(Error::usage("neither a run nor a recipe is given")
            .hint("write `surgcam show RUN` or `surgcam show recipe NAME`")),
    }
}

/// Shows a run. The error for the name of a recipe says how recipes are shown.
fn show_bare(wanted: &str) -> Result<()> {
    run::show_run(wanted).map_err(|error| {
        let is_recipe = || {
            Library::load(&Context::plain()?.project.join("recipes"))
                .and_then(|library| recipe::find(&library, wanted))
        };
        if error.class() == Class::Usage && is_recipe().is_ok() {
            return Error::usage(format!("`{wanted}` is a recipe, not a run"))
                .hint(format!("write: surgcam show recipe {wanted}"));
        }
        error
    })
}
