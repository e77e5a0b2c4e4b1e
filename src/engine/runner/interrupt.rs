//! Ctrl-C: the first one stops the run in an orderly way, the second one at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Class, Error, Result};

#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// From here on the first Ctrl-C only sets a flag, and the second ends the program.
    pub fn listen() -> Result<Self> {
        let interrupt = Interrupt::default();
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the shutdown must read the flag before this signal sets it.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(Class::Interrupted.exit_code()),
                interrupt.requested.clone(),
            )
            .and_then(|_| signal_hook::flag::register(signal, interrupt.requested.clone()))
            .map_err(|error| Error::failure(format!("cannot listen for Ctrl-C: {error}")))?;
        }
        Ok(interrupt)
    }

    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}
