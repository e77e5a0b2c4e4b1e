//! The paper's pipeline: which stages an experiment needs.
//!
//! ```text
//! sample ─> index ─> pack ─┬─> train (─> train, fine-tuned) ─┬─> evaluate
//!                          │   or import a weights file      ├─> heat-maps ─> localize ─> score
//!                          └─────────────────────────────────┼─> extract ─> probe
//!                                                            └─> measure (alone on the machine)
//! ```
//!
//! [`stages`] has each kind's parameters and version: the contract between the planner here and the worker that computes.
//! [`build`] turns an experiment into a graph of them, and remembers which stages each cell's table rows come from.

pub mod build;
mod sources;
pub mod stages;
