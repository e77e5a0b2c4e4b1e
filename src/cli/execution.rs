//! Runs a plan for a command, with progress on the terminal, a journal, and a run in the store.

use std::num::NonZeroUsize;
use std::path::Path;

use super::context::{Context, Planned, measured_machine};
use crate::report::event_lines::EventLines;
use crate::report::live_tables::LiveTables;
use crate::report::progress::{Slots, TimeLeft};
use crate::report::run_record;
use crate::report::table_files::TableSource;
use crate::report::{printer, progress};
use surgcam_engine::error::Result;
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::choice::Choice;
use surgcam_engine::runner::events::{Reporter, Together};
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::journal::Journal;
use surgcam_engine::runner::worker_command::cores;
use surgcam_engine::runner::worker_process::LogFolder;
use surgcam_engine::runner::{self, Options, Summary};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::runs::{Run, Scope};

/// A run that has ended.
pub struct Execution {
    pub summary: Summary,
    pub run: Run,
}

/// How a plan is run for a command.
pub struct Manner<'a> {
    /// Whether the plan covers the whole experiment.
    pub scope: Scope,
    /// Whether stages that do not depend on a failed one are still made.
    pub keep_going: bool,
    /// The folder for tables of the results so far.
    pub live_tables: Option<&'a Path>,
    /// The stages to make, if not all are to be made.
    pub only: Option<&'a Choice>,
    /// Where events are printed for programs.
    pub event_lines: Option<&'a EventLines>,
}

impl Manner<'_> {
    /// For the stages that a picture or an export needs.
    pub const PART: Manner<'static> = Manner {
        scope: Scope::Part,
        keep_going: true,
        live_tables: None,
        only: None,
        event_lines: None,
    };

    /// The stages that are asked for.
    fn asked(&self, plan: &Plan) -> Vec<StageId> {
        plan.ids().filter(|id| self.only.is_none_or(|only| only.has(*id))).collect()
    }

    /// At most this many stages will run.
    fn to_run(&self, known: &Known) -> usize {
        self.only.map_or_else(|| known.to_run(), |only| only.to_run(known))
    }
}

/// Runs the stages of the plan that are not in the store.
pub fn execute(context: &Context, planned: &mut Planned, manner: &Manner) -> Result<Execution> {
    let start = &context.start;
    let known = std::mem::take(&mut planned.known);
    let asked = manner.asked(&planned.built.plan);
    let to_run = manner.to_run(&known);
    announce(planned, asked.len(), to_run);
    let summary = if to_run == 0 {
        Summary { cached: asked, known, ..Summary::default() }
    } else {
        run(context, planned, known, manner)?
    };
    let run = start.ended(
        &planned.experiment.name,
        manner.scope,
        write_plan(planned, &summary.known)?,
        &planned.built,
        &summary,
    );
    planned.store.write_run(&run)?;
    Ok(Execution { summary, run })
}

/// Makes chosen stages for a job of a submitted run. Its events and its workers' logs go to the run
/// of this name, which has no file of its own.
pub fn make_for_job(
    context: &Context,
    planned: &mut Planned,
    only: &Choice,
    id: &str,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let known = std::mem::take(&mut planned.known);
    let remembered = remembered(planned, &known);
    let devices = context.workers()?;
    let jobs = context.settings.jobs.map_or_else(usual_jobs, NonZeroUsize::get);
    let open_run = planned.store.open_run(id)?;
    let chosen = planned.built.plan.ids().filter(|id| only.has(*id));
    let slots = Slots { devices: devices.len(), jobs };
    let mut progress = progress::for_stderr(time_left(planned, &known, chosen, &remembered, slots));
    let estimates = filled(remembered);
    let mut journal = Journal::new(&open_run.folder);
    let reporters: Vec<&mut dyn Reporter> = vec![&mut *progress, &mut journal];
    let options = Options {
        jobs,
        estimate: &|id| estimates[id.0],
        only: Some(only),
        ..Options::local(devices, LogFolder::Kept(&open_run.folder))
    };
    let (plan, store) = (&planned.built.plan, &planned.store);
    runner::run(plan, known, store, &options, interrupt, &mut Together(reporters))
}

/// Keeps the plan in the store's history.
pub fn write_plan(planned: &Planned, known: &Known) -> Result<Digest> {
    let Planned { experiment, store, built, .. } = planned;
    let digest = run_record::plan_digest(experiment, built, known)?;
    store.write_plan(digest, || run_record::snapshot(experiment, built, known))
}

fn announce(planned: &Planned, asked: usize, to_run: usize) {
    let (cells, stages) = (planned.built.cells.len(), planned.built.plan.stages.len());
    let cells = if cells > 1 { format!("{cells} cells, ") } else { String::new() };
    let of_all = if asked < stages { format!(" of {stages}") } else { String::new() };
    printer::message(&if to_run == 0 {
        format!("nothing to run: all {asked} stages are in the store")
    } else {
        format!(
            "{cells}{asked}{of_all} stages: {} in the store, at most {to_run} to run",
            asked - to_run
        )
    });
}

fn run(context: &Context, planned: &Planned, known: Known, manner: &Manner) -> Result<Summary> {
    let Planned { experiment, store, built, hello, .. } = planned;
    let devices = context.workers()?;
    let remembered = remembered(planned, &known);
    let jobs = context.settings.jobs.map_or_else(usual_jobs, NonZeroUsize::get);
    let interrupt = Interrupt::listen()?;
    let open_run = store.open_run(&context.start.id)?;
    store.write_run(&context.start.running(
        &experiment.name,
        manner.scope,
        write_plan(planned, &known)?,
    ))?;
    let asked = manner.asked(&built.plan).into_iter();
    let slots = Slots { devices: devices.len(), jobs };
    let mut progress = progress::for_stderr(time_left(planned, &known, asked, &remembered, slots));
    let estimates = filled(remembered);
    let mut journal = Journal::new(&open_run.folder);
    let mut tables = manner.live_tables.map(|folder| {
        let machine = hello.as_ref().map(measured_machine);
        LiveTables::new(TableSource { experiment, built, store, machine, folder })
    });
    let mut event_lines = manner.event_lines;
    let mut reporters: Vec<&mut dyn Reporter> = vec![&mut *progress, &mut journal];
    reporters.extend(tables.as_mut().map(|tables| tables as &mut dyn Reporter));
    reporters.extend(event_lines.as_mut().map(|lines| lines as &mut dyn Reporter));
    let options = Options {
        jobs,
        keep_going: manner.keep_going,
        estimate: &|id| estimates[id.0],
        only: manner.only,
        ..Options::local(devices, LogFolder::Kept(&open_run.folder))
    };
    runner::run(&built.plan, known, store, &options, &interrupt, &mut Together(reporters))
}

/// By default there is a slot for each core, but at most this many, because each has a worker of
/// some hundred megabytes.
pub const MOST_USUAL_JOBS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

fn usual_jobs() -> usize {
    cores().min(MOST_USUAL_JOBS.get())
}

/// The seconds that each stage took the last time, if it is not made and ever ran.
fn remembered(planned: &Planned, known: &Known) -> Vec<Option<f64>> {
    let plan = &planned.built.plan;
    let earlier = EarlierRuns::of(&planned.store, &planned.experiment.name);
    let last = |id: StageId| {
        (!known.is_made(id))
            .then(|| earlier.last_made(&plan.stage(id).name))
            .flatten()
            .map(|record| record.seconds)
    };
    plan.ids().map(last).collect()
}

/// What is left of these stages.
fn time_left(
    planned: &Planned,
    known: &Known,
    stages: impl Iterator<Item = StageId>,
    remembered: &[Option<f64>],
    slots: Slots,
) -> TimeLeft {
    let open = stages.filter(|id| !known.is_made(*id)).map(|id| (id, remembered[id.0]));
    TimeLeft::new(&planned.built.plan, open, Some(slots))
}

/// A stage that never ran counts as the average of those that did.
fn filled(remembered: Vec<Option<f64>>) -> Vec<f64> {
    let known: Vec<f64> = remembered.iter().flatten().copied().collect();
    let average =
        if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
    remembered.into_iter().map(|seconds| seconds.unwrap_or(average)).collect()
}
