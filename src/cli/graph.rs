//! `surgcam graph`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::ExperimentArguments;
use crate::report::printer;
use surgcam_engine::error::Result;
use surgcam_engine::plan::{drawing, status};
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::write_atomically;

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Text for documents that draw it, such as Markdown on GitHub
    Mermaid,
    /// Text for Graphviz
    Dot,
    /// A picture
    Svg,
}

impl Format {
    fn by_name(path: Option<&Path>) -> Self {
        let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
        match extension {
            Some("svg") => Format::Svg,
            Some("dot" | "gv") => Format::Dot,
            _ => Format::Mermaid,
        }
    }
}

#[derive(clap::Args)]
pub struct Arguments {
    /// The format; by default that of the file's extension, or mermaid
    #[arg(long)]
    format: Option<Format>,
    /// The file to write; printed to stdout if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    let planned = context.plan(&arguments.asked.experiment)?;
    let plan = &planned.built.plan;
    let statuses = status::explain(
        plan,
        &planned.known,
        &EarlierRuns::of(&planned.store, &planned.experiment.name),
    );
    let text = match arguments.format.unwrap_or_else(|| Format::by_name(arguments.out.as_deref())) {
        Format::Mermaid => drawing::mermaid(plan, &statuses),
        Format::Dot => drawing::dot(plan, &statuses),
        Format::Svg => drawing::svg(plan, &statuses),
    };
    match &arguments.out {
        Some(path) => {
            write_atomically(path, text.as_bytes())?;
            printer::message(&format!("{} stages in {}", plan.stages.len(), path.display()));
            Ok(())
        }
        None => printer::lines(text.trim_end()),
    }
}
