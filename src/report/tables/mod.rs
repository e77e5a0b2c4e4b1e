//! The tables of an experiment, made from what is in the store. A value whose stage is not finished
//! is absent.

mod cell_groups;
mod cell_table;
mod classification;
mod extraction;
mod localization;
mod localization_columns;
mod published;
mod replicates;
mod shared_columns;
pub mod speed_columns;

use super::result_table::ResultTable;
use super::results::Results;
pub use cell_table::Row;
use published::add_published;
use replicates::{OverSeeds, over_seeds};
pub use replicates::{Replicates, SEEDS};
use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::SkippedFrame;
use surgcam_pipeline::planned::Built;
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;
use surgcam_values::Table;

/// A table of an experiment.
pub struct Made<'a> {
    pub table: ResultTable,
    /// The cells that each row of the table comes from, one for each seed.
    pub replicates: Replicates<'a>,
    /// With several seeds, the table with a row for each of them.
    pub by_seed: Option<ResultTable>,
}

/// All tables that the experiment asks for, in a fixed order.
pub fn all<'a>(
    experiment: &Experiment,
    built: &'a Built,
    results: &Results,
    machine: Option<&MeasuredMachine>,
) -> Result<Vec<Made<'a>>> {
    let mut wanted = experiment.recipe.tables.clone();
    wanted.sort();
    wanted.dedup();
    let left_out = left_out(built, results)?;
    let mut tables = Vec::new();
    for table in wanted {
        let by_cell = match table {
            Table::Classification => classification::table(experiment, built, results)?,
            Table::Localization => localization::table(experiment, built, results)?,
            Table::Extraction => extraction::table(experiment, built, results, machine)?,
        };
        let OverSeeds { table: mut made, replicates, by_seed } =
            over_seeds(by_cell, experiment.recipe.seeds.as_ref());
        add_published(&mut made, &experiment.recipe.published, table);
        made.notes.extend(left_out.iter().cloned());
        tables.push(Made { table: made, replicates, by_seed });
    }
    Ok(tables)
}

/// Notes about what was left out of the data.
fn left_out(built: &Built, results: &Results) -> Result<Vec<String>> {
    let found = results.left_out(built)?;
    let lists = [
        ("frames were skipped", &found.skipped),
        ("captions and interactions were skipped", &found.skipped_annotations),
        ("boxes were cut or taken once", &found.corrected_boxes),
    ];
    let note = |(what, places): (&str, &Vec<SkippedFrame>)| {
        let first = places.first()?;
        let count = places.len();
        Some(format!("{count} {what}, the first: {}: {}", first.place, first.problem))
    };
    Ok(lists.into_iter().filter_map(note).collect())
}
