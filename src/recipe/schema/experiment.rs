//! The section `[experiment]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::declare::section;
use crate::cell_filter::CellFilter;
use surgcam_values::{Name, Positive, Printed, Seeds, Table, Whole};

section! {
    /// `[experiment]`: what an experiment asks for.
    ExperimentRecipe, ExperimentPatch {
        /// The name of the experiment, and of its folder below `results/`.
        name: Option<Name> = None,
        /// What the experiment is about, for people who read its file.
        description: String = String::new(),
        /// The tables that are written.
        tables: Vec<Table> = vec![Table::Classification, Table::Localization, Table::Extraction],
        /// The heads that judge the features of every cell, at most one for each task. The head
        /// that an axis `head` names replaces the one of its task.
        heads: Vec<String> = vec![String::from("probe")],
        /// Heads that are trained are made only for cells with these values, as in
        /// `[[matrix.exclude]]`. From a list, a cell needs one value. The probe is made for all
        /// cells.
        heads_for: CellFilter = CellFilter::default(),
        /// How many times everything that has a seed is made, each time with another seed of all
        /// models and heads: `5`, or a list of seeds. Tables then show the mean and the sample
        /// standard deviation over the seeds.
        #[serde(skip_serializing_if = "Option::is_none")]
        seeds: Option<Seeds> = None,
        /// How many frames each speed stage times, one at a time.
        speed_frames: Whole<1, 100_000> = Whole::new(50),
        /// A speed stage stops early after this many seconds if it has timed at least five frames.
        speed_seconds: Positive = Positive::new(5.0),
        /// How many frames are run before the timing starts.
        speed_warm_up: Whole<1, 100_000> = Whole::new(5),
        /// Whether speed is measured. If it is not, the extraction table has no FPS.
        speed: bool = true,
        /// On how many validation frames heat maps are judged by deletion and insertion, evenly
        /// chosen. With 0 they are not. Each frame needs two forward passes for each step and
        /// present class, and as many for the control.
        deletion_insertion_frames: Whole<0, 100_000> = Whole::new(0),
        /// In how many steps all pixels of a frame are removed or inserted.
        deletion_insertion_steps: Whole<1, 10_000> = Whole::new(32),
        /// For a kind of stage, or for `all`, how long such a stage may take and how often it is
        /// tried again.
        limits: BTreeMap<String, StageLimits> = BTreeMap::new(),
        /// Values of a publication, which tables show beside the measured ones. There are none
        /// until somebody fills them in.
        published: Vec<PublishedValue> = Vec::new(),
    }
}

/// Limits of a kind of stage. They do not change what the stage makes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StageLimits {
    /// A stage that takes more seconds than this is ended and counts as failed.
    pub timeout_seconds: Option<Positive>,
    /// How often a stage that failed is tried again.
    pub retries: Whole<0, 1000>,
}

/// One number of a publication, and the row and the column of the table that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedValue {
    pub table: Table,
    /// Names of columns with values as the table prints them. The number belongs to the rows that
    /// have all these values.
    pub row: BTreeMap<String, String>,
    /// The column that the number belongs to.
    pub column: String,
    pub value: Printed,
}
