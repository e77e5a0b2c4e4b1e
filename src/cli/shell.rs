//! `surgcam schema`, `surgcam completions`, `surgcam man`: what editors and shells want to know.

use std::path::PathBuf;

use clap_complete::Shell;

use crate::report::printer;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_recipe::schema::json_schema;

pub fn schema() -> Result<()> {
    let text = serde_json::to_string_pretty(&json_schema()).map_err(|error| Error::failure(format!("cannot print the schema: {error}")))?;
    printer::lines(&text)
}

#[derive(clap::Args)]
pub struct CompletionsArguments {
    shell: Shell,
}

pub fn completions(arguments: &CompletionsArguments, command: &mut clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, command, "surgcam", &mut text);
    printer::lines(String::from_utf8_lossy(&text).trim_end())
}

#[derive(clap::Args)]
pub struct ManArguments {
    /// Write the pages of all commands into this folder: surgcam.1, surgcam-run.1, ...
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn man(arguments: &ManArguments, command: clap::Command) -> Result<()> {
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
        clap_mangen::generate_to(command, folder).at_path("write the man pages into", folder)?;
        printer::message(&format!("the man pages are in {}", folder.display()));
        return Ok(());
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(|error| Error::failure(format!("cannot print the man page: {error}")))?;
    printer::lines(String::from_utf8_lossy(&text).trim_end())
}
