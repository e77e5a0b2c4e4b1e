//! All printing: data goes to stdout and everything else to stderr. Everything goes through
//! [`escape`], so that names, labels and paths of others cannot act on the terminal.

use std::io::{self, ErrorKind, IsTerminal, Write};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

/// A line of data.
pub fn line(text: &str) -> Result<()> {
    to_stdout(&escape::line(text))
}

/// Prints data of several lines that this program composed. Their line breaks and tabs stay.
pub fn lines(text: &str) -> Result<()> {
    to_stdout(&escape::lines(text))
}

fn to_stdout(text: &str) -> Result<()> {
    written(writeln!(io::stdout(), "{text}"))
}

/// The result of writing to stdout. It is not an error if the reader has gone away (`| head`),
/// because the reader has what it wanted.
pub fn written(outcome: io::Result<()>) -> Result<()> {
    match outcome.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::failure(format!("cannot write to stdout: {error}")).hint(
                "what was printed is not complete; \
                 run the same command again with its output where there is room",
            ))
        }
        _ => Ok(()),
    }
}

/// A line for the person at the terminal.
pub fn message(text: &str) {
    to_stderr(&escape::line(text));
}

/// Prints several lines for the person at the terminal that this program composed. Their line
/// breaks and tabs stay.
pub fn messages(text: &str) {
    to_stderr(&escape::lines(text));
}

fn to_stderr(text: &str) {
    // Nobody is left to be told that this failed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

pub fn error(error: &Error) {
    messages(&format!("error: {}", described(error)));
}

/// An error on one line, and its hint on a second one.
pub fn described(error: &Error) -> String {
    error.with_texts(|text| escape::line(text).into_owned()).to_string()
}

/// Where `tracing` writes its diagnostics, an event at a time.
pub struct Diagnostics;

impl Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        messages(String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether somebody watches stderr, so that a bar makes sense.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether stderr may have colours: only where somebody watches it, and not where `NO_COLOR` says
/// that they are not wanted.
pub fn is_coloured() -> bool {
    is_watched() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The number of columns of the terminal that stdout goes to. `None` if stdout goes elsewhere.
pub fn data_width() -> Option<usize> {
    io::stdout().is_terminal().then(|| usize::from(console_width()))
}

fn console_width() -> u16 {
    comfy_table::Table::new().width().unwrap_or(80)
}
