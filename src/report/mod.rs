//! What a person gets: tables, the report and its figures, exports, pictures, the run record, and
//! what is seen while stages run.
//!
//! Everything here is a view: made from the plan and the store, always rebuildable, never an input
//! of a stage.

pub mod captioners;
mod column_groups;
mod comparison;
pub mod drawing;
mod encoded;
pub mod event_lines;
mod export_paths;
pub mod exports;
pub mod figures;
pub mod latex_tables;
pub mod layout;
pub mod live_tables;
mod localization_columns;
pub mod page;
pub mod paper_tables;
pub mod pictures;
pub mod printer;
pub mod progress;
pub mod render;
pub mod results;
pub mod run_record;
pub mod run_values;
pub mod selection;
pub mod table_files;
pub mod tables;
mod task_columns;
pub mod terminal_table;
