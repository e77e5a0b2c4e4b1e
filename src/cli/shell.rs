//! `surgcam schema`, `surgcam completions`, `surgcam man`: what editors and shells want to know.

use std::path::{Path, PathBuf};

use clap_complete::Shell;

use crate::report::printer;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::regular_file;
use surgcam_engine::store::file::write_atomically;
use surgcam_recipe::reference;
use surgcam_recipe::schema::json_schema;

/// The most bytes that a document with tables of keys may have.
const LARGEST_DOCUMENT: u64 = 1 << 20;

#[derive(clap::Args)]
pub struct SchemaArguments {
    /// Make the tables of keys in this Markdown document again, as `make recipe-reference` does
    #[arg(long, value_name = "FILE", hide = true)]
    markdown: Option<PathBuf>,
}

pub fn schema(arguments: &SchemaArguments) -> Result<()> {
    if let Some(document) = &arguments.markdown {
        return write_key_tables(document);
    }
    let text = serde_json::to_string_pretty(&json_schema()).map_err(|error| Error::failure(format!("cannot print the schema: {error}")))?;
    printer::lines(&text)
}

fn write_key_tables(document: &Path) -> Result<()> {
    let text = regular_file::read_to_string(document, LARGEST_DOCUMENT).map_err(Error::as_usage)?;
    let made = reference::rewritten(&text).map_err(|error| error.at_path(document))?;
    write_atomically(document, made.as_bytes())
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
