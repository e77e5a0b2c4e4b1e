//! What extraction and the orchestrator cost on this machine: what `surgcam bench` measures.

pub mod empty_stages;
pub mod orchestrator;
mod program;
mod projects;
pub mod strategies;
