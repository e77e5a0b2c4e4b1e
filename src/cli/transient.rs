//! Makes a single stage in a temporary store, through the runner and a worker: for commands without
//! an experiment.

use std::path::PathBuf;

use super::context::Context;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::kind::{OutputOf, StageKind};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{NewStage, Plan};
use surgcam_engine::protocol::Hello;
use surgcam_engine::runner::events::Reporter;
use surgcam_engine::runner::identity;
use surgcam_engine::runner::interrupt::Interrupt;
use surgcam_engine::runner::worker_process::LogFolder;
use surgcam_engine::runner::{self, Options};

/// Makes the stage in the context's store, which should be temporary, and gives the path of its
/// output.
pub fn make<K: StageKind>(
    context: &Context,
    stage: NewStage<K>,
    output: OutputOf<K>,
    reporter: &mut dyn Reporter,
) -> Result<(Hello, PathBuf)> {
    let store = context.store()?;
    let logs = tempfile::tempdir()
        .map_err(|error| Error::failure(format!("cannot make a working folder: {error}")))?;
    let devices = context.workers()?;
    let hello = identity::of(&devices[0], &store)?;
    let mut plan = Plan::default();
    let name = stage.name().to_string();
    let id = plan.add(stage).id();
    let options = Options::local(devices, LogFolder::Temporary(logs.path()));
    let known = Known::of(&plan, &store)?;
    let interrupt = Interrupt::listen()?;
    let summary = runner::run(&plan, known, &store, &options, &interrupt, reporter)?;
    if let Some((_, error)) = summary.failed.into_iter().next() {
        return Err(error);
    }
    if summary.interrupted {
        return Err(Error::interrupted("interrupted"));
    }
    let made = summary.known.outputs(id).and_then(|outputs| outputs.get(output.name()));
    let made = made.ok_or_else(|| Error::failure(format!("{name} left no {}", output.name())))?;
    Ok((hello, store.use_object(&made.digest)?))
}
