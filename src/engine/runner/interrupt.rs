//! Ctrl-C: the first one stops the run in an orderly way, the second one at once. A batch system
//! says with another signal that the time of its job is nearly over, which stops the run as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::error::{Class, Error, Result};

#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    out_of_time: Arc<AtomicBool>,
}

impl Interrupt {
    /// From here on the first Ctrl-C only sets a flag, and the second ends the program.
    pub fn listen() -> Result<Self> {
        let interrupt = Interrupt::default();
        let cannot =
            |error: std::io::Error| Error::failure(format!("cannot listen for Ctrl-C: {error}"));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the shutdown must read the flag before this signal sets it.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(Class::Interrupted.exit_code()),
                interrupt.requested.clone(),
            )
            .and_then(|_| signal_hook::flag::register(signal, interrupt.requested.clone()))
            .map_err(cannot)?;
        }
        for flag in [&interrupt.out_of_time, &interrupt.requested] {
            signal_hook::flag::register(SIGUSR1, flag.clone()).map_err(cannot)?;
        }
        Ok(interrupt)
    }

    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Whether it is requested because the time of a batch system's job is nearly over.
    pub fn is_out_of_time(&self) -> bool {
        self.out_of_time.load(Ordering::SeqCst)
    }
}
