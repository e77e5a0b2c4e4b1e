//! The files that stages leave in the store for other stages, tables and exports.
//!
//! The writer and the reader of a file are in one module, so that a change of one is a change of
//! both. Files are read back exactly as they were written.

pub mod boxes;
pub mod captions;
pub mod features;
pub mod frame_predictions;
pub mod heat_maps;
pub mod history;
pub mod interaction_predictions;
mod parquet;
