//! The tables of an experiment, made from what is in the store. A value whose stage is not finished
//! is absent.

mod cell_groups;
mod classification;
mod extraction;
mod localization;
mod localization_columns;
mod published;
mod shared_columns;
pub mod speed_columns;

use super::result_table::ResultTable;
use super::results::Results;
use published::add_published;
use surgcam_engine::error::Result;
use surgcam_pipeline::planned::Built;
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;
use surgcam_values::Table;

/// All tables that the experiment asks for, in a fixed order.
pub fn all(
    experiment: &Experiment,
    built: &Built,
    results: &Results,
    machine: Option<&MeasuredMachine>,
) -> Result<Vec<ResultTable>> {
    let mut wanted = experiment.recipe.tables.clone();
    wanted.sort();
    wanted.dedup();
    let left_out = [
        ("frames were skipped", results.skipped_frames(built)?),
        ("captions and interactions were skipped", results.skipped_annotations(built)?),
        ("boxes were cut or taken once", results.mended_boxes(built)?),
    ];
    let mut tables = Vec::new();
    for table in wanted {
        let mut made = match table {
            Table::Classification => classification::table(experiment, built, results)?,
            Table::Localization => localization::table(experiment, built, results)?,
            Table::Extraction => extraction::table(experiment, built, results, machine)?,
        };
        add_published(&mut made, &experiment.recipe.published, table);
        for (what, places) in &left_out {
            if let Some(first) = places.first() {
                made.notes.push(format!(
                    "{} {what}, the first: {}: {}",
                    places.len(),
                    first.place,
                    first.problem
                ));
            }
        }
        tables.push(made);
    }
    Ok(tables)
}
