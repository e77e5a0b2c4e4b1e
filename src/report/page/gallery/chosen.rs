//! Which frames the gallery shows.

use std::collections::BTreeMap;

use crate::report::details::{FrameOverlaps, FrameValues, Indexed};
use crate::report::results::Results;
use crate::report::tables::Row;
use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::planned::PlannedCell;

/// So many frames are shown.
pub const FRAMES: usize = 3;

/// A frame that is shown.
#[derive(Debug, PartialEq)]
pub struct Chosen {
    /// Its row in the index.
    pub row: usize,
    /// Why it is shown, as the end of a title.
    pub why: String,
}

/// The frame in which the boxes of all cells lie worst on the true ones, the best frame, and the one
/// in the middle. Without true boxes of instruments, frames that are spread over the validation
/// frames.
pub fn chosen(cells: &[&PlannedCell], indexed: &Indexed, results: &Results) -> Result<Vec<Chosen>> {
    let mut overlaps: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for &cell in cells {
        let row = Row { cell, is_control: false };
        let Some(of_cell) = FrameOverlaps::of(&row, indexed, results)? else { continue };
        let FrameValues::Ratio { sums, counts } = of_cell.of_instruments() else { continue };
        for ((&row, sum), count) in of_cell.frames.rows.iter().zip(sums).zip(counts) {
            if count > 0.0 && has_instrument(&indexed.frames[row], cell) {
                overlaps.entry(row).or_default().push(sum / count);
            }
        }
    }
    let mean = |(row, of_cells): (usize, Vec<f64>)| {
        (row, of_cells.iter().sum::<f64>() / of_cells.len() as f64)
    };
    let found = by_overlap(overlaps.into_iter().map(mean).collect());
    Ok(if found.is_empty() { spread(&indexed.frames) } else { found })
}

/// Whether somebody drew a box of an instrument.
fn has_instrument(frame: &Frame, cell: &PlannedCell) -> bool {
    let tissue = cell.label_space.tissue();
    frame.boxes.iter().flatten().any(|labelled| labelled.class != tissue)
}

/// The worst, the best, and the middle one of rows with their overlaps.
fn by_overlap(mut overlaps: Vec<(usize, f64)>) -> Vec<Chosen> {
    overlaps.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    let count = overlaps.len();
    let mut places = match count {
        0 => return Vec::new(),
        _ => vec![(0, "the worst"), (count - 1, "the best"), (count / 2, "in the middle")],
    };
    places.truncate(count);
    let of_place = |(place, what): (usize, &str)| {
        let (row, overlap) = overlaps[place];
        Chosen { row, why: format!(": {what} of {count} frames, IoU of instruments {overlap:.2}") }
    };
    places.into_iter().map(of_place).collect()
}

/// Validation frames at even distances.
fn spread(frames: &[Frame]) -> Vec<Chosen> {
    let rows: Vec<usize> = (0..frames.len()).filter(|&row| frames[row].validation).collect();
    let mut places: Vec<usize> =
        (0..FRAMES).map(|place| (2 * place + 1) * rows.len() / (2 * FRAMES)).collect();
    places.dedup();
    let of_place = |place| Some(Chosen { row: *rows.get(place)?, why: String::new() });
    places.into_iter().filter_map(of_place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_then_the_best_and_no_frame_twice() {
        let rows = |overlaps: &[(usize, f64)]| -> Vec<usize> {
            by_overlap(overlaps.to_vec()).into_iter().map(|chosen| chosen.row).collect()
        };
        assert_eq!(rows(&[(3, 0.5), (4, 0.1), (5, 0.9), (6, 0.4)]), [4, 5, 3]);
        assert_eq!(rows(&[(3, 0.5), (4, 0.1)]), [4, 3]);
        assert_eq!(rows(&[(3, 0.5)]), [3]);
        assert!(rows(&[]).is_empty());
        let why = &by_overlap(vec![(3, 0.123), (4, 0.5)])[0].why;
        assert_eq!(why, ": the worst of 2 frames, IoU of instruments 0.12");
    }
}
