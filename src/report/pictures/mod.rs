//! Pictures of frames: heat maps over them, boxes with their names, and sheets of several.

pub mod overlay;
pub mod panel;
pub mod scene;
pub mod sheet;
pub mod sheets;

mod labels;
mod legend;
mod lines;
mod name_tags;
