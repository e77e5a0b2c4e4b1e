//! The paper's pipeline: which stages an experiment needs.
//!
//! ```text
//! sample ─> index ─> pack ─┬─> train (─> train, fine-tuned) ─┬─> evaluate
//!                          │   or import a weights file      ├─> heat-maps ─> localize ─> score, heat-score
//!                          └─────────────────────────────────┼─> extract ─> probe, caption, interact ─> measure-tasks
//!                                                            └─> measure (alone on the machine)
//! ```
//!
//! [`kinds`] has a file for each kind of stage: the contract between the planner here and the worker that computes. [`settings`] and
//! [`head_settings`] have what several kinds have among their parameters, and [`checked`] what is asked of settings that others may
//! have made.
//!
//! [`build`] turns an experiment into a graph of stages, [`planned`], which tells what each cell's table rows come from; [`goal`] is
//! what is wanted of it. `sources`, `models` and `heads` plan its parts, each with those before it, in what `planner` shares among
//! them; [`naming`] gives stages their names. [`mistakes`] plans without data, to find all that is wrong with recipes.

pub mod build;
pub mod checked;
pub mod goal;
pub mod head_settings;
mod heads;
pub mod kinds;
pub mod mistakes;
mod models;
pub mod naming;
pub mod planned;
mod planner;
pub mod settings;
mod sources;

pub use sources::{DescribedFolder, described_folder};
