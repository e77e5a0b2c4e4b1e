//! The one place that prints: data to stdout, everything else to stderr.

use std::io::{IsTerminal, Write};

/// A line of data. A reader that has gone away (`| head`) is no error.
pub fn data(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A line for the person at the terminal.
pub fn message(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

pub fn error(error: &crate::error::Error) {
    message(&format!("error: {error}"));
}

/// Whether somebody watches stderr, so that a bar makes sense.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether stderr may have colours: only where somebody watches it, and not where `NO_COLOR` says that they are not wanted.
pub fn is_coloured() -> bool {
    is_watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of the terminal that stdout goes to; `None` where it is no terminal.
pub fn data_width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| usize::from(console_width()))
}

fn console_width() -> u16 {
    comfy_table::Table::new().width().unwrap_or(80)
}
