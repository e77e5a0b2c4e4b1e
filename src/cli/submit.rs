//! `surgcam run --executor slurm`: hands what is missing of an experiment to a cluster.

use std::fs;
use std::path::Path;

use super::ExperimentArguments;
use super::context::{Context, Planned};
use super::{execution, run};
use crate::cluster::cost::{Expected, cost, jobs_in_words};
use crate::cluster::identity::identities;
use crate::cluster::schedule::{Schedule, TABLES, ToSchedule, jobs_of, other_jobs};
use crate::cluster::script::RunOfJobs;
use crate::cluster::submission::{self, Submission, last_speed_device};
use crate::cluster::submit::{self, Elsewhere};
use crate::cluster::{answers::ClusterLimits, states};
use crate::report::printer;
use crate::report::table_files::FolderLock;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::Resource;
use surgcam_engine::quote::shortened;
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::runs::{Run, RunState, Scope};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_pipeline::goal::Goal;
use surgcam_pipeline::kinds::kind_names;
use surgcam_recipe::experiment_file;
use surgcam_recipe::slurm_settings::SlurmSettings;

pub fn execute(context: &Context, asked: &ExperimentArguments) -> Result<()> {
    let settings = &context.settings.executor.slurm;
    check_kinds(settings)?;
    let experiment = context.experiment(&asked.experiment)?;
    FolderLock::check(&context.results_folder(&experiment.name)).map_err(Error::as_usage)?;
    let store = context.store()?;
    // Two submissions at the same time would not see each other's jobs.
    let alone = submission::lock(&store, || {
        printer::message("waiting until another submission to this store is done");
    })?;
    // Asked before planning: what other runs' jobs have made since is in the store then.
    let elsewhere = Elsewhere::of(&store).map_err(Error::as_usage)?;
    let hello = last_speed_device(&store, &experiment.name);
    let mut planned = context.plan_on(experiment, hello)?;
    let has_speed = planned.experiment.recipe.speed
        && Goal::of(&planned.experiment).contains(&Goal::Extraction)
        && !is_speed_measured(&planned);
    if planned.known.to_run() == 0 && !has_speed {
        drop(alone);
        return run::run_here(context, &mut planned, true);
    }
    if has_speed && planned.hello.is_some() {
        // Speed is planned by the job that measures it, because only that one knows its machine.
        planned = context.plan_on(planned.experiment, None)?;
    }
    let limits = states::limits().map_err(Error::as_usage)?;
    warn_of_short_memory(limits);
    let identities = identities(&planned.built.plan);
    let (plan, known) = (&planned.built.plan, &planned.known);
    let earlier = EarlierRuns::of(&planned.store, &planned.experiment.name);
    let expected = Expected::of(plan, known, &planned.store, &earlier);
    let jobs = jobs_of(plan, known, &expected);
    printer::message(&format!("expected: {}", cost(plan, &jobs, other_jobs(has_speed), &expected)));
    let schedule = Schedule::of(&ToSchedule {
        plan,
        known,
        jobs: &jobs,
        identities: &identities,
        expected: &expected,
        settings,
        array: limits.array,
        partitions: &submit::partitions(),
        has_speed,
    });
    if let Some(run) = same_run(&planned, &schedule, &elsewhere) {
        printer::message(&format!(
            "the run {run} is making all of this already; see it with: surgcam attach {run}"
        ));
        return printer::line(&run);
    }
    hand_over(context, asked, &planned, schedule, &elsewhere)
}

/// Fails if the settings of the cluster name a kind that is neither a kind of stage nor `tables`.
fn check_kinds(settings: &SlurmSettings) -> Result<()> {
    let known = || kind_names().chain([TABLES]);
    match settings.kinds.keys().find(|kind| !known().any(|known| known == kind.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(Error::usage(format!(
            "the setting executor.slurm.kinds names the stage kind `{}`{}",
            shortened(unknown),
            did_you_mean(unknown, known())
        ))
        .hint(format!("the kinds are {}", known().collect::<Vec<_>>().join(", ")))),
    }
}

/// Whether the speed of the plan's device was measured completely. Without a device it was not.
fn is_speed_measured(planned: &Planned) -> bool {
    let plan = &planned.built.plan;
    let mut speed = plan.ids().filter(|id| plan.stage(*id).resource == Resource::Alone);
    planned.hello.is_some() && speed.all(|id| planned.known.is_made(id))
}

/// How long the queue should remember jobs that have ended, so that the causes of their ends can
/// still be found.
const ENOUGH_MEMORY_SECONDS: u64 = 120;

fn warn_of_short_memory(limits: &ClusterLimits) {
    if limits.has_accounts {
        return;
    }
    if let Some(seconds) = limits.memory_seconds.filter(|age| *age < ENOUGH_MEMORY_SECONDS) {
        printer::message(&format!(
            "warning: this cluster keeps no accounts and forgets a job {seconds} seconds after its \
             end (MinJobAge), so the cause of a failure may not be known later"
        ));
    }
}

/// A run of this experiment that is under way and makes everything that is missing.
fn same_run(planned: &Planned, schedule: &Schedule, elsewhere: &Elsewhere) -> Option<String> {
    let mut runs = elsewhere.runs.iter();
    let (run, _) = runs.find(|(_, experiment)| *experiment == planned.experiment.name)?;
    let stages = schedule.jobs.iter().flat_map(|job| &job.stages);
    elsewhere.makes_all(stages).then(|| run.clone())
}

/// Notes the run in the store and submits its jobs.
fn hand_over(
    context: &Context,
    asked: &ExperimentArguments,
    planned: &Planned,
    schedule: Schedule,
    elsewhere: &Elsewhere,
) -> Result<()> {
    let (store, id) = (&planned.store, context.start.id.as_str());
    let program = std::env::current_exe()
        .map_err(|error| Error::failure(format!("cannot find this program: {error}")))?;
    let here = std::env::current_dir()
        .map_err(|error| Error::failure(format!("cannot find the working folder: {error}")))?;
    let file = experiment_file::find(&context.project, &asked.experiment)?;
    let file = file.canonicalize().at_path("find the experiment", &file)?;
    let variables = variables_of_surgcam()?;
    let jobs = RunOfJobs {
        run: id,
        program: utf_8(&program)?,
        folder: utf_8(&here)?,
        variables: &variables,
        settings: &context.settings.executor.slurm,
    };
    let submission = Submission {
        format: submission::FORMAT,
        experiment: utf_8(&file)?.to_string(),
        folder: here.clone(),
        set: asked.overrides.set.clone(),
        device: asked.workers.device.clone(),
        slots: asked.workers.jobs,
        threads: asked.workers.threads,
        jobs: schedule.jobs.clone(),
    };
    let folder = store.run_folder(id);
    fs::create_dir_all(&folder).at_path("create the folder", &folder)?;
    submission::write(store, id, &submission)?;
    let plan = execution::write_plan(planned, &planned.known)?;
    let run = Run {
        state: RunState::Submitted,
        cached: planned.known.cached(),
        ..context.start.running(&planned.experiment.name, Scope::Whole, plan)
    };
    // From here on an interruption must not leave a part of the run's jobs behind.
    let interrupt = Interrupt::listen()?;
    store.write_run(&run)?;
    if let Err(error) = submit::submit(store, &jobs, &schedule, elsewhere, &interrupt) {
        let state = if interrupt.is_requested() { RunState::Interrupted } else { RunState::Failed };
        store.write_run(&Run { state, ..run })?;
        return Err(error);
    }
    printer::message(&format!(
        "submitted {} by {} calls of sbatch; see the run with: surgcam attach {id}",
        jobs_in_words(schedule.jobs_in_the_queue()),
        schedule.calls()
    ));
    printer::line(id)
}

/// The text of a path that goes into the store's notes and into scripts of jobs.
fn utf_8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::usage("this path is not valid UTF-8, and a job's script cannot contain it")
            .at_path(path)
    })
}

/// The environment variables that surgcam reads, with their values. The jobs get them, too.
fn variables_of_surgcam() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("SURGCAM_")) else {
            continue;
        };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match value.to_str().filter(|_| is_name) {
            Some(value) => found.push((name.to_string(), value.to_string())),
            None => {
                return Err(Error::usage(format!(
                    "the variable {} cannot be handed to jobs: its name has characters that a \
                     shell refuses, or its value is not UTF-8",
                    shortened(name)
                ))
                .hint("use --set or surgcam.toml instead"));
            }
        }
    }
    found.sort();
    Ok(found)
}
