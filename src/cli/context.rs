//! What commands share: the project, the store, an experiment and its plan.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::execution::Execution;
use super::{Overrides, WorkerOptions};
use crate::cluster::submission::speed_device_of_last_run;
use crate::report::page::PageSource;
use crate::report::printer;
use crate::report::run_record::{self, RunStart};
use crate::report::table_files::TableSource;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::machine;
use surgcam_engine::plan::Plan;
use surgcam_engine::plan::status::Known;
use surgcam_engine::protocol::Hello;
use surgcam_engine::runner::worker_command::{
    LibtorchChoice, WorkerCommand, WorkerSettings, check_devices,
};
use surgcam_engine::runner::{Summary, identity};
use surgcam_engine::store::file::walked;
use surgcam_engine::store::{FORMAT_FILE, Store};
use surgcam_pipeline::build;
use surgcam_pipeline::goal::Goal;
use surgcam_pipeline::planned::Built;
use surgcam_pipeline::settings::MeasuredMachine;
use surgcam_recipe::experiment::Experiment;
use surgcam_recipe::experiment_file;
use surgcam_recipe::overrides::{self, Override};
use surgcam_recipe::settings::{self, Settings};

pub struct Context {
    /// When the command began.
    pub start: RunStart,
    pub project: PathBuf,
    pub settings: Settings,
    overrides: Vec<Override>,
}

/// An experiment, its plan, and which of its stages the store has.
pub struct Planned {
    pub experiment: Experiment,
    pub store: Store,
    pub built: Built,
    pub known: Known,
    /// The device whose speed the plan measures. Without it there are no speed stages.
    pub hello: Option<Hello>,
}

impl Planned {
    /// What the experiment's tables are made from. `folder` is its results folder.
    pub fn table_source<'a>(&'a self, folder: &'a Path) -> TableSource<'a> {
        TableSource {
            experiment: &self.experiment,
            built: &self.built,
            store: &self.store,
            machine: self.hello.as_ref().map(measured_machine),
            folder,
        }
    }

    /// What the report is made from: the results that were in the store when this was planned.
    pub fn page_source<'a>(&'a self, folder: &'a Path) -> Result<PageSource<'a>> {
        Ok(PageSource {
            tables: self.table_source(folder),
            known: &self.known,
            hello: self.hello.as_ref(),
            plan: run_record::plan_digest(&self.experiment, &self.built, &self.known)?,
        })
    }
}

impl Context {
    /// `experiment` is its file or name, if the command has one.
    pub fn new(
        experiment: Option<&str>,
        given: &Overrides,
        workers: &WorkerOptions,
    ) -> Result<Self> {
        Context::in_project(settings::find_project(experiment.map(Path::new))?, given, workers)
    }

    fn in_project(project: PathBuf, given: &Overrides, workers: &WorkerOptions) -> Result<Self> {
        let start = RunStart::now();
        let (mut settings, mut all) = settings::load(&project)?;
        for argument in &given.set {
            all.push(overrides::from_argument(argument)?);
        }
        if let Some(device) = &workers.device {
            settings.device = device.clone();
        }
        check_devices(&settings.device)?;
        settings.jobs = workers.jobs.or(settings.jobs);
        settings.threads = workers.threads.or(settings.threads);
        Ok(Context { start, project, settings, overrides: all })
    }

    /// For commands that only need the project and its store.
    pub fn plain() -> Result<Self> {
        Context::new(None, &Overrides::default(), &WorkerOptions::default())
    }

    /// With a store in a temporary folder, for commands that leave nothing in the project's store.
    /// They need no project: outside of one, the settings are those of the working folder.
    pub fn with_temporary_store(folder: &Path, workers: &WorkerOptions) -> Result<Self> {
        let project = settings::find_project(None).unwrap_or_else(|_| PathBuf::from("."));
        let mut context = Context::in_project(project, &Overrides::default(), workers)?;
        context.settings.store = Some(folder.join("store"));
        context.settings.shared_store = None;
        Ok(context)
    }

    /// Slots for stages that need no device: as many as the user says, or one.
    pub fn jobs_or_one(&self) -> usize {
        self.settings.jobs.map_or(1, NonZeroUsize::get)
    }

    /// The overrides of surgcam.toml, of environment variables, and of `--set`, in this order.
    /// Later ones win.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    fn store_folder(&self) -> PathBuf {
        let folder = self.settings.store.clone().unwrap_or_else(|| PathBuf::from(".surgcam/store"));
        self.project.join(folder)
    }

    /// Whether the store is there already. [`Context::store`] makes it if it is not.
    pub fn has_store(&self) -> bool {
        self.store_folder().join(FORMAT_FILE).is_file()
    }

    pub fn store(&self) -> Result<Store> {
        let shared = self.settings.shared_store.as_ref().map(|shared| self.project.join(shared));
        Store::open(&self.store_folder(), shared.as_deref()).map_err(|error| {
            error.as_usage().hint(
                "the settings `store` and `shared_store` in surgcam.toml, or SURGCAM_STORE, \
                 name the folders of the stores",
            )
        })
    }

    /// How workers are started, one for each device.
    pub fn workers(&self) -> Result<Vec<WorkerCommand>> {
        let settings = &self.settings;
        WorkerCommand::for_devices(&WorkerSettings {
            program: settings.worker.clone(),
            device: settings.device.clone(),
            threads: settings.threads,
            libtorch: LibtorchChoice::new(settings.libtorch.clone(), built_with_libtorch()),
            silence: Duration::from_secs(settings.silence_seconds.get().into()),
            machine_wait_seconds: settings.machine_wait_seconds,
            memory_hint: "if memory ran out, lower model.batch_size",
        })
    }

    pub fn results_folder(&self, experiment: &str) -> PathBuf {
        let folder = self.settings.results.clone().unwrap_or_else(|| PathBuf::from("results"));
        self.project.join(folder).join(experiment)
    }

    pub fn experiment(&self, name: &str) -> Result<Experiment> {
        Experiment::load(
            &self.project,
            &experiment_file::find(&self.project, name)?,
            &self.overrides,
        )
    }

    /// Every experiment of the project, by its file.
    pub fn experiment_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in walked(
            walkdir::WalkDir::new(self.project.join("experiments"))
                .max_depth(1)
                .sort_by_file_name(),
        ) {
            let path = entry?.into_path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// The plan for the tables that the experiment asks for.
    pub fn plan(&self, name: &str) -> Result<Planned> {
        let experiment = self.experiment(name)?;
        let goals = Goal::of(&experiment);
        self.plan_for(experiment, &goals)
    }

    /// The plan for these goals. If it measures speed, a worker is asked what its device is, unless
    /// the store remembers the answer.
    pub fn plan_for(&self, experiment: Experiment, goals: &BTreeSet<Goal>) -> Result<Planned> {
        let store = self.store()?;
        let mut hello = None;
        if goals.contains(&Goal::Extraction) && experiment.recipe.speed {
            let command = &self.workers()?[0];
            hello = identity::remembered(command, &store)?;
            if hello.is_none() {
                // Mistakes in recipes are reported first, without waiting for a device to start.
                build::build(&experiment, &self.project, &store, goals, None)?;
                hello = Some(identity::of(command, &store).map_err(Error::as_usage)?);
            }
        }
        self.plan_in(store, experiment, goals, hello)
    }

    /// The plan for showing results. If the experiment's last run was handed to a cluster, the
    /// speed that is shown was measured there.
    pub fn plan_of_results(&self, name: &str) -> Result<Planned> {
        let experiment = self.experiment(name)?;
        match speed_device_of_last_run(&self.store()?, &experiment.name) {
            Some(hello) => self.plan_on(experiment, Some(hello)),
            None => {
                let goals = Goal::of(&experiment);
                self.plan_for(experiment, &goals)
            }
        }
    }

    /// The plan that measures the speed of this device. Without a device, it has no speed stages.
    pub fn plan_on(&self, experiment: Experiment, hello: Option<Hello>) -> Result<Planned> {
        let goals = Goal::of(&experiment);
        self.plan_in(self.store()?, experiment, &goals, hello)
    }

    fn plan_in(
        &self,
        store: Store,
        experiment: Experiment,
        goals: &BTreeSet<Goal>,
        hello: Option<Hello>,
    ) -> Result<Planned> {
        let machine = hello.as_ref().map(measured_machine);
        let built = build::build(&experiment, &self.project, &store, goals, machine.as_ref())?;
        let known = Known::of(&built.plan, &store)?;
        Ok(Planned { experiment, store, built, known, hello })
    }
}

/// The libtorch that this program and the worker were built with (`.cargo/config.toml`). A wheel
/// brings no libtorch.
fn built_with_libtorch() -> Option<PathBuf> {
    if machine::is_installed_by_a_wheel() {
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(option_env!("LIBTORCH")?);
    Some(folder.canonicalize().unwrap_or(folder))
}

fn measured_machine(hello: &Hello) -> MeasuredMachine {
    MeasuredMachine {
        host: hello.host.clone(),
        device: hello.device_name.clone(),
        threads: hello.threads,
        libtorch: hello.libtorch.clone(),
    }
}

/// How a run ended, as the outcome of the command.
pub fn outcome(execution: &Execution, plan: &Plan) -> Result<()> {
    let summary = &execution.summary;
    if summary.interrupted {
        printer::message(&format!("interrupted; go on with: {}", execution.run.command_line()));
        return Err(Error::interrupted("interrupted"));
    }
    failure_of(summary, plan).map_or(Ok(()), Err)
}

/// The first failure of a run, and how many more there are.
pub fn failure_of(summary: &Summary, plan: &Plan) -> Option<Error> {
    let (id, error) = summary.failed.first()?;
    let others = summary.failed.len() - 1;
    let others = if others > 0 { format!(" ({others} more failed)") } else { String::new() };
    let mut failure =
        Error::failure(format!("{} failed: {}{others}", plan.stage(*id).name, error.what()));
    if let Some(place) = error.place() {
        failure = failure.at(place);
    }
    Some(match error.hint_text() {
        Some(hint) => failure.hint(hint),
        None => failure.hint("correct it and run the same command again; finished stages are kept"),
    })
}
