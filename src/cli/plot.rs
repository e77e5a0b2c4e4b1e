//! `surgcam plot`.

use std::path::PathBuf;

use super::ExperimentArguments;
use crate::report::drawing::Format;
use crate::report::figures::{Figure, FigureKind};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::write_atomically;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    asked: ExperimentArguments,
    /// The figure
    kind: FigureKind,
    /// The format; by default that of the file's extension, or svg if it has none
    #[arg(long)]
    format: Option<Format>,
    /// The file to write; results/NAME/figures/KIND.FORMAT if left out
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let Arguments { asked, kind, output, .. } = arguments;
    let format = match (arguments.format, output) {
        (Some(format), _) => format,
        (None, Some(path)) => Format::of_path(path, Format::Svg)?,
        (None, None) => Format::Svg,
    };
    let context = asked.context()?;
    let planned = context.plan(&asked.experiment)?;
    let folder = context.results_folder(&planned.experiment.name);
    let figures = planned.page_source(&folder)?.figures()?;
    let figure = figures
        .iter()
        .find(|figure| figure.kind == *kind)
        .ok_or_else(|| missing(*kind, &figures))?;
    let path = output.clone().unwrap_or_else(|| {
        folder.join("figures").join(format!("{}.{}", kind.name(), format.extension()))
    });
    write_atomically(&path, &figure.file(format)?)?;
    printer::message(&figure.caption);
    printer::line(&path.display().to_string())
}

fn missing(kind: FigureKind, figures: &[Figure]) -> Error {
    let names: Vec<&str> = figures.iter().map(|figure| figure.kind.name()).collect();
    let hint = if names.is_empty() {
        "nothing that a figure could show is in the store yet: run the experiment first".into()
    } else {
        format!("the experiment has these figures: {}", names.join(", "))
    };
    Error::usage(format!("there is no figure `{}`: it needs {}", kind.name(), kind.needs()))
        .hint(hint)
}
