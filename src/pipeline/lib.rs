//! The paper's pipeline: which stages an experiment needs.
//!
//! ```text
//! sample ─> index ─> pack ─┬─> train (─> train, fine-tuned) ─┬─> evaluate
//!                          │   or import a weights file      ├─> heat-maps ─> localize ─> score
//!                          └─────────────────────────────────┼─> extract ─> probe, caption, interact ─> measure-tasks
//!                                                            └─> measure (alone on the machine)
//! ```
//!
//! [`stages`] has each kind's parameters and version: the contract between the planner here and the worker that computes.
//! [`head_stages`] has those of the heads that learn a task from features, [`checked`] what is asked of settings that others may have
//! made. [`build`] turns an experiment into a graph of them, and remembers which stages each cell's table rows come from; `models`,
//! `sources` and `heads` plan its parts. [`mistakes`] plans without data, to find all that is wrong with recipes.

pub mod build;
pub mod checked;
pub mod head_stages;
mod heads;
pub mod mistakes;
mod models;
mod sources;
pub mod stages;
