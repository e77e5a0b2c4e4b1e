//! `surgcam schema`: what editors need to know of recipes.

use std::path::{Path, PathBuf};

use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::regular_file;
use surgcam_engine::store::file::write_atomically;
use surgcam_recipe::reference;
use surgcam_recipe::schema::json_schema;

/// The most bytes that a document with tables of keys may have.
const LARGEST_DOCUMENT: u64 = 1 << 20;

#[derive(clap::Args)]
pub struct Arguments {
    /// Update the tables of keys in this Markdown document, as `make recipe-reference` does
    #[arg(long, value_name = "FILE", hide = true)]
    markdown: Option<PathBuf>,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    if let Some(document) = &arguments.markdown {
        return write_key_tables(document);
    }
    let text = serde_json::to_string_pretty(&json_schema())
        .map_err(|error| Error::failure(format!("cannot print the schema: {error}")))?;
    printer::lines(&text)
}

fn write_key_tables(document: &Path) -> Result<()> {
    let text = regular_file::read_to_string(document, LARGEST_DOCUMENT).map_err(Error::as_usage)?;
    let made = reference::rewritten(&text).map_err(|error| error.at_path(document))?;
    write_atomically(document, made.as_bytes())
}
