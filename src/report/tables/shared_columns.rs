//! The columns that several tables have: the model, the swept values, and the values of each class.

use super::cell_groups::Group;
use crate::report::result_table::TableColumn;
use surgcam_pipeline::naming::RecipeKey;
use surgcam_pipeline::planned::PlannedCell;
use surgcam_pipeline::recipe_key;
use surgcam_recipe::experiment::Experiment;
use surgcam_recipe::matrix::CASE;
use surgcam_recipe::replicates::SEED_AXES;
use surgcam_recipe::schema::ExtractionRecipe;

/// The names of tables' own columns that are also names of fields of recipes.
const OWN_COLUMNS: [&str; 7] = ["mode", "pool", "batch_norm", "head", "classes", "frames", "boxes"];

/// The keys for which tables have columns of their own.
pub const ROI_THRESHOLD: RecipeKey = recipe_key!(ExtractionRecipe, roi_threshold);
pub const POOL: RecipeKey = recipe_key!(ExtractionRecipe, pool);
pub const BATCH_NORM: RecipeKey = recipe_key!(ExtractionRecipe, batch_norm);

/// One column for each axis whose values differ between rows. An axis has no column if the cells of
/// one row differ in it, or if it is one of `shown_anyway`.
pub fn axis_columns(
    experiment: &Experiment,
    groups: &[Group],
    shown_anyway: &[RecipeKey],
) -> Vec<TableColumn> {
    let shown_anyway: Vec<String> = shown_anyway.iter().map(|key| key.axis()).collect();
    let mut columns = Vec::new();
    let last_part = |axis: &str| axis.split('.').next_back().unwrap_or(axis).to_string();
    // The seeds of a model and of a head have different names, and both differ from the names of
    // the tables' own columns.
    let is_taken = |name: &String| {
        OWN_COLUMNS.contains(&name.as_str())
            || experiment.axes.iter().filter(|axis| last_part(axis) == *name).count() > 1
    };
    for axis in experiment
        .axes
        .iter()
        .filter(|axis| (axis.contains('.') || *axis == CASE) && !shown_anyway.contains(axis))
        .filter(|axis| !is_of_replicates(experiment, axis))
    {
        let value = |cell: &PlannedCell| {
            cell.cell
                .assignment
                .get(axis)
                .map(|value| value.to_string().trim_matches('"').to_string())
        };
        let is_decided = groups
            .iter()
            .all(|group| group.cells.iter().all(|cell| value(cell) == value(group.first())));
        let differs = groups.iter().any(|group| value(group.first()) != value(groups[0].first()));
        if is_decided && differs {
            let name = Some(last_part(axis))
                .filter(|name| !is_taken(name))
                .unwrap_or_else(|| axis.clone())
                .replace('_', " ");
            columns.push(TableColumn::text(
                name,
                groups.iter().map(|group| value(group.first())).collect(),
            ));
        }
    }
    columns
}

/// Whether the rows that differ in this axis are replicates.
fn is_of_replicates(experiment: &Experiment, axis: &str) -> bool {
    experiment.recipe.seeds.is_some() && SEED_AXES.contains(&axis)
}

/// One detail column for each class that any row has, named by the class.
pub fn class_columns(
    prefix: &str,
    groups: &[&PlannedCell],
    values: &[Option<Vec<Option<f64>>>],
) -> Vec<TableColumn> {
    let mut names: Vec<&String> = Vec::new();
    for cell in groups {
        for class in &cell.label_space.classes {
            if !names.contains(&class) {
                names.push(class);
            }
        }
    }
    let value = |cell: &PlannedCell,
                 values: &Option<Vec<Option<f64>>>,
                 class: &str|
     -> Option<f64> { *values.as_ref()?.get(cell.label_space.index_of(class)?)? };
    names
        .iter()
        .map(|class| {
            let column = groups
                .iter()
                .zip(values)
                .map(|(cell, values)| value(cell, values, class))
                .collect();
            TableColumn::number(format!("{prefix} {class}"), 3, column).detail()
        })
        .collect()
}

/// The name of each row's model.
pub fn variants(cells: &[&PlannedCell]) -> TableColumn {
    TableColumn::text("variant", cells.iter().map(|cell| Some(cell.model.name.clone())).collect())
}
