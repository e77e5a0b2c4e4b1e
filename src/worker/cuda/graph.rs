//! A CUDA graph: what a card was asked to do, recorded once and then asked for again in one call
//! (`graph.cpp`).
//!
//! A forward pass over one frame is some seventy calls, and a fast card has done what one asks for
//! before the next has come. A graph reads and writes the memory that it was recorded with: inputs
//! are copied to where it reads, and results copied from where it writes.

use std::ffi::{c_char, c_int, c_void};

use surgcam_engine::error::{Error, Result};

use crate::model::libtorch_operators::Problem;

unsafe extern "C" {
    fn surgcam_graph_capture(
        device: c_int,
        work: extern "C" fn(*mut c_void) -> bool,
        context: *mut c_void,
        problem: *mut c_char,
        problem_size: usize,
    ) -> *mut c_void;
    fn surgcam_graph_replay(graph: *mut c_void, problem: *mut c_char, problem_size: usize) -> bool;
    fn surgcam_graph_free(graph: *mut c_void);
}

pub struct CudaGraph(*mut c_void);

/// What `capture` records, and what it said the last time.
struct Recorded<'a, T> {
    work: &'a mut dyn FnMut() -> Result<T>,
    result: Option<Result<T>>,
}

impl CudaGraph {
    /// Does `work` twice and records the second time. The tensors that it gave then are written
    /// again by every replay.
    ///
    /// # Errors
    /// Where libtorch has no graphs, or something in `work` cannot be recorded.
    pub fn capture<T>(
        device: usize,
        mut work: impl FnMut() -> Result<T>,
    ) -> Result<(CudaGraph, T)> {
        let mut recorded = Recorded { work: &mut work, result: None };
        let mut problem = Problem::none();
        // SAFETY: `work` and its context outlive the call, which uses them on this thread alone;
        // `problem` has the size told.
        let graph = unsafe {
            surgcam_graph_capture(
                device as c_int,
                do_once::<T>,
                (&raw mut recorded).cast(),
                problem.0.as_mut_ptr(),
                problem.0.len(),
            )
        };
        if graph.is_null() {
            // Why the work failed says more than that it did.
            return Err(match recorded.result {
                Some(Err(error)) => error,
                _ => problem.error("a CUDA graph cannot be recorded"),
            });
        }
        let graph = CudaGraph(graph);
        match recorded.result {
            Some(result) => Ok((graph, result?)),
            None => Err(Error::failure("a CUDA graph was recorded of nothing")),
        }
    }

    /// # Errors
    /// Where the card refuses it.
    pub fn replay(&self) -> Result<()> {
        let mut problem = Problem::none();
        // SAFETY: the graph is ours and whole; `problem` has the size told.
        let is_asked =
            unsafe { surgcam_graph_replay(self.0, problem.0.as_mut_ptr(), problem.0.len()) };
        if is_asked { Ok(()) } else { Err(problem.error("a CUDA graph cannot be replayed")) }
    }
}

impl Drop for CudaGraph {
    fn drop(&mut self) {
        // SAFETY: it is ours, and not used again.
        unsafe { surgcam_graph_free(self.0) }
    }
}

extern "C" fn do_once<T>(context: *mut c_void) -> bool {
    // SAFETY: `capture` passes its own `Recorded`, which nothing else uses meanwhile.
    let recorded = unsafe { &mut *context.cast::<Recorded<T>>() };
    // What an earlier call made is freed first, so that its memory can be used again.
    recorded.result = None;
    // A panic must not pass through C++.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (recorded.work)()));
    let result = result.unwrap_or_else(|_| Err(Error::failure("libtorch panicked")));
    let is_done = result.is_ok();
    recorded.result = Some(result);
    is_done
}
