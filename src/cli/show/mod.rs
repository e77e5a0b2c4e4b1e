//! `surgcam show`: one file for each subcommand.

mod recipe;
mod run;

use super::Overrides;
use super::context::Context;
use surgcam_engine::error::{Class, Error, Result};
use surgcam_recipe::library::Library;

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
        (Some(What::Recipe { name, overrides }), _) => recipe::show_recipe(name, overrides),
        (Some(What::Run { id }), _) => run::show_run(id),
        (None, Some(wanted)) => show_bare(wanted),
        (None, None) => Err(Error::usage("nothing to show is named").hint("write `surgcam show RUN` or `surgcam show recipe NAME`")),
    }
}

/// A run; whoever gives a recipe's name is told how recipes are shown.
fn show_bare(wanted: &str) -> Result<()> {
    run::show_run(wanted).map_err(|error| {
        let is_recipe = || Library::load(&Context::plain()?.project.join("recipes")).and_then(|library| recipe::find(&library, wanted));
        if error.class() == Class::Usage && is_recipe().is_ok() {
            return Error::usage(format!("`{wanted}` is a recipe and no run")).hint(format!("write: surgcam show recipe {wanted}"));
        }
        error
    })
}
