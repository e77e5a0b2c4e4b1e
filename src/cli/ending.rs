//! The end of a run that was handed to a cluster: its last job writes the tables and the history.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::context::{Planned, failure_of};
use super::execution::{self, Execution};
use super::job::{LOOK, SIGHT};
use super::opened_run::OpenedRun;
use super::run;
use crate::cluster::absence::{Journals, Submitted, journals};
use crate::cluster::identity::identities;
use crate::cluster::states;
use crate::cluster::submission::{self, speed_device};
use crate::report::printer;
use crate::report::run_record::RunStart;
use surgcam_engine::error::Result;
use surgcam_engine::plan::kind::StageKind;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::{Executed, Summary};
use surgcam_engine::store::Store;
use surgcam_engine::store::record::PeakMemory;
use surgcam_engine::store::runs::{FailedStage, Run, RunState, Scope};
use surgcam_pipeline::kinds::MeasureStage;

/// Ends the run: its tables and its report, and its entry in the history.
pub fn end_run(opened: &OpenedRun) -> Result<()> {
    let OpenedRun { store, run, submission, .. } = opened;
    let mut planned = opened.plan(opened.speed_device())?;
    let batches = submission::batches(store, &run.id)?;
    let journals = journals(store, &run.id, submission)?;
    let known = known_with_all_noted(&mut planned, store, &journals)?;
    // If Slurm does not answer, only what the jobs noted is used.
    let statuses = states::of_run(&run.id, &batches).unwrap_or_default();
    let plan = &planned.built.plan;
    let submitted = Submitted {
        store,
        run: &run.id,
        submission,
        batches: &batches,
        journals: &journals,
        statuses: &statuses,
    };
    let no_speed = match speed_device(store, &run.id) {
        Some(_) => None,
        None => submitted.no_speed(),
    };
    let absent = submitted.absent(plan, &known, &identities(plan));
    let (executed, cached) = executed_and_cached(plan, &known, &journals);
    let summary = Summary {
        executed,
        cached,
        failed: absent.failed,
        blocked: absent.blocked,
        interrupted: false,
        known,
    };
    let digest = execution::write_plan(&planned, &summary.known)?;
    let ended =
        RunStart::of(run).ended(&run.experiment, Scope::Whole, digest, &planned.built, &summary);
    // The command and the machine are those of the person who submitted the run.
    let mut ended = Run { command: run.command.clone(), host: run.host.clone(), ..ended };
    if let Some(error) = no_speed {
        ended.state = RunState::Failed;
        let stage = MeasureStage::NAME.to_string();
        ended.failed.push(FailedStage { stage, problem: error.to_string(), blocked: false });
    }
    let execution = Execution { summary, run: ended };
    let folder = opened.context.results_folder(&run.experiment);
    run::write_results(&planned, &execution, &folder)?;
    store.write_run(&execution.run)?;
    printer::message(&format!("tables, report.html and run.json are in {}", folder.display()));
    failure_of(&execution.summary, &planned.built.plan).map_or(Ok(()), Err)
}

/// Which stages are in the store. If one is absent that a job noted as finished, this looks again
/// for a while, because a network file system may show its record late.
fn known_with_all_noted(
    planned: &mut Planned,
    store: &Store,
    journals: &Journals,
) -> Result<Known> {
    let plan = &planned.built.plan;
    let noted: HashSet<&str> = journals
        .iter()
        .flatten()
        .filter(|entry| entry.event == "finished")
        .map(|entry| entry.stage.as_str())
        .collect();
    let mut known = std::mem::take(&mut planned.known);
    let begun = Instant::now();
    loop {
        let is_late =
            |id: &StageId| !known.is_made(*id) && noted.contains(plan.stage(*id).name.as_str());
        if begun.elapsed() > SIGHT || !plan.ids().any(|id| is_late(&id)) {
            return Ok(known);
        }
        std::thread::sleep(LOOK);
        known = Known::of(plan, store)?;
    }
}

/// The stages that are made: those that jobs of the run noted as finished, and the others.
fn executed_and_cached(
    plan: &Plan,
    known: &Known,
    journals: &Journals,
) -> (Vec<Executed>, Vec<StageId>) {
    let finished: HashMap<&str, f64> = journals
        .iter()
        .flatten()
        .filter(|entry| entry.event == "finished")
        .filter_map(|entry| Some((entry.stage.as_str(), entry.seconds?)))
        .collect();
    let (mut executed, mut cached) = (Vec::new(), Vec::new());
    for id in plan.ids().filter(|id| known.is_made(*id)) {
        match (finished.get(plan.stage(id).name.as_str()), known.key(id)) {
            (Some(&seconds), Some(key)) => {
                executed.push(Executed { id, key, seconds, peak_memory: PeakMemory::default() })
            }
            _ => cached.push(id),
        }
    }
    (executed, cached)
}
