//! `surgcam store pull`.

use super::check_kind::check_kind;
use super::transfer::{TransferArguments, add, print_total};
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::status::Known;
use surgcam_engine::plan::{Plan, StageId};
use surgcam_engine::store::Store;
use surgcam_engine::store::key::StageKey;
use surgcam_engine::store::name::PlainName;
use surgcam_transfer::files::{Fetched, NotFetched};
use surgcam_transfer::remote::Remote;
use surgcam_transfer::transferred::Transferred;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    transfer: TransferArguments,
}

/// What a pull has done so far.
#[derive(Default)]
struct Pulled {
    total: Transferred,
    refused: usize,
}

impl Pulled {
    /// Counts what was fetched. A stage that was refused is told and does not end the command,
    /// because the other stages there may be good.
    fn count(&mut self, fetched: Fetched<Transferred>) -> Result<()> {
        match fetched {
            Ok(part) => add(&mut self.total, part),
            Err(NotFetched::Refused(error)) => {
                self.refused += 1;
                printer::messages(&format!("refused: {}", printer::described(&error)));
            }
            Err(NotFetched::Failed(error)) => return Err(error),
        }
        Ok(())
    }
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let transfer = &arguments.transfer;
    let context = transfer.context()?;
    let remote = Remote::source(&transfer.address)?;
    let mut pulled = Pulled::default();
    match &transfer.experiment {
        None => {
            let store = context.store()?;
            for named in remote.records()? {
                pulled.count(pull_named(&remote, &store, named))?;
            }
        }
        Some(name) => {
            let mut planned = context.plan(name)?;
            let (plan, store, known) = (&planned.built.plan, &planned.store, &mut planned.known);
            // Inputs come first: their digests decide the keys of the stages that need them.
            for id in plan.ids() {
                pulled.count(pull_stage(&remote, plan, store, known, id))?;
            }
        }
    }
    print_total("pulled", pulled.total, &transfer.address)?;
    if pulled.total.differing > 0 {
        printer::message(&format!(
            "{} stages have other outputs there than here. \
             Yours were kept, because the first record of a stage wins",
            pulled.total.differing
        ));
    }
    if pulled.refused == 0 {
        return Ok(());
    }
    Err(Error::failure(format!("{} stages there were refused", pulled.refused))
        .at(&transfer.address)
        .hint(
            "nothing of them was taken over, all other stages were; \
             ask whoever keeps that store to verify it",
        ))
}

/// Fetches a stage by the name of its record there, if it is one of those that this program makes.
fn pull_named(
    remote: &Remote,
    store: &Store,
    named: Result<(PlainName, StageKey)>,
) -> Fetched<Transferred> {
    let (kind, key) = named.map_err(NotFetched::Refused)?;
    check_kind(kind.as_str()).map_err(|error| {
        NotFetched::Refused(error.at(format!("records/{kind}/{}.json", key.hex())))
    })?;
    remote.pull(store, &kind, &key)
}

fn pull_stage(
    remote: &Remote,
    plan: &Plan,
    store: &Store,
    known: &mut Known,
    id: StageId,
) -> Fetched<Transferred> {
    let is_here =
        known.is_made(id) || known.ask_again(plan, store, id).map_err(NotFetched::Refused)?;
    let Some(key) = known.key(id).filter(|_| !is_here) else { return Ok(Transferred::default()) };
    let pulled = remote.pull(store, &plan.stage(id).kind_name(), &key)?;
    known.ask_again(plan, store, id)?;
    Ok(pulled)
}
