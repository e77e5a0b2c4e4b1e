//! What the worker asks of CUDA beside what tch offers: its library opened at run time, passes
//! recorded once, and a second queue.

pub mod graph;
pub mod library;
pub mod streams;

use std::ffi::{CStr, c_char};

use surgcam_engine::error::Error;

use crate::model::libtorch_operators::first_line;

/// Why C++ could not do something, ended by a 0.
struct Problem([c_char; 512]);

impl Problem {
    fn none() -> Self {
        Problem([0; 512])
    }

    fn error(&self, what: &str) -> Error {
        // SAFETY: it is filled up to a 0, which the callee writes, or which was there.
        let problem = unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_string_lossy();
        Error::failure(format!("{what}: {}", first_line(&problem)))
    }
}
