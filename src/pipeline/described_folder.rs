//! What a data recipe says about a folder, for programs that look into the folder without a plan.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::naming::Keys;
use super::planner::{Outside, Planner};
use super::sources::{MIX, SAMPLE, adapter_name, source_layout};
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::labels::ClassMap;
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_recipe::experiment::{Cell, Experiment};
use surgcam_recipe::matrix::Assignment;

#[derive(Debug)]
pub struct DescribedFolder {
    pub root: PathBuf,
    pub source: SourceLayout,
    pub classes: ClassMap,
}

/// The folder of a data recipe, which must exist, and how it is read.
pub fn described_folder(
    experiment: &Experiment,
    project: &Path,
    name: &str,
) -> Result<DescribedFolder> {
    let nothing_swept =
        Cell { model: String::new(), extraction: None, head: None, assignment: Assignment::new() };
    let cell = &nothing_swept;
    let planner = Planner::new(experiment, project, Outside::Assumed, &BTreeSet::new(), None);
    let data = experiment.data(cell, name)?;
    let recipe = &data.value;
    match recipe.adapter.as_str() {
        MIX => {
            return Err(Error::usage(format!("data.{name} is a mix of other data recipes"))
                .hint(format!("name one of its parts: {}", recipe.parts.join(", "))));
        }
        SAMPLE => {
            return Err(Error::usage(format!(
                "data.{name} draws its own scenes, so it has no folder to look into"
            )));
        }
        _ => {}
    }
    // No stage is named by these keys.
    let mut keys = Keys::default();
    let adapter_name = adapter_name(&data, &mut keys)?;
    let adapter = experiment.adapter(cell, &adapter_name)?;
    let space = experiment.label_space(cell, &recipe.label_space)?;
    let classes = planner.class_map(cell, &data, &adapter.value, &space, &mut keys)?;
    let source = source_layout(name, recipe, &adapter.value, &mut keys)?;
    Ok(DescribedFolder { root: planner.existing_root(&data)?, source, classes })
}
