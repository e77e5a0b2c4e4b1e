//! The records that this program can read.

use crate::report::printer;
use surgcam_engine::store::StoredRecord;
use surgcam_engine::store::format::Misread;
use surgcam_engine::store::record::Record;

/// The records that can be read. A warning counts those of a newer program; broken ones are found
/// by `surgcam store verify`.
pub fn readable(stored: Vec<StoredRecord>) -> Vec<Record> {
    let newer =
        stored.iter().filter(|stored| matches!(stored.record, Err(Misread::Newer(_)))).count();
    if newer > 0 {
        printer::message(&format!(
            "warning: {newer} records were made by a newer surgcam and are left out"
        ));
    }
    stored.into_iter().filter_map(|stored| stored.record.ok()).collect()
}
