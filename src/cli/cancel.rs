//! `surgcam cancel`: ends a submitted run.

use clap_complete::ArgValueCompleter;

use super::candidates;
use super::context::Context;
use crate::cluster::{submission, submit};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::runs::{Run, RunState};

#[derive(clap::Args)]
pub struct Arguments {
    /// A run's id, a part of it, or `latest`
    #[arg(add = ArgValueCompleter::new(candidates::runs))]
    run: String,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let store = Context::plain()?.store()?;
    // While the lock is held, `attach` does not take the run for one whose jobs have all ended.
    let _alone = submission::lock(&store, || {
        printer::message("waiting until another submission to this store is done");
    })?;
    let run = store.run(&arguments.run)?;
    submission::read(&store, &run.id)?;
    if run.state != RunState::Submitted {
        return Err(Error::usage(format!(
            "the run {} has ended: it is {}",
            run.id,
            run.state.name()
        )));
    }
    submit::cancel(&run.id)?;
    printer::message(&format!(
        "cancelled all jobs of the run {}; finished stages are kept, and the next run goes on with \
         trainings after their last epoch",
        run.id
    ));
    store.write_run(&Run { state: RunState::Interrupted, ..run })
}
