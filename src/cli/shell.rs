//! `surgcam schema`, `surgcam completions`, `surgcam man`: what editors and shells want to know.

use clap_complete::Shell;

use crate::error::{Error, Result};
use crate::recipe::schema::json_schema;
use crate::report::printer;

pub fn schema() -> Result<()> {
    let text = serde_json::to_string_pretty(&json_schema()).map_err(|error| Error::failure(format!("cannot print the schema: {error}")))?;
    printer::data(&text);
    Ok(())
}

#[derive(clap::Args)]
pub struct CompletionsArguments {
    shell: Shell,
}

pub fn completions(arguments: &CompletionsArguments, command: &mut clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, command, "surgcam", &mut text);
    printer::data(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

pub fn man(command: clap::Command) -> Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(|error| Error::failure(format!("cannot print the man page: {error}")))?;
    printer::data(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}
