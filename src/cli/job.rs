//! `surgcam job`: what a job of a cluster does. Jobs' scripts call it; people need not.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::context::{Context, Planned, failure_of};
use super::execution::MOST_USUAL_JOBS;
use super::opened_run::OpenedRun;
use super::{ending, execution};
use crate::cluster::answers;
use crate::cluster::identity::identities;
use crate::cluster::programs::expect;
use crate::cluster::submission::{Role, SubmittedJob, run_of_job, write_speed_device};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, Resource, StageId};
use surgcam_engine::quote::shortened;
use surgcam_engine::runner::choice::Choice;
use surgcam_engine::runner::events::{Event, Reporter};
use surgcam_engine::runner::identity;
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::journal::Journal;
use surgcam_engine::store::digest::Digest;

#[derive(clap::Args)]
pub struct Arguments {
    /// The run that the job belongs to
    run: String,
    /// The number of the job in its run
    number: usize,
    /// Another job goes on with what this one does not finish
    #[arg(long)]
    followed: bool,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let mut opened = OpenedRun::open(&arguments.run)?;
    use_what_slurm_gave(&mut opened.context);
    let job = opened.job(arguments.number)?;
    // From here on, a signal only stops stages that run. A job that is still planning notices it
    // afterwards.
    let interrupt = Interrupt::listen()?;
    match job.role {
        Role::Stages => {
            let mut planned = opened.plan(None)?;
            let stages = stages_of(&opened.run.id, job, &planned.built.plan)?;
            make(&opened, &mut planned, stages, arguments, &interrupt)
        }
        Role::Speed => {
            let command = &opened.context.workers()?[0];
            let hello = identity::of(command, &opened.store)?;
            write_speed_device(&opened.store, &opened.run.id, &hello)?;
            let mut planned = opened.plan(Some(hello))?;
            let plan = &planned.built.plan;
            let is_speed = |id: &StageId| plan.stage(*id).resource == Resource::Alone;
            let stages = plan.ids().filter(is_speed).collect();
            make(&opened, &mut planned, stages, arguments, &interrupt)
        }
        Role::Tables => ending::end_run(&opened),
    }
}

/// A job uses as many cores as it asked for, even if it can see all cores of its machine. Slurm
/// sets the first of the two variables only for jobs that asked for a number of cores.
fn use_what_slurm_gave(context: &mut Context) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<NonZeroUsize>().ok();
    let cores = number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE"));
    let settings = &mut context.settings;
    settings.threads = settings.threads.or(cores);
    settings.jobs = settings.jobs.or(cores.map(|cores| cores.min(MOST_USUAL_JOBS)));
}

/// The stages of the plan that the job is to make.
fn stages_of(run: &str, job: &SubmittedJob, plan: &Plan) -> Result<BTreeSet<StageId>> {
    let by_identity: HashMap<Digest, StageId> = identities(plan)
        .into_iter()
        .enumerate()
        .map(|(id, digest)| (digest, StageId(id)))
        .collect();
    let found: Option<BTreeSet<StageId>> =
        job.stages.iter().map(|stage| by_identity.get(stage).copied()).collect();
    found.ok_or_else(|| {
        Error::failure(format!(
            "the recipes or the data have changed since the run {run} was submitted"
        ))
        .hint("submit the experiment again; finished stages are kept")
    })
}

/// Makes those of the job's stages that can be made. The others are an error afterwards.
fn make(
    opened: &OpenedRun,
    planned: &mut Planned,
    stages: BTreeSet<StageId>,
    arguments: &Arguments,
    interrupt: &Interrupt,
) -> Result<()> {
    let (possible, impossible) = wait_for_inputs(opened, planned, &stages, interrupt)?;
    let choice = Choice::new(&planned.built.plan, &planned.known, possible)?;
    let to_run = choice.to_run(&planned.known);
    printer::message(&format!("job {}: {to_run} stages to make", arguments.number));
    if to_run > 0 {
        let id = run_of_job(&opened.run.id, arguments.number);
        let summary = execution::make_for_job(&opened.context, planned, &choice, &id, interrupt)?;
        if summary.interrupted {
            let job = opened.job(arguments.number)?;
            if interrupt.is_out_of_time() && !arguments.followed && !put_back(job.requeues) {
                note_end_of_time(opened, planned, &choice, &summary.known, &id, &job.kind);
            }
            return Err(Error::interrupted("interrupted"));
        }
        if let Some(failure) = failure_of(&summary, &planned.built.plan) {
            return Err(failure);
        }
    }
    match impossible.first() {
        None => Ok(()),
        Some(first) => Err(Error::failure(format!(
            "{} stages need others that are not in the store; the first is {}",
            impossible.len(),
            planned.built.plan.stage(*first).name
        ))
        .hint(format!("`surgcam attach {}` says why they are absent", opened.run.id))),
    }
}

/// How long a node may take to see what another one has written. Network file systems remember for
/// seconds that a file was not there.
pub const SIGHT: Duration = Duration::from_secs(30);
/// How long to wait between two looks in this time.
pub const LOOK: Duration = Duration::from_secs(5);

/// The stages that can be made, and those that cannot.
type Possible = (BTreeSet<StageId>, Vec<StageId>);

/// Which stages can be made. If something is absent that they need, this looks again for a while.
fn wait_for_inputs(
    opened: &OpenedRun,
    planned: &mut Planned,
    stages: &BTreeSet<StageId>,
    interrupt: &Interrupt,
) -> Result<Possible> {
    let begun = Instant::now();
    loop {
        let found = possible(&planned.built.plan, &planned.known, stages);
        if found.1.is_empty() || begun.elapsed() > SIGHT || interrupt.is_requested() {
            return Ok(found);
        }
        std::thread::sleep(LOOK);
        planned.known = Known::of(&planned.built.plan, &opened.store)?;
    }
}

/// The stages that can be made: what each needs is in the store or can be made with it. The others
/// are the second list.
fn possible(plan: &Plan, known: &Known, stages: &BTreeSet<StageId>) -> Possible {
    let (mut possible, mut impossible) = (BTreeSet::new(), Vec::new());
    // Stages come after those that they need.
    for &id in stages {
        let has_all =
            plan.dependencies(id).all(|needed| known.is_made(needed) || possible.contains(&needed));
        if known.is_made(id) || has_all {
            possible.insert(id);
        } else {
            impossible.push(id);
        }
    }
    (possible, impossible)
}

/// How long Slurm may take to end a job that is put back into the queue.
const PATIENCE: Duration = Duration::from_secs(120);

/// Puts this job back into the queue, unless it has been there too often, and tells whether that
/// was done.
fn put_back(most: u32) -> bool {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let restarts: u32 = variable("SLURM_RESTART_COUNT").parse().unwrap_or(0);
    let job = name_of_job(variable);
    if restarts >= most {
        printer::message(&format!(
            "the time of this job is over, and it was put back into the queue {restarts} times \
             before: raise `time`, `requeues` or the retries of the stage"
        ));
        return false;
    }
    if !answers::is_job(&job) {
        printer::message(&format!("SLURM_JOB_ID is not a job: `{}`", shortened(job)));
        return false;
    }
    printer::message("the time of this job is over; it goes back into the queue and will go on");
    match expect("scontrol", &["requeue".into(), job]) {
        Ok(_) => {
            // Slurm ends this process.
            std::thread::sleep(PATIENCE);
            true
        }
        Err(error) => {
            printer::error(&error);
            false
        }
    }
}

/// Slurm's name of this job. In an array, one of the tasks has the number of the whole array, and
/// this number alone would mean all tasks.
fn name_of_job(variable: impl Fn(&str) -> String) -> String {
    let (array, task) = (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID"));
    if array.is_empty() || task.is_empty() {
        variable("SLURM_JOB_ID")
    } else {
        format!("{array}_{task}")
    }
}

/// Notes why stages were not made, because Slurm would only know an exit code.
fn note_end_of_time(
    opened: &OpenedRun,
    planned: &Planned,
    choice: &Choice,
    known: &Known,
    id: &str,
    kind: &str,
) {
    let error = Error::failure("the time of its job was over before it was made").hint(format!(
        "raise `time` under [executor.slurm.kinds.{kind}] in surgcam.toml and submit the run again"
    ));
    let mut journal = Journal::new(&opened.store.run_folder(id));
    for id in choice.stages().filter(|id| !known.is_made(*id)) {
        journal.event(&planned.built.plan, &Event::Failed { id, error: error.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_an_array_is_not_taken_for_its_array() {
        let of_array = |name: &str| match name {
            "SLURM_JOB_ID" | "SLURM_ARRAY_JOB_ID" => "12".to_string(),
            "SLURM_ARRAY_TASK_ID" => "3".to_string(),
            _ => String::new(),
        };
        assert_eq!(name_of_job(of_array), "12_3");
        let alone = |name: &str| match name {
            "SLURM_JOB_ID" => "7".to_string(),
            _ => String::new(),
        };
        assert_eq!(name_of_job(alone), "7");
    }
}
