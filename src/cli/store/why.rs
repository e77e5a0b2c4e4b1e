//! `surgcam store why`.

use indicatif::HumanBytes;

use super::readable::readable;
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::record::Record;

#[derive(clap::Args)]
pub struct Arguments {
    /// A digest or key, or at least its first four digits
    digest: String,
}

pub fn execute(store: &Store, arguments: &Arguments) -> Result<()> {
    let wanted = arguments.digest.trim_start_matches("sha256:").to_lowercase();
    if wanted.len() < 4 {
        return Err(Error::usage("fewer than four digits do not tell digests apart")
            .hint("give at least four"));
    }
    let all = readable(store.records()?);
    let mut found = false;
    for record in &all {
        found |= explain(record, &wanted, &all)?;
    }
    if found {
        Ok(())
    } else {
        Err(Error::usage(format!("no record of the store names `{wanted}`"))
            .hint("`surgcam store ls` lists the keys"))
    }
}

/// Prints what the record has to do with the wanted digits, and tells whether it has anything.
fn explain(record: &Record, wanted: &str, all: &[Record]) -> Result<bool> {
    let is_meant = |digest: &Digest| digest.hex().starts_with(wanted);
    let outputs: Vec<&str> = record
        .outputs
        .iter()
        .filter(|(_, output)| is_meant(&output.digest))
        .map(|(name, _)| name.as_str())
        .collect();
    let mut found = false;
    if is_meant(&record.key.0) {
        found = true;
        describe(record, all)?;
    } else if !outputs.is_empty() {
        found = true;
        printer::line(&format!("output {} of:", outputs.join(", ")))?;
        describe(record, all)?;
    }
    for (name, _) in record.parts.inputs.iter().filter(|(_, digest)| is_meant(digest)) {
        found = true;
        printer::line(&format!("input {name} of {} ({})", record.name, record.key.short()))?;
    }
    Ok(found)
}

fn describe(record: &Record, all: &[Record]) -> Result<()> {
    printer::line(&format!(
        "{} ({}), version {}",
        record.name, record.parts.kind, record.parts.version
    ))?;
    printer::line(&format!("  key        {}", record.key))?;
    printer::line(&format!(
        "  made       {} in {:.1} s on {} ({})",
        record.started, record.seconds, record.machine.host, record.machine.device
    ))?;
    for (name, digest) in &record.parts.inputs {
        let maker =
            all.iter().find(|other| other.outputs.values().any(|output| output.digest == *digest));
        printer::line(&format!(
            "  input      {name} = {} from {}",
            digest.short(),
            maker.map_or("outside", |maker| maker.name.as_str())
        ))?;
    }
    for (name, output) in &record.outputs {
        printer::line(&format!(
            "  output     {name} = {} ({})",
            output.digest.short(),
            HumanBytes(output.bytes)
        ))?;
    }
    printer::line(&format!("  parameters {}", record.parts.parameters))
}
