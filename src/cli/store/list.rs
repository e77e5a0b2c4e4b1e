//! `surgcam store ls`.

use indicatif::HumanBytes;

use super::check_kind::check_kind;
use super::readable::readable;
use crate::report::printer;
use surgcam_engine::error::Result;
use surgcam_engine::store::Store;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only stages of this kind, as in train
    #[arg(long)]
    kind: Option<String>,
}

pub fn execute(store: &Store, arguments: &Arguments) -> Result<()> {
    let kind = arguments.kind.as_deref();
    kind.map_or(Ok(()), check_kind)?;
    let mut found = readable(store.records()?);
    found.retain(|record| kind.is_none_or(|kind| record.parts.kind == kind));
    found.sort_by(|a, b| (&a.parts.kind, &a.started).cmp(&(&b.parts.kind, &b.started)));
    for record in &found {
        let bytes = record
            .outputs
            .values()
            .fold(0, |bytes: u64, output| bytes.saturating_add(output.bytes));
        printer::line(&format!(
            "{}  {:<10} {:>10}  {:>9.1} s  {}  {}",
            record.key.short(),
            record.parts.kind,
            HumanBytes(bytes).to_string(),
            record.seconds,
            record.started,
            record.name
        ))?;
    }
    printer::message(&format!("{} finished stages in {}", found.len(), store.root().display()));
    Ok(())
}
