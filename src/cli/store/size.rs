//! `surgcam store size`.

use std::collections::{BTreeMap, HashSet};

use indicatif::HumanBytes;

use super::readable::readable;
use crate::report::printer;
use surgcam_engine::error::Result;
use surgcam_engine::store::name::PlainName;
use surgcam_engine::store::{Store, inventory};

pub fn execute(store: &Store) -> Result<()> {
    let mut kinds: BTreeMap<PlainName, (usize, u64)> = BTreeMap::new();
    let mut counted = HashSet::new();
    for record in readable(store.records()?) {
        let entry = kinds.entry(record.parts.kind).or_default();
        entry.0 += 1;
        // Stages that made the same content share its object.
        let new = record.outputs.values().filter(|output| counted.insert(output.digest));
        entry.1 = new.fold(entry.1, |bytes, output| bytes.saturating_add(output.bytes));
    }
    for (kind, (count, bytes)) in &kinds {
        printer::line(&format!(
            "{kind:<12} {count:>7} stages  {:>12}",
            HumanBytes(*bytes).to_string()
        ))?;
    }
    let all = inventory::size(store.root());
    printer::line(&format!(
        "{:<12} {:>7} stages  {:>12} on disk",
        "all",
        kinds.values().map(|(count, _)| count).sum::<usize>(),
        HumanBytes(all).to_string()
    ))
}
