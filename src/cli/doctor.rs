//! `surgcam doctor`.

use super::context::Context;
use super::{Machine, Overrides};
use crate::error::Result;
use crate::report::printer;
use crate::runner::identity;
use crate::runner::worker_process::WorkerCommand;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    machine: Machine,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = Context::new(None, &Overrides::default(), &arguments.machine)?;
    let store = context.store()?;
    let line = |name: &str, value: String| printer::line(&format!("{name:<10} {value}"));
    line("surgcam", env!("CARGO_PKG_VERSION").to_string())?;
    line("project", context.project.display().to_string())?;
    line("store", store.root().display().to_string())?;
    line("results", context.results_folder("").display().to_string())?;
    let command = WorkerCommand::for_devices(&context.settings)?.remove(0);
    line("worker", command.program.display().to_string())?;
    let hello = identity::of(&command, &store)?;
    line("libtorch", hello.libtorch)?;
    line("device", format!("{} ({}), {} threads", hello.device, hello.device_name, hello.threads))?;
    line("CUDA", if hello.cuda_devices == 0 { "no device found".into() } else { format!("{} devices", hello.cuda_devices) })
}
