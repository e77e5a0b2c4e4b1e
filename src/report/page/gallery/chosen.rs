//! Which frames the gallery shows.

use std::collections::BTreeMap;

use super::{FrameName, Indexes};
use crate::report::details::{FrameOverlaps, FrameValues};
use crate::report::results::Results;
use crate::report::tables::Row;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::planned::PlannedCell;

/// So many frames are shown.
const FRAMES: usize = 3;

/// A frame that is shown.
#[derive(Debug, PartialEq)]
pub struct Chosen {
    pub name: FrameName,
    /// Why it is shown, as the end of a title.
    pub why: String,
}

/// The frame in which the boxes of all cells lie worst on the true ones, the best frame, and the
/// one in the middle. Without true boxes of instruments, frames that are spread over the validation
/// frames.
pub fn chosen(cells: &[&PlannedCell], indexes: &Indexes, results: &Results) -> Result<Vec<Chosen>> {
    let mut overlaps: BTreeMap<FrameName, Vec<f64>> = BTreeMap::new();
    for &cell in cells {
        let Some(indexed) = indexes.get(&cell.index.id()) else { continue };
        let row = Row { cell, is_control: false };
        let Some(of_cell) = FrameOverlaps::of(&row, indexed, results)? else { continue };
        let FrameValues::Ratio { sums, counts } = of_cell.of_instruments() else { continue };
        for ((&row, sum), count) in of_cell.frames.rows.iter().zip(sums).zip(counts) {
            let frame = &indexed.frames[row];
            if count > 0.0 && has_instrument(frame, cell) {
                overlaps.entry(FrameName::of(frame)).or_default().push(sum / count);
            }
        }
    }
    let mean = |(name, of_cells): (FrameName, Vec<f64>)| {
        (name, of_cells.iter().sum::<f64>() / of_cells.len() as f64)
    };
    let found = by_overlap(overlaps.into_iter().map(mean).collect());
    let index = cells.first().and_then(|cell| indexes.get(&cell.index.id()));
    let all = || index.map(|indexed| spread(&indexed.frames)).unwrap_or_default();
    Ok(if found.is_empty() { all() } else { found })
}

/// Whether somebody drew a box of an instrument.
fn has_instrument(frame: &Frame, cell: &PlannedCell) -> bool {
    let tissue = cell.label_space.tissue();
    frame.boxes.iter().flatten().any(|labelled| labelled.class != tissue)
}

/// The worst, the best, and the middle one of frames with their overlaps.
fn by_overlap(mut overlaps: Vec<(FrameName, f64)>) -> Vec<Chosen> {
    overlaps.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    let count = overlaps.len();
    let mut places = match count {
        0 => return Vec::new(),
        _ => vec![(0, "the worst"), (count - 1, "the best"), (count / 2, "in the middle")],
    };
    places.truncate(count);
    let of_place = |(place, what): (usize, &str)| {
        let (name, overlap) = &overlaps[place];
        let frames = if count == 1 { "frame" } else { "frames" };
        let why = format!(": {what} of {count} {frames}, IoU of instruments {overlap:.2}");
        Chosen { name: name.clone(), why }
    };
    places.into_iter().map(of_place).collect()
}

/// Validation frames at even distances.
fn spread(frames: &[Frame]) -> Vec<Chosen> {
    let validation: Vec<&Frame> = frames.iter().filter(|frame| frame.validation).collect();
    let mut places: Vec<usize> =
        (0..FRAMES).map(|place| (2 * place + 1) * validation.len() / (2 * FRAMES)).collect();
    places.dedup();
    let of_place = |place: usize| {
        Some(Chosen { name: FrameName::of(validation.get(place)?), why: String::new() })
    };
    places.into_iter().filter_map(of_place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_then_the_best_and_no_frame_twice() {
        let name = |frame: &str| FrameName { sequence: "seq_1".into(), frame: frame.into() };
        let chosen = |overlaps: &[(&str, f64)]| -> Vec<String> {
            let overlaps = overlaps.iter().map(|(frame, overlap)| (name(frame), *overlap));
            by_overlap(overlaps.collect()).into_iter().map(|chosen| chosen.name.frame).collect()
        };
        assert_eq!(chosen(&[("a", 0.5), ("b", 0.1), ("c", 0.9), ("d", 0.4)]), ["b", "c", "a"]);
        assert_eq!(chosen(&[("a", 0.5), ("b", 0.1)]), ["b", "a"]);
        assert_eq!(chosen(&[("a", 0.5)]), ["a"]);
        assert!(chosen(&[]).is_empty());
        let why = &by_overlap(vec![(name("a"), 0.123), (name("b"), 0.5)])[0].why;
        assert_eq!(why, ": the worst of 2 frames, IoU of instruments 0.12");
    }
}
