//! What a new project gets for a folder of one's own: a data recipe and a first experiment.

use std::collections::BTreeSet;
use std::path::Path;

use super::shipped;
use crate::cli::data::{proposed, recipe_text};
use surgcam_engine::error::Result;
use surgcam_frames::dataset::check::check;

pub struct OwnData {
    /// The name of the data recipe and of the experiment.
    pub name: String,
    /// The texts of the files, each with its path below the project's folder.
    pub files: Vec<(String, String)>,
    pub notes: Vec<String>,
}

impl OwnData {
    pub fn found_in(root: &Path) -> Result<Self> {
        let proposal = proposed(root, None)?;
        let name = recipe_text::free_name(root, &shipped_names());
        let report = check(&proposal.source, root, &proposal.classes).report;
        let recipe = recipe_text::data_recipe(&name, root, &proposal)?;
        let experiment = recipe_text::experiment(&name, &proposal, report.boxes.validation > 0)?;
        let files = vec![
            (format!("recipes/data/{name}.toml"), recipe),
            (format!("experiments/{name}.toml"), experiment),
        ];
        let mut notes = proposal.notes;
        if !report.is_sound {
            notes.push(format!(
                "{} problems were found in the labels and pictures; `surgcam data check {name}` \
                 lists them, and a run stops at the first one that it meets unless the recipe has \
                 `on_bad_frame = \"skip\"`",
                report.problems.len()
            ));
        }
        Ok(OwnData { name, files, notes })
    }
}

/// What the shipped recipes and experiments are called, and their files.
fn shipped_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, _) in shipped::FILES {
        names.extend(Path::new(path).file_stem().map(|name| name.to_string_lossy().into_owned()));
        let table = shipped::table(path);
        let recipes = ["data", "label_space", "model"].map(|section| table.get(section));
        for recipes in recipes.into_iter().flatten().filter_map(toml::Value::as_table) {
            names.extend(recipes.keys().cloned());
        }
    }
    names
}
