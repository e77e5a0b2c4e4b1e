//! `surgcam plan`.

use serde_json::json;

use super::context::Context;
use super::{Machine, Overrides};
use crate::error::{Error, Result};
use crate::plan::status::{self, Status};
use crate::report::printer;

#[derive(clap::Args)]
pub struct Arguments {
    /// The experiment: a file, or the name of one in experiments/
    experiment: String,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    machine: Machine,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = Context::new(Some(&arguments.experiment), &arguments.overrides, &arguments.machine)?;
    let planned = context.plan(&arguments.experiment)?;
    let plan = &planned.built.plan;
    let status = status::of(plan, &planned.store);
    if arguments.json {
        let stages: Vec<serde_json::Value> = plan
            .ids()
            .map(|id| {
                let needs: Vec<&str> = plan.dependencies(id).map(|id| plan.stage(id).name.as_str()).collect();
                json!({"stage": plan.stage(id).name, "kind": plan.stage(id).kind, "needs": needs, "state": status.stages[id.0]})
            })
            .collect();
        let text = serde_json::to_string_pretty(&stages).map_err(|error| Error::failure(format!("cannot print the plan: {error}")))?;
        printer::data(&text);
        return Ok(());
    }
    for id in plan.ids() {
        printer::data(&format!("{:<48} {}", plan.stage(id).name, in_words(&status.stages[id.0])));
    }
    let cached = status.cached();
    printer::data(&format!(
        "{} stages for {} cells: {cached} cached, at most {} to run",
        plan.stages.len(),
        planned.built.cells.len(),
        plan.stages.len() - cached
    ));
    Ok(())
}

fn in_words(status: &Status) -> String {
    match status {
        Status::Cached { .. } => "cached".into(),
        Status::WillRun { reason, .. } => format!("will run: {reason}"),
        Status::Waits { for_stage } => format!("waits for {for_stage}"),
    }
}
