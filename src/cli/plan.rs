//! `surgcam plan`.

use std::collections::BTreeSet;

use serde_json::json;

use super::ExperimentArguments;
use crate::cluster::cost::{Expected, cost};
use crate::cluster::schedule::{jobs_of, other_jobs};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::{Resource, StageId, status};
use surgcam_engine::store::earlier_runs::EarlierRuns;

#[derive(clap::Args)]
pub struct Arguments {
    /// Print the stages as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    let planned = context.plan(&arguments.asked.experiment)?;
    let plan = &planned.built.plan;
    let earlier = EarlierRuns::of(&planned.store, &planned.experiment.name);
    let statuses = status::explain(plan, &planned.known, &earlier);
    if arguments.json {
        let stages: Vec<serde_json::Value> = plan
            .ids()
            .map(|id| {
                let stage = plan.stage(id);
                let needs: BTreeSet<StageId> = plan.dependencies(id).collect();
                let needs: Vec<&str> =
                    needs.into_iter().map(|id| plan.stage(id).name.as_str()).collect();
                json!({
                    "stage": stage.name,
                    "kind": stage.kind,
                    "needs": needs,
                    "pass": stage.pass,
                    "state": statuses[id.0],
                })
            })
            .collect();
        let text = serde_json::to_string_pretty(&stages)
            .map_err(|error| Error::failure(format!("cannot print the plan: {error}")))?;
        return printer::lines(&text);
    }
    let width =
        plan.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0).min(70);
    for id in plan.ids() {
        printer::line(&format!("{:<width$}  {}", plan.stage(id).name, statuses[id.0]))?;
    }
    printer::line(&format!(
        "{} stages for {} cells: {} cached, at most {} to run",
        plan.stages.len(),
        planned.built.cells.len(),
        planned.known.cached(),
        planned.known.to_run()
    ))?;
    if planned.known.to_run() == 0 {
        return Ok(());
    }
    let expected = Expected::of(plan, &planned.known, &planned.store, &earlier);
    let jobs = jobs_of(plan, &planned.known, &expected);
    let measures_speed = plan
        .ids()
        .any(|id| plan.stage(id).resource == Resource::Alone && !planned.known.is_made(id));
    let others = other_jobs(measures_speed);
    printer::line(&format!("expected: {}", cost(plan, &jobs, others, &expected)))
}
