//! `surgcam bench orchestrator`.

use crate::cli::context::Context;
use crate::measuring::orchestrator;
use crate::report::{printer, terminal_table};
use surgcam_engine::error::{Error, Result};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only these parts (repeatable); all if left out
    #[arg(long)]
    only: Vec<Part>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Runs that find every stage in the store
    NoOp,
    /// What the runner and the store add to a stage
    Overhead,
    /// Planning over a hundred thousand files
    Index,
    /// An extraction sweep against a single cell
    Sweep,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let wants = |part: Part| arguments.only.is_empty() || arguments.only.contains(&part);
    let mut figures = Vec::new();
    if wants(Part::NoOp) {
        figures.extend(orchestrator::no_op(1_000)?);
        figures.extend(orchestrator::no_op(10_000)?);
    }
    if wants(Part::Overhead) {
        let context = Context::plain()?;
        figures.push(orchestrator::overhead(context.workers()?, context.jobs_or_one(), 10_000)?);
    }
    if wants(Part::Index) {
        figures.extend(orchestrator::index(100_000)?);
    }
    if wants(Part::Sweep) {
        figures.extend(orchestrator::sweep()?);
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&figures)
            .map_err(|error| Error::failure(format!("cannot print the figures: {error}")))?;
        printer::lines(&text)
    } else {
        printer::lines(&terminal_table::draw(&orchestrator::table(&figures), printer::data_width()))
    }
}
