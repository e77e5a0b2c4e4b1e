//! `surgcam bench empty-plan`.

use crate::cli::context::Context;
use crate::cli::{Overrides, WorkerOptions};
use crate::measuring::empty_stages::{self, Shape};
use crate::report::printer;
use surgcam_engine::error::Result;

#[derive(clap::Args)]
pub struct Arguments {
    /// How the stages depend on each other
    #[arg(long, default_value = "chain")]
    shape: Shape,
    /// How many stages there are
    #[arg(long, default_value_t = 1000)]
    stages: usize,
    #[command(flatten)]
    workers: WorkerOptions,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = Context::new(None, &Overrides::default(), &arguments.workers)?;
    let ran = empty_stages::run(
        &context.store()?,
        context.workers()?,
        context.jobs_or_one(),
        arguments.shape,
        arguments.stages,
    )?;
    printer::line(&format!(
        "{} stages, {} run, {:.3} s",
        arguments.stages,
        ran.executed,
        ran.time.as_secs_f64()
    ))
}
