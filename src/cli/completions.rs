//! `surgcam completions`: what makes a shell ask this program for completions.

use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::report::printer;
use surgcam_engine::error::{Error, Result};

/// Set by the shell that asks for completions, to its own name.
pub const VARIABLE: &str = "SURGCAM_COMPLETE";

const PROGRAM: &str = "surgcam";

#[derive(clap::Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints a few lines for the shell. They call this program at each completion, so that it
/// completes experiments, recipes, stages and runs that are there at that time.
pub fn execute(arguments: &Arguments) -> Result<()> {
    let unknown = || Error::usage(format!("there are no completions for {}", arguments.shell));
    let shells = Shells::builtins();
    let shell = shells.completer(&arguments.shell.to_string()).ok_or_else(unknown)?;
    let mut text = Vec::new();
    shell
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut text)
        .map_err(|error| Error::failure(format!("cannot print the completions: {error}")))?;
    printer::lines(String::from_utf8_lossy(&text).trim())
}
