//! Tables beside the main ones: each seed, each sequence, and the differences between rows.
//!
//! They are computed from what stages keep of each frame. A row whose stages are not finished is
//! left out.

mod differences;
mod frame_list;
mod frame_values;
mod judged;
mod overlaps;
mod sequences;

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::result_table::ResultTable;
use super::results::Results;
use super::tables::Made;
pub use differences::{DIFFERENCES, Differences, Found, in_words};
pub use frame_values::FrameValues;
use judged::{JudgedRow, Reader};
pub use overlaps::{FrameOverlaps, Indexed};
use surgcam_engine::error::Result;

/// A table with more rows than this is a sweep's. It has no scores of sequences and no differences,
/// because these would take minutes.
const MOST_ROWS: usize = 200;

/// All tables beside the main ones.
pub struct Details {
    /// In the order in which they are shown.
    pub tables: Vec<ResultTable>,
    pub differences: Option<Differences>,
}

/// `yardsticks`: the names of extractions that do not compete.
pub fn of(made: &[Made], results: &Results, yardsticks: &BTreeSet<String>) -> Result<Details> {
    let mut tables: Vec<ResultTable> =
        made.iter().filter_map(|made| made.by_seed.clone()).collect();
    let mut compared = Vec::new();
    for made in made.iter().filter(|made| made.table.rows() <= MOST_ROWS) {
        let rows = judged_rows(made, results)?;
        tables.extend(sequences::table(&made.table, &rows));
        compared.extend(differences::found(&made.table, &rows, yardsticks));
    }
    let tables_compared: Vec<&ResultTable> = made.iter().map(|made| &made.table).collect();
    let differences = Differences::of(compared, &tables_compared);
    let first = differences.iter().map(|differences| differences.table.clone());
    Ok(Details { tables: first.chain(tables).collect(), differences })
}

/// What is known of the frames of each row. `None` where nothing is.
fn judged_rows(made: &Made, results: &Results) -> Result<Vec<Option<JudgedRow>>> {
    let reader = Reader::new(results, &made.table.name, &made.replicates)?;
    made.replicates.0.par_iter().map(|replicates| reader.row(replicates)).collect()
}

/// The name of every table beside the main one of this name.
pub fn names(table: &str) -> impl Iterator<Item = String> {
    ["seeds", "sequences"].map(|detail| format!("{table}-{detail}")).into_iter()
}
