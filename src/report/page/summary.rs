//! The sentences at the top of the report: what the experiment asks for, what came out, and what is
//! not complete.

use std::collections::BTreeSet;

use super::origins::line;
use crate::report::comparison::Comparison;
use crate::report::details::Differences;
use crate::report::result_table::ResultTable;
use surgcam_engine::plan::status::Known;
use surgcam_engine::store::runs::Run;
use surgcam_pipeline::planned::Built;
use surgcam_recipe::experiment::Experiment;

/// What the experiment asks for.
pub fn asked(experiment: &Experiment, built: &Built) -> String {
    let models: BTreeSet<&String> = built.cells.iter().map(|cell| &cell.cell.model).collect();
    let extractions: BTreeSet<&String> =
        built.cells.iter().filter_map(|cell| cell.cell.extraction.as_ref()).collect();
    let tables: Vec<&str> = experiment.recipe.tables.iter().map(|table| table.name()).collect();
    let listed = |names: BTreeSet<&String>| {
        line(&names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    };
    let extractions = if extractions.is_empty() {
        String::new()
    } else {
        format!("; extraction: {}", listed(extractions))
    };
    format!(
        "Asked for: {} of {} cells. Models: {}{extractions}.",
        tables.join(", "),
        built.cells.len(),
        listed(models)
    )
}

/// What came out, in three sentences.
pub fn answer(
    tables: &[ResultTable],
    comparison: Option<&Comparison>,
    differences: Option<&Differences>,
) -> Vec<String> {
    let Some(comparison) = comparison else { return vec!["Nothing is measured yet.".into()] };
    let frames = |table: &ResultTable| {
        let column = table.column("frames")?;
        (0..column.len()).filter_map(|row| column.number_at(row)).reduce(f64::max)
    };
    let validation_frames = frames(comparison.table)
        .or_else(|| tables.iter().filter_map(frames).reduce(f64::max))
        .map(|frames| frames as usize);
    comparison
        .sentences(validation_frames, differences)
        .iter()
        .map(|sentence| line(sentence))
        .collect()
}

/// What is not complete.
pub fn warnings(built: &Built, known: &Known, last: Option<&Run>) -> Vec<String> {
    let to_run = known.to_run();
    let absent = (to_run > 0).then(|| {
        format!(
            "{to_run} of {} stages are not in the store; what they would give is absent.",
            built.plan.stages.len()
        )
    });
    let failures = last.map_or(0, Run::failures);
    let failed = (failures > 0)
        .then(|| format!("{failures} stages failed in the last run; they are listed below."));
    absent.into_iter().chain(failed).collect()
}
