//! A second stream of a card, so that what is asked of one batch need not wait behind the forward
//! pass of the next (`streams.cpp`).

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use tch::Device;

unsafe extern "C" {
    fn surgcam_mark(device: c_int) -> *mut c_void;
    fn surgcam_mark_free(mark: *mut c_void);
    fn surgcam_aside_enter(device: c_int, after: *const c_void) -> *mut c_void;
    fn surgcam_aside_leave(aside: *mut c_void);
}

/// Marks how far a device was asked; nothing on the CPU, which has done it.
pub struct Mark {
    device: usize,
    event: *mut c_void,
}

impl Mark {
    /// Behind all that this thread asked of the device so far.
    pub fn here(device: Device) -> Option<Mark> {
        let Device::Cuda(device) = device else { return None };
        // SAFETY: it makes an object of its own, or gives null.
        let event = unsafe { surgcam_mark(device as c_int) };
        (!event.is_null()).then_some(Mark { device, event })
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // SAFETY: it is ours, and not used again.
        unsafe { surgcam_mark_free(self.event) }
    }
}

thread_local! {
    static IS_ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread asks on its second stream.
pub fn is_aside() -> bool {
    IS_ASIDE.get()
}

/// While this value lives, this thread gives its work to the device's second stream. That work may
/// only use results that were asked for before the mark. The value must be dropped on the thread
/// that made it; as it holds a pointer, it cannot be sent to another one.
pub struct Aside(*mut c_void);

impl Aside {
    /// `None` without a mark: then everything is asked on one stream.
    pub fn after(mark: Option<&Mark>) -> Option<Aside> {
        let mark = mark?;
        // SAFETY: the event is whole, and used during the call alone.
        let aside = unsafe { surgcam_aside_enter(mark.device as c_int, mark.event) };
        IS_ASIDE.set(!aside.is_null());
        (!aside.is_null()).then_some(Aside(aside))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // SAFETY: it is ours, and not used again.
        unsafe { surgcam_aside_leave(self.0) }
        IS_ASIDE.set(false);
    }
}
