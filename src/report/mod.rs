//! What a person gets: tables, the report and its figures, exports, pictures, the run record, and
//! what is shown while stages run.
//!
//! All of this is made from the plan and the store. It can be made again at any time and is never
//! an input of a stage.

pub mod captioners;
pub mod coco_boxes;
mod column_groups;
mod comparison;
mod details;
pub mod drawing;
mod encoded;
pub mod event_lines;
mod export_paths;
pub mod exports;
pub mod figures;
pub mod latex_tables;
pub mod live_tables;
pub mod page;
pub mod paper_tables;
pub mod pictures;
pub mod printer;
pub mod progress;
pub mod result_table;
pub mod results;
pub mod run_record;
pub mod run_values;
pub mod selection;
mod statistics;
pub mod table_files;
pub mod table_formats;
pub mod tables;
mod task_columns;
pub mod terminal_table;
