//! Runs a plan for a command, with progress on the terminal, a journal, and a run in the store.

use std::num::NonZeroUsize;
use std::path::Path;

use super::context::{Context, Planned};
use crate::report::event_lines::EventLines;
use crate::report::live_tables::LiveTables;
use crate::report::progress::{Slots, TimeLeft};
use crate::report::run_record;
use crate::report::{printer, progress};
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::runner::choice::Choice;
use surgcam_engine::runner::events::{Reporter, Together};
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::journal::Journal;
use surgcam_engine::runner::worker_command::{WorkerCommand, cores};
use surgcam_engine::runner::worker_process::LogFolder;
use surgcam_engine::runner::{self, Options, Summary};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::runs::{OpenRun, Run, Scope};

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

    /// The stages that are to be in the store at the end.
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

/// Makes chosen stages for a job of a submitted run. `id` names the job's folder, which gets its
/// events and its workers' logs, but no file that describes a run.
pub fn make_for_job(
    context: &Context,
    planned: &mut Planned,
    only: &Choice,
    id: &str,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let known = std::mem::take(&mut planned.known);
    let prepared = Prepared::of(context, planned, &known)?;
    let open_run = planned.store.open_run(id)?;
    let manner = Manner { only: Some(only), ..Manner::PART };
    make(planned, known, prepared, &manner, &open_run, interrupt)
}

/// Keeps the plan in the store's history.
pub fn write_plan(planned: &Planned, known: &Known) -> Result<Digest> {
    let Planned { experiment, store, built, .. } = planned;
    let digest = run_record::plan_digest(experiment, built, known)?;
    store.write_plan(digest, || {
        let snapshot = run_record::plan_snapshot(experiment, built, known)?;
        serde_json::to_vec(&snapshot).at_path("write the plan of", &experiment.path)
    })
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
    let Planned { experiment, store, .. } = planned;
    let prepared = Prepared::of(context, planned, &known)?;
    let interrupt = Interrupt::listen()?;
    let open_run = store.open_run(&context.start.id)?;
    store.write_run(&context.start.running(
        &experiment.name,
        manner.scope,
        write_plan(planned, &known)?,
    ))?;
    make(planned, known, prepared, manner, &open_run, &interrupt)
}

/// What a run needs to know before it is noted in the store.
struct Prepared {
    devices: Vec<WorkerCommand>,
    /// How many stages that need no device are made at once.
    jobs: usize,
    /// What [`remembered`] gives for each stage.
    remembered: Vec<Option<f64>>,
}

impl Prepared {
    fn of(context: &Context, planned: &Planned, known: &Known) -> Result<Self> {
        Ok(Prepared {
            devices: context.workers()?,
            jobs: context.settings.jobs.map_or_else(usual_jobs, NonZeroUsize::get),
            remembered: remembered(planned, known),
        })
    }
}

/// Makes stages of the plan, and tells of them on the terminal and in the journal of the run.
fn make(
    planned: &Planned,
    known: Known,
    prepared: Prepared,
    manner: &Manner,
    open_run: &OpenRun,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let (plan, Prepared { devices, jobs, remembered }) = (&planned.built.plan, prepared);
    let asked = manner.asked(plan).into_iter();
    let slots = Slots { devices: devices.len(), jobs };
    let mut progress = progress::for_stderr(time_left(planned, &known, asked, &remembered, slots));
    let estimates = filled(remembered);
    let mut journal = Journal::new(&open_run.folder);
    let mut tables = manner.live_tables.map(|folder| LiveTables::new(planned.table_source(folder)));
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
    runner::run(plan, known, &planned.store, &options, interrupt, &mut Together(reporters))
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

/// The progress display's estimate of the time that these stages still take.
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
