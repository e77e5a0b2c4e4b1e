//! `surgcam store verify`.

use indicatif::{HumanBytes, ProgressBar};

use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::Store;
use surgcam_engine::store::verify::{self, Verified};

pub fn execute(store: &Store) -> Result<()> {
    let bar =
        if printer::is_watched() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let verified =
        verify::verify(store, |bytes| bar.set_message(format!("{} read", HumanBytes(bytes))))?;
    bar.finish_and_clear();
    print(&verified)?;
    if verified.is_clean() {
        return Ok(());
    }
    if verified.corrupt.is_empty() && verified.bad_records.is_empty() {
        return Err(Error::failure(
            "the store has records that were made by a newer surgcam, which this one cannot verify",
        )
        .at_path(store.root())
        .hint("verify the store with the newer surgcam"));
    }
    Err(Error::failure("the store had broken parts")
        .at_path(store.root())
        .hint("they are not used any more; run the experiments again to make the missing stages"))
}

fn print(verified: &Verified) -> Result<()> {
    for (digest, quarantined) in &verified.corrupt {
        printer::line(&format!("corrupt: {digest}, moved to {}", quarantined.display()))?;
    }
    for path in &verified.bad_records {
        printer::line(&format!("bad record: {}, removed", path.display()))?;
    }
    for path in &verified.newer_records {
        printer::line(&format!(
            "unknown record: {}, made by a newer surgcam, left as it is",
            path.display()
        ))?;
    }
    for name in &verified.incomplete {
        printer::line(&format!(
            "incomplete: {name} has lost an output; the next run makes the stage again"
        ))?;
    }
    printer::line(&format!(
        "{} objects ({}) and {} records read: {}",
        verified.objects,
        HumanBytes(verified.bytes),
        verified.records,
        if verified.is_clean() {
            "all match their digests".to_string()
        } else {
            let unfit =
                verified.corrupt.len() + verified.bad_records.len() + verified.newer_records.len();
            format!("{unfit} could not be verified")
        }
    ))
}
