//! `surgcam data`: one file for each subcommand. `recipe_text` writes the recipe that these
//! commands propose for a folder, and that a new project gets.

mod check;
pub mod recipe_text;
mod rendering;

use std::collections::BTreeMap;
use std::path::Path;

use super::init::shipped;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::check::{Proposal, propose};
use surgcam_frames::dataset::index::Layout;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Check a folder of pictures and labels: its layout, its contents, and what is broken
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

/// What is proposed for a folder that no recipe describes. Verbs of CholecT50 mean what they mean
/// in the shipped recipe.
pub fn proposed(root: &Path, layout: Option<Layout>) -> Result<Proposal> {
    let mut proposal = propose(root, layout).map_err(Error::as_usage)?;
    if proposal.source.layout == Layout::CholecT50 {
        proposal.source.verbs = shipped_verbs();
    }
    Ok(proposal)
}

fn shipped_verbs() -> BTreeMap<String, String> {
    let table = shipped::table("recipes/data/cholect50.toml");
    let verbs = table.get("adapter").and_then(|adapters| adapters.get("cholect50")?.get("verbs"));
    let verbs = verbs.and_then(toml::Value::as_table).into_iter().flatten();
    verbs.filter_map(|(verb, means)| Some((verb.clone(), means.as_str()?.to_string()))).collect()
}
