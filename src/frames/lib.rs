//! Frames, and what is known and said of them, without tensors.
//!
//! * [`dataset`]: readers of data folders, index, pack, augmentation, the drawn sample scenes.
//! * [`vision`]: boxes, heat maps, resizing, pooling, metrics: pure functions.
//! * [`language`]: captions as words, and how well they are told. [`description`]: what is said of
//!   a picture.
//! * [`metrics`]: the numbers that tables are made of.
//! * [`random`]: draws that depend on what they are for. [`formula`]: weights that need no file.

pub mod dataset;
pub mod description;
pub mod formula;
pub mod language;
pub mod metrics;
pub mod random;
pub mod vision;
