//! `surgcam bench`: one file for each subcommand. The measuring itself is in [`crate::measuring`].

mod empty_plan;
mod orchestrator;
mod strategies;

use surgcam_engine::error::Result;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Time each step from picture file to features in the three modes, and a training step
    Strategies(strategies::Arguments),
    /// Time runs with nothing to do, empty stages, a sweep against a single cell, and many files
    Orchestrator(orchestrator::Arguments),
    /// Run a plan of empty stages, whose time is that of the runner and the store alone
    EmptyPlan(empty_plan::Arguments),
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Strategies(arguments) => strategies::execute(arguments),
        What::Orchestrator(arguments) => orchestrator::execute(arguments),
        What::EmptyPlan(arguments) => empty_plan::execute(arguments),
    }
}
