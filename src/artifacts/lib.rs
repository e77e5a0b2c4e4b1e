//! The files that stages leave in the store, and that other stages, tables and exports read.
//!
//! Each has one writer and one reader, side by side, so that they cannot drift apart.

pub mod boxes;
pub mod features;
pub mod frame_predictions;
pub mod heat_maps;
pub mod history;
mod parquet;
