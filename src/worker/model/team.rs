//! Loops on the threads that libtorch counts with.
//!
//! Its OpenMP threads wait busily for a moment after each operator. Threads of another pool would have to share the cores with
//! them, time and again within one forward pass; those that wait there anyway start at once.

use std::ffi::{CStr, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

/// GNU OpenMP's entry: runs a function on every thread of the team, the caller's among them, and returns when all have.
type Parallel = unsafe extern "C" fn(function: extern "C" fn(*mut c_void), data: *mut c_void, threads: c_uint, flags: c_uint);

/// As libtorch brought it along; `None` where libtorch was built with another OpenMP.
fn openmp() -> Option<Parallel> {
    static PARALLEL: OnceLock<Option<Parallel>> = OnceLock::new();
    const NAME: &CStr = c"GOMP_parallel";
    *PARALLEL.get_or_init(|| {
        // SAFETY: looks a name up among the libraries that are loaded.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NAME.as_ptr()) };
        // SAFETY: by its name a function of this type, part of GCC's stable interface.
        (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Parallel>(found) })
    })
}

/// What the threads share: each takes the next part until there is none.
struct Work<'a> {
    next: AtomicUsize,
    count: usize,
    once: &'a (dyn Fn(usize) + Sync),
}

/// A panic in it ends the program: it must not leave a function that C called.
extern "C" fn take_parts(work: *mut c_void) {
    // SAFETY: what `for_each` hands over, which outlives the call.
    let work = unsafe { &*work.cast::<Work>() };
    loop {
        let part = work.next.fetch_add(1, Ordering::Relaxed);
        if part >= work.count {
            return;
        }
        (work.once)(part);
    }
}

/// `once` for each of the parts, with its number.
pub fn for_each<T: Send + ?Sized>(parts: Vec<&mut T>, once: impl Fn(usize, &mut T) + Sync) {
    let Some(parallel) = openmp() else {
        return parts.into_par_iter().enumerate().for_each(|(number, part)| once(number, part));
    };
    let parts: Vec<Mutex<&mut T>> = parts.into_iter().map(Mutex::new).collect();
    // Nobody waits here: each part is taken once.
    let once = |number: usize| once(number, &mut parts[number].lock().unwrap_or_else(PoisonError::into_inner));
    let mut work = Work { next: AtomicUsize::new(0), count: parts.len(), once: &once };
    // SAFETY: `take_parts` gets the work that it expects, which is there until all threads are done. 0 threads: as libtorch has set.
    unsafe { parallel(take_parts, (&raw mut work).cast(), 0, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once() {
        let mut values = vec![0usize; 1000];
        for_each(values.chunks_mut(7).collect(), |number, part| part.iter_mut().for_each(|value| *value += number + 1));
        assert!(values.iter().enumerate().all(|(place, &value)| value == place / 7 + 1));
    }
}
