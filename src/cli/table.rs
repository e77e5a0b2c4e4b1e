//! `surgcam table`.

use super::context::{Context, measured_machine};
use super::{Machine, Overrides};
use crate::error::Result;
use crate::plan::status;
use crate::report::results::Results;
use crate::report::{printer, render, tables};

#[derive(clap::Args)]
pub struct Arguments {
    /// The experiment: a file, or the name of one in experiments/
    experiment: String,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = Context::new(Some(&arguments.experiment), &arguments.overrides, &arguments.machine)?;
    let planned = context.plan(&arguments.experiment)?;
    let results = Results::of(&planned.built, &planned.store);
    let machine = planned.hello.as_ref().map(measured_machine);
    for table in tables::all(&planned.experiment, &planned.built, &results, machine.as_ref())? {
        printer::data(&render::terminal(&table, printer::data_width()));
    }
    let plan = &planned.built.plan;
    let missing = plan.stages.len() - status::of(plan, &planned.store).cached();
    if missing > 0 {
        printer::message(&format!(
            "{missing} of {} stages are not in the store yet; what they would give is shown as `-` (surgcam run {})",
            plan.stages.len(),
            arguments.experiment
        ));
    }
    Ok(())
}
