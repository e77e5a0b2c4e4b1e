//! The paper's pipeline: which stages an experiment needs.
//!
//! ```text
//! sample ─> index ─> pack ─┬─> train (─> train, fine-tuned) ─┬─> evaluate
//!                          │   or import a weights file      ├─> heat-maps ─> heat-score
//!                          │                                 │   ├─> deletion-insertion
//!                          │                                 │   └─> localize ─> score
//!                          └─────────────────────────────────┼─> extract
//!                                                            │   └─> probe, caption, interact
//!                                                            │       └─> measure-tasks
//!                                                            └─> measure (alone on the machine)
//! a detector's file ─> detections ─> score, extract
//! ```
//!
//! [`kinds`] has a file for each kind of stage. A kind is the contract between the planner here and
//! the worker that makes the stage. Parameters that several kinds share are in [`settings`] and
//! [`head_settings`]. [`checked`] checks settings that somebody else may have written.
//!
//! [`build`] turns an experiment into a graph of stages. Its result is in [`planned`], which also
//! tells which stages the rows of each cell come from. [`goal`] says what is wanted of the
//! experiment, for instance a table. `sources`, `models`, `localization`, `detections`,
//! `extraction` and `heads` each plan a part of the graph, and add their stages to `planner`.
//! `data_folder` and `class_map` find out what `sources` needs to know about a data set. `clips`
//! checks whether batches and sequences can hold the clips of a temporal model. `limits` sets how
//! long stages may take. [`naming`] names the stages. [`described_folder`] has what a data recipe
//! says about a folder, for programs that look into it without a plan. [`mistakes`] plans without
//! data, to find all mistakes in recipes at once.

pub mod build;
pub mod checked;
mod class_map;
mod clips;
mod data_folder;
pub mod described_folder;
mod detections;
mod extraction;
pub mod goal;
pub mod head_settings;
mod heads;
pub mod kinds;
mod limits;
mod localization;
pub mod mistakes;
mod models;
pub mod naming;
pub mod planned;
mod planner;
pub mod settings;
mod sources;
