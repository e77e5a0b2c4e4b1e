//! The columns that tell how fast features are extracted.

use std::collections::BTreeSet;

use crate::report::result_table::TableColumn;
use crate::report::task_columns::TaskColumns;
use surgcam_frames::metrics::Speed;
use surgcam_pipeline::planned::PlannedCell;
use surgcam_pipeline::settings::MeasuredMachine;

/// Frames a second and milliseconds for each frame, and how they were timed.
pub fn of(speeds: &[Option<Speed>]) -> TaskColumns {
    let speed =
        |value: fn(&Speed) -> f64| speeds.iter().map(|speed| speed.as_ref().map(value)).collect();
    let mut columns = vec![
        TableColumn::number("FPS", 1, speed(|speed| speed.frames_per_second)),
        TableColumn::number("p50 ms", 1, speed(|speed| speed.p50_milliseconds)),
        TableColumn::number("p95 ms", 1, speed(|speed| speed.p95_milliseconds)),
    ];
    let (timed, note) = timing("timed", speeds).unzip();
    columns.extend(timed);
    TaskColumns { columns, notes: note.into_iter().collect() }
}

/// A note that says on what the speeds of these cells were measured, and how.
pub fn conditions(machine: &MeasuredMachine, cells: &[&PlannedCell]) -> String {
    let precisions: BTreeSet<&str> = cells
        .iter()
        .filter_map(|cell| Some(cell.extraction.as_ref()?.value.precision.name()))
        .collect();
    format!(
        "speed: {}, {} threads, {}, batch 1, from packed pixels to features \
         (decoding not included)",
        machine.device,
        machine.threads,
        precisions.into_iter().collect::<Vec<_>>().join(" and ")
    )
}

/// A column that says which speeds were measured while others used the machine, and a note about
/// it. `None` if every speed was measured alone.
pub fn timing(name: &str, speeds: &[Option<Speed>]) -> Option<(TableColumn, String)> {
    if !speeds.iter().flatten().any(|speed| speed.not_alone) {
        return None;
    }
    let in_words = |speed: &Speed| if speed.not_alone { "not alone" } else { "alone" };
    let column = TableColumn::text(
        name,
        speeds.iter().map(|speed| speed.as_ref().map(in_words).map(String::from)).collect(),
    );
    let note = format!(
        "{name}: not alone where others used the machine meanwhile (see machine_wait_seconds); \
         such a speed may be too low"
    );
    Some((column, note))
}
