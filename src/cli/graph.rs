//! `surgcam graph`.

use std::path::PathBuf;

use clap::ValueEnum;

use super::ExperimentArguments;
use crate::error::Result;
use crate::plan::{drawing, status};
use crate::report::printer;
use crate::store::memory::Memory;
use crate::store::write_atomically;

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
    Svg,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// mermaid and dot are for other programs; svg is a picture
    #[arg(long, default_value = "mermaid")]
    format: Format,
    /// The file to write; printed if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    let planned = context.plan(&arguments.asked.experiment)?;
    let plan = &planned.built.plan;
    let statuses = status::explain(plan, &planned.known, &Memory::of(&planned.store, &planned.experiment.name));
    let text = match arguments.format {
        Format::Mermaid => drawing::mermaid(plan, &statuses),
        Format::Dot => drawing::dot(plan, &statuses),
        Format::Svg => drawing::svg(plan, &statuses),
    };
    match &arguments.out {
        Some(path) => {
            write_atomically(path, text.as_bytes())?;
            printer::message(&format!("{} stages in {}", plan.stages.len(), path.display()));
        }
        None => printer::data(text.trim_end()),
    }
    Ok(())
}
