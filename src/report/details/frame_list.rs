//! Frames in the order of their sequences.

use std::collections::HashMap;
use std::ops::Range;

use surgcam_frames::dataset::index::Frame;

/// The frames that a score is computed from. Frames of a sequence are consecutive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameList {
    /// The frames' rows in the index.
    pub rows: Vec<usize>,
    pub sequences: Vec<Sequence>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    pub name: String,
    /// Its places in the list.
    pub places: Range<usize>,
}

impl FrameList {
    /// The frames with these rows, which are rows of `frames`. Sequences are in the order of their
    /// first frames.
    pub fn of(frames: &[Frame], mut rows: Vec<usize>) -> FrameList {
        rows.sort_unstable();
        let name = |row: usize| frames[row].sequence.as_str();
        let mut order: HashMap<&str, usize> = HashMap::new();
        for &row in &rows {
            let next = order.len();
            order.entry(name(row)).or_insert(next);
        }
        rows.sort_by_key(|&row| order[name(row)]);
        let mut sequences = Vec::new();
        let mut begin = 0;
        for of_sequence in rows.chunk_by(|&a, &b| name(a) == name(b)) {
            let places = begin..begin + of_sequence.len();
            begin = places.end;
            sequences.push(Sequence { name: name(of_sequence[0]).to_string(), places });
        }
        FrameList { rows, sequences }
    }

    /// How many frames each sequence has.
    pub fn lengths(&self) -> Vec<usize> {
        self.sequences.iter().map(|sequence| sequence.places.len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_sequence_are_consecutive_whatever_their_order_was() {
        let frame = |sequence: &str| Frame {
            sequence: sequence.into(),
            name: "frame000".into(),
            train: false,
            validation: true,
            labels: vec![],
            boxes: None,
            box_space: [1, 1],
            detected: vec![],
        };
        let frames = ["b", "a", "b", "a", "b"].map(frame);
        let list = FrameList::of(&frames, vec![4, 3, 0, 1]);
        assert_eq!(list.rows, [0, 4, 1, 3]);
        let names: Vec<&str> =
            list.sequences.iter().map(|sequence| sequence.name.as_str()).collect();
        assert_eq!((names, list.lengths()), (vec!["b", "a"], vec![2, 2]));
    }
}
