//! `surgcam completions`.

use clap_complete::Shell;

use crate::report::printer;
use surgcam_engine::error::Result;

#[derive(clap::Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

pub fn execute(arguments: &Arguments, command: &mut clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, command, "surgcam", &mut text);
    printer::lines(String::from_utf8_lossy(&text).trim_end())
}
