//! `surgcam data`: one file for each subcommand. `recipe_text` writes what is proposed for a folder,
//! here and in a new project.

mod check;
pub mod recipe_text;
mod rendering;

use surgcam_engine::error::Result;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Look at a folder of pictures and labels: what is recognised, what it has, what is broken
    ///
    /// For a folder without a recipe, one is proposed: layout, patterns of names, classes, and a
    /// split by sequence. Nothing is trained and nothing is written unless an option names a file.
    /// The exit code is 1 if something is wrong with the data, and 2 if no labels are recognised.
    Check(check::Arguments),
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Check(arguments) => check::execute(arguments),
    }
}
