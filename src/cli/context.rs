//! What the commands share: the project, the store, an experiment and its plan.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Machine, Overrides};
use crate::error::{Error, Result};
use crate::pipeline::build::{self, Built, Goal};
use crate::pipeline::stages::MeasuredMachine;
use crate::plan::{Plan, status};
use crate::protocol::Hello;
use crate::recipe::experiment::{self, Experiment};
use crate::recipe::overrides::{self, Override};
use crate::recipe::settings::{self, Settings};
use crate::report::printer;
use crate::report::progress;
use crate::runner::interrupt::Interrupt;
use crate::runner::worker_process::{self, WorkerCommand};
use crate::runner::{self, Summary};
use crate::store::Store;

pub struct Context {
    pub project: PathBuf,
    pub settings: Settings,
    overrides: Vec<Override>,
}

/// An experiment with its plan.
pub struct Planned {
    pub experiment: Experiment,
    pub store: Store,
    pub built: Built,
    pub hello: Option<Hello>,
}

impl Context {
    /// `experiment`: its file or name, if the command has one.
    pub fn new(experiment: Option<&str>, given: &Overrides, machine: &Machine) -> Result<Self> {
        let project = settings::find_project(experiment.map(std::path::Path::new))?;
        let (mut settings, mut all) = settings::load(&project)?;
        for argument in &given.set {
            all.push(overrides::from_argument(argument)?);
        }
        if let Some(device) = &machine.device {
            settings.device = device.clone();
        }
        settings.jobs = machine.jobs.or(settings.jobs);
        settings.threads = machine.threads.or(settings.threads);
        Ok(Context { project, settings, overrides: all })
    }

    /// surgcam.toml, variables and `--set`, in rising order.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    pub fn store(&self) -> Result<Store> {
        let folder = self.settings.store.clone().unwrap_or_else(|| PathBuf::from(".surgcam/store"));
        Store::open(&self.project.join(folder))
    }

    pub fn results_folder(&self, experiment: &str) -> PathBuf {
        let folder = self.settings.results.clone().unwrap_or_else(|| PathBuf::from("results"));
        self.project.join(folder).join(experiment)
    }

    pub fn experiment(&self, name: &str) -> Result<Experiment> {
        Experiment::load(&self.project, &experiment::find(&self.project, name)?, &self.overrides)
    }

    /// The plan for the experiment's own tables.
    pub fn plan(&self, name: &str) -> Result<Planned> {
        let experiment = self.experiment(name)?;
        let goals = experiment.recipe.tables.iter().map(|&table| Goal::from(table)).collect();
        self.plan_for(experiment, &goals)
    }

    pub fn plan_for(&self, experiment: Experiment, goals: &BTreeSet<Goal>) -> Result<Planned> {
        let store = self.store()?;
        // Mistakes in recipes first: they must not wait for a device to say who it is.
        build::build(&experiment, &self.project, &store, goals, None)?;
        let hello = if goals.contains(&Goal::Extraction) {
            Some(worker_process::identity(&WorkerCommand::from_settings(&self.settings)?, &store).map_err(Error::as_usage)?)
        } else {
            None
        };
        let machine = hello.as_ref().map(measured_machine);
        let built = build::build(&experiment, &self.project, &store, goals, machine.as_ref())?;
        Ok(Planned { experiment, store, built, hello })
    }

    /// Runs whatever of a plan is not in the store.
    pub fn run(&self, plan: &Plan, store: &Store) -> Result<Summary> {
        let status = status::of(plan, store);
        let to_run = plan.stages.len() - status.cached();
        if to_run == 0 {
            printer::message(&format!("nothing to run: all {} stages are in the store", plan.stages.len()));
        } else {
            printer::message(&format!("{} stages: {} in the store, at most {to_run} to run", plan.stages.len(), status.cached()));
        }
        let command = WorkerCommand::from_settings(&self.settings)?;
        let interrupt = Interrupt::listen()?;
        let mut reporter = progress::for_stderr(to_run);
        let jobs = self.settings.jobs.unwrap_or(1);
        runner::run(plan, store, &command, jobs, &interrupt, &mut *reporter)
    }
}

pub fn measured_machine(hello: &Hello) -> MeasuredMachine {
    MeasuredMachine {
        host: hello.host.clone(),
        device: hello.device_name.clone(),
        threads: hello.threads,
        precision: "f32".into(),
        libtorch: hello.libtorch.clone(),
    }
}

/// How a run ended, as the command's outcome.
pub fn outcome(summary: &Summary, plan: &Plan, again: &str) -> Result<()> {
    if summary.interrupted {
        printer::message(&format!("interrupted; go on with: {again}"));
        return Err(Error::interrupted("interrupted"));
    }
    match summary.failed.first() {
        None => Ok(()),
        Some((id, error)) => {
            let others = summary.failed.len() - 1;
            let others = if others > 0 { format!(" ({others} more failed)") } else { String::new() };
            let mut failure = Error::failure(format!("{} failed: {}{others}", plan.stage(*id).name, error.what()));
            if let Some(place) = error.place() {
                failure = failure.at(place);
            }
            Err(match error.hint_text() {
                Some(hint) => failure.hint(hint),
                None => failure.hint("mend it and run the same command again; finished stages are kept"),
            })
        }
    }
}
