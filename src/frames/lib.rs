//! Data sets, pictures, boxes, heat maps and captions: everything that is computed without a tensor
//! library, so that the program that a person talks to can use it as well as the worker.
//!
//! * [`dataset`] reads data folders into an index and a pack, changes pictures for training, and
//!   draws the sample scenes.
//! * [`vision`] has pure functions on boxes, heat maps and pictures, and the metrics of boxes.
//! * [`language`] splits captions into words and scores them.
//! * [`description`] is what `surgcam` writes about a single picture.
//! * [`metrics`] has the numbers that tables are made of.
//! * [`random`] has named streams of random numbers.
//! * [`formula`] computes weights from their names, for tests against golden values.

pub mod dataset;
pub mod description;
pub mod formula;
pub mod language;
pub mod metrics;
pub mod random;
pub mod vision;
