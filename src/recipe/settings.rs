//! What belongs to the machine and not to a result: where files lie and which device is used.
//!
//! Settings come from `surgcam.toml` in the project's folder, which git ignores. `SURGCAM_*`
//! variables win over this file, and options of the command line win over variables.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Serialized};
use serde::{Deserialize, Serialize};

use super::file;
use super::overrides::{self, Override, Rank};
use super::slurm_settings::ExecutorSettings;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::machine;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The folder of the store.
    pub store: Option<PathBuf>,
    /// The folder of a store that several people share. Runs read from it and never write to it.
    pub shared_store: Option<PathBuf>,
    /// The folder of results.
    pub results: Option<PathBuf>,
    /// `auto`, `cpu`, `cuda:N`, several devices as in `cuda:0,cuda:1`, or `all`.
    pub device: String,
    /// How many stages that need no device run at the same time.
    pub jobs: Option<NonZeroUsize>,
    /// How many threads a stage has on the CPU. Without a value it has one for each core.
    pub threads: Option<NonZeroUsize>,
    /// The program that runs stages. Without a value it is looked for beside this program.
    pub worker: Option<PathBuf>,
    /// The folder of the torch 2.11 that workers run with. Without a value it is looked for.
    pub libtorch: Option<PathBuf>,
    /// A worker that says nothing for this many seconds is ended, because it seems to hang.
    pub silence_seconds: NonZeroU32,
    /// How many seconds a stage waits for the machine. A speed stage waits until it has the machine
    /// alone, and any other stage waits until no speed is measured. After this time it goes on, and
    /// a speed that is then measured is marked "not alone".
    pub machine_wait_seconds: u64,
    /// What runs stages besides this machine.
    pub executor: ExecutorSettings,
}

/// Workers say every 5 seconds that they are alive.
const SILENCE_SECONDS: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// Most stages take less time. A stage that trains may take hours, and nobody wants to wait that
/// long without having asked for it.
const USUAL_MACHINE_WAIT_SECONDS: u64 = 600;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            store: None,
            shared_store: None,
            results: None,
            device: "auto".into(),
            jobs: None,
            threads: None,
            worker: None,
            libtorch: None,
            silence_seconds: SILENCE_SECONDS,
            machine_wait_seconds: USUAL_MACHINE_WAIT_SECONDS,
            executor: ExecutorSettings::default(),
        }
    }
}

/// The file surgcam.toml: settings, and overrides for every experiment that is run here.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "deserialising is the use")]
struct SettingsFile {
    store: Option<PathBuf>,
    results: Option<PathBuf>,
    device: Option<String>,
    jobs: Option<NonZeroUsize>,
    threads: Option<NonZeroUsize>,
    worker: Option<PathBuf>,
    libtorch: Option<PathBuf>,
    silence_seconds: Option<NonZeroU32>,
    shared_store: Option<PathBuf>,
    machine_wait_seconds: Option<u64>,
    executor: Option<ExecutorSettings>,
    set: Option<toml::Table>,
}

pub const FILE_NAME: &str = "surgcam.toml";

/// The settings, and the overrides of surgcam.toml and of variables in rising order of their ranks.
pub fn load(project: &Path) -> Result<(Settings, Vec<Override>)> {
    let path = project.join(FILE_NAME);
    let mut table = toml::Table::new();
    let mut found = Vec::new();
    if path.exists() {
        let checked = file::parse::<SettingsFile>(&path, &file::read_text(&path)?)?;
        found.extend(overrides::from_set(&checked, Rank::Settings)?);
        table = checked.table;
        table.remove("set");
    }
    found.extend(overrides::from_variables(
        std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }),
    )?);
    let keys = [
        "store",
        "shared_store",
        "results",
        "device",
        "jobs",
        "threads",
        "worker",
        "libtorch",
        "silence_seconds",
        "machine_wait_seconds",
    ];
    let settings = Figment::from(Serialized::defaults(Settings::default()))
        .merge(Serialized::globals(table))
        .merge(Env::prefixed("SURGCAM_").only(&keys))
        .extract()
        .map_err(|error: figment::Error| Error::usage(format!("a setting is wrong: {error}")))?;
    Ok((settings, found))
}

/// The project's folder, which is the nearest folder with `recipes/` in it. It is looked for from
/// the working folder upwards, then from the experiment, from this program, and from the folder
/// that this program was built in, unless a wheel brought it.
pub fn find_project(experiment: Option<&Path>) -> Result<PathBuf> {
    let here = std::env::current_dir().ok();
    let beside_experiment = experiment.and_then(|path| path.canonicalize().ok());
    let beside_program = std::env::current_exe().ok();
    let built_in =
        (!machine::is_installed_by_a_wheel()).then(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    [here, beside_experiment, beside_program, built_in]
        .into_iter()
        .flatten()
        .find_map(|start| {
            start.ancestors().find(|folder| folder.join("recipes").is_dir()).map(Path::to_path_buf)
        })
        .ok_or_else(|| {
            Error::usage("there is no project: no folder `recipes` here or above").hint(
                "make one with `surgcam init DIR`, or run surgcam inside yours, where recipes/ \
                 and experiments/ are",
            )
        })
}
