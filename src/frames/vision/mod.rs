//! What is computed on pictures and heat maps without a tensor library: boxes, regions, resizing
//! and metrics.
//!
//! Everything here is a pure function, apart from reading pictures, so that the worker, `surgcam
//! view` and the tests share it. "METHOD 5" in a comment is section 5 of docs/method.md.

pub mod average_precision;
pub mod detection;
pub mod geometry;
pub mod heat_in_boxes;
pub mod heat_map;
pub mod localization_metrics;
pub mod picture;
pub mod pooling;
pub mod regions;
pub mod resize;
