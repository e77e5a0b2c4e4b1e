//! `surgcam man`.

use std::path::PathBuf;

use crate::report::printer;
use surgcam_engine::error::{AtPath, Error, Result};

#[derive(clap::Args)]
pub struct Arguments {
    /// Write the man pages of all commands into this folder: surgcam.1, surgcam-run.1, ...
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn execute(arguments: &Arguments, command: clap::Command) -> Result<()> {
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
        clap_mangen::generate_to(command, folder).at_path("write the man pages into", folder)?;
        printer::message(&format!("the man pages are in {}", folder.display()));
        return Ok(());
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(|error| Error::failure(format!("cannot print the man page: {error}")))?;
    printer::lines(String::from_utf8_lossy(&text).trim_end())
}
