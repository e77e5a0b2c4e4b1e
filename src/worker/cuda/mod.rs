//! What the worker asks of CUDA beside what tch offers: its library opened at run time, passes
//! recorded once, and a second queue.

pub mod graph;
pub mod library;
pub mod streams;
