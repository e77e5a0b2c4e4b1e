//! `surgcam store push`.

use std::collections::HashSet;

use super::readable::readable;
use super::transfer::{TransferArguments, add, print_total};
use crate::report::printer;
use surgcam_engine::error::Result;
use surgcam_engine::store::key::StageKey;
use surgcam_transfer::remote::Remote;
use surgcam_transfer::transferred::Transferred;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    transfer: TransferArguments,
    /// Send everything again, even what is already there: replaces broken copies
    #[arg(long)]
    again: bool,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let transfer = &arguments.transfer;
    let context = transfer.context()?;
    let remote = Remote::target(&transfer.address)?;
    let store = context.store()?;
    let mut total = Transferred::default();
    let wanted: Option<HashSet<StageKey>> = match &transfer.experiment {
        Some(name) => {
            let planned = context.plan(name)?;
            Some(planned.built.plan.ids().filter_map(|id| planned.known.key(id)).collect())
        }
        None => None,
    };
    for record in readable(store.all_records()?)
        .iter()
        .filter(|record| wanted.as_ref().is_none_or(|wanted| wanted.contains(&record.key)))
    {
        // A record whose objects are gone is not worth sending.
        if store.record_head(&record.parts.kind, &record.key)?.is_some() {
            add(&mut total, remote.push(&store, record, arguments.again)?);
        }
    }
    print_total("pushed", total, &transfer.address)?;
    if total.differing > 0 {
        printer::message(&format!(
            "{} stages have other outputs there than here. They were not replaced, \
             because the first record of a stage wins; --again replaces them",
            total.differing
        ));
    }
    Ok(())
}
