//! Files with numbers in their names, such as `v01_002075.xml`. Files whose names differ only in
//! their numbers form a group, and a group has a pattern as recipes use it.

use std::collections::{BTreeMap, BTreeSet};

use crate::dataset::annotations::FrameNumber;
use crate::dataset::pattern::Pattern;

/// Stands for a number in the name that the files of a group share. This character is in no path.
const NUMBER: char = '\0';
/// A longer row of digits is a time or an identifier, and not the number of a frame.
const MOST_DIGITS: usize = 9;
/// How many of its files a group remembers, to look into them.
const EXAMPLES: usize = 20;
/// What stands before the number of a video or a sequence, in the names that people use.
const SEQUENCE_WORDS: [&str; 11] = [
    "video",
    "vid",
    "v",
    "seq",
    "sequence",
    "case",
    "patient",
    "clip",
    "surgery",
    "procedure",
    "op",
];
/// The sequence that is assumed if the names have only the number of a frame.
pub const ONLY_SEQUENCE: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digits {
    value: u32,
    width: usize,
}

#[derive(Debug)]
pub struct Group {
    /// The shared name, with [`NUMBER`] in the place of each number.
    shared: String,
    /// The numbers of each file.
    rows: Vec<Vec<Digits>>,
    /// The first of its files.
    pub examples: Vec<String>,
}

/// The pattern of a group, and the frames that its files belong to.
#[derive(Debug)]
pub struct Numbered {
    pub pattern: Pattern,
    /// Rising.
    pub frames: Vec<FrameNumber>,
}

/// Groups of these files, the largest first.
pub fn groups<'a>(files: impl Iterator<Item = &'a str>) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for file in files {
        let (shared, row) = taken_apart(file);
        let group = groups.entry(shared).or_insert_with_key(|shared| Group {
            shared: shared.clone(),
            rows: Vec::new(),
            examples: Vec::new(),
        });
        group.rows.push(row);
        if group.examples.len() < EXAMPLES {
            group.examples.push(file.to_string());
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.rows.len()));
    groups
}

fn taken_apart(file: &str) -> (String, Vec<Digits>) {
    let (mut shared, mut row) = (String::new(), Vec::new());
    let mut rest = file;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let width = from.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = from.split_at(width);
        shared.push_str(before);
        match digits.parse().ok().filter(|_| width <= MOST_DIGITS) {
            Some(value) => {
                shared.push(NUMBER);
                row.push(Digits { value, width });
            }
            None => shared.push_str(digits),
        }
        rest = after;
    }
    shared.push_str(rest);
    (shared, row)
}

/// What a number in a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Constant,
    Sequence,
    Frame,
}

impl Group {
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The pattern of files that each belong to one frame. `None` if no numbers distinguish the
    /// files, or more than two do.
    pub fn of_frames(&self) -> Option<Numbered> {
        let meanings = self.frame_meanings()?;
        let sequence = meanings.iter().position(|meaning| *meaning == Meaning::Sequence);
        let frame = meanings.iter().position(|meaning| *meaning == Meaning::Frame)?;
        let number = |row: &Vec<Digits>| FrameNumber {
            sequence: sequence.map_or(ONLY_SEQUENCE, |slot| row[slot].value),
            frame: row[frame].value,
        };
        let frames: BTreeSet<FrameNumber> = self.rows.iter().map(number).collect();
        Some(Numbered { pattern: self.pattern(&meanings)?, frames: frames.into_iter().collect() })
    }

    /// The pattern of files that each belong to one sequence, and the sequences.
    pub fn of_sequences(&self) -> Option<(Pattern, BTreeSet<u32>)> {
        let mut meanings = vec![Meaning::Constant; self.slots()];
        let varying = self.varying_slots();
        let slot = match varying.as_slice() {
            [] => self.slots().checked_sub(1).filter(|slot| self.is_in_file_name(*slot))?,
            [first, others @ ..] if others.iter().all(|slot| self.are_equal(*first, *slot)) => {
                *first
            }
            _ => return None,
        };
        for other in varying.iter().chain([&slot]) {
            meanings[*other] = Meaning::Sequence;
        }
        let sequences = self.rows.iter().map(|row| row[slot].value).collect();
        Some((self.pattern(&meanings)?, sequences))
    }

    fn slots(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    fn varying_slots(&self) -> Vec<usize> {
        let varies = |slot: &usize| self.rows.iter().any(|row| row[*slot] != self.rows[0][*slot]);
        (0..self.slots()).filter(varies).collect()
    }

    fn are_equal(&self, one: usize, other: usize) -> bool {
        self.rows.iter().all(|row| row[one].value == row[other].value)
    }

    fn frame_meanings(&self) -> Option<Vec<Meaning>> {
        let mut meanings = vec![Meaning::Constant; self.slots()];
        let varying = self.varying_slots();
        // Numbers that are always equal count as one, as in `video03/video03_000030.png`.
        let mut different: Vec<usize> = Vec::new();
        for slot in &varying {
            if !different.iter().any(|known| self.are_equal(*known, *slot)) {
                different.push(*slot);
            }
            if different.len() > 2 {
                return None;
            }
        }
        let last = self.slots().checked_sub(1)?;
        let (sequence, frame) = match different.as_slice() {
            // A single file.
            [] => (self.constant_sequence(last), last),
            [frame] => (self.constant_sequence(*frame), *frame),
            [sequence, frame] => (Some(*sequence), *frame),
            _ => return None,
        };
        if !self.is_in_file_name(frame) {
            return None;
        }
        for slot in varying {
            if self.are_equal(slot, frame) {
                meanings[slot] = Meaning::Frame;
            } else if sequence.is_some_and(|sequence| self.are_equal(slot, sequence)) {
                meanings[slot] = Meaning::Sequence;
            }
        }
        meanings[frame] = Meaning::Frame;
        if let Some(sequence) = sequence {
            meanings[sequence] = Meaning::Sequence;
        }
        Some(meanings)
    }

    /// If all files belong to one sequence, its number is recognised by the word before it.
    fn constant_sequence(&self, frame: usize) -> Option<usize> {
        (0..frame).rev().find(|slot| {
            let text = self.text_before(*slot).trim_end_matches(['_', '-', ' ', '.']);
            let start = text.rfind(|letter: char| !letter.is_alphabetic()).map_or(0, |at| at + 1);
            // The letter found may have several bytes.
            let word = text.get(start..).unwrap_or_default().to_lowercase();
            SEQUENCE_WORDS.contains(&word.as_str())
        })
    }

    fn text_before(&self, slot: usize) -> &str {
        self.shared.split(NUMBER).nth(slot).unwrap_or_default()
    }

    fn is_in_file_name(&self, slot: usize) -> bool {
        self.shared.split(NUMBER).skip(slot + 1).all(|text| !text.contains('/'))
    }

    fn pattern(&self, meanings: &[Meaning]) -> Option<Pattern> {
        // A pattern cannot have a brace in its text.
        if self.shared.contains(['{', '}']) {
            return None;
        }
        let mut text = String::new();
        for (slot, before) in self.shared.split(NUMBER).enumerate() {
            text.push_str(before);
            let Some(meaning) = meanings.get(slot) else { continue };
            let field = match meaning {
                Meaning::Constant => {
                    let Digits { value, width } = self.rows[0][slot];
                    text.push_str(&format!("{value:0width$}"));
                    continue;
                }
                Meaning::Sequence => "sequence",
                Meaning::Frame => "frame",
            };
            match self.width(slot) {
                0 => text.push_str(&format!("{{{field}}}")),
                width => text.push_str(&format!("{{{field}:{width:02}}}")),
            }
        }
        Pattern::parse(&text).ok()
    }

    /// To how many digits numbers are filled up with zeros. 0 means that they are not.
    fn width(&self, slot: usize) -> usize {
        let is_filled = |digits: &Digits| {
            digits.width > 1
                && digits.value.checked_ilog10().map_or(1, |log| log as usize + 1) < digits.width
        };
        let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
        for filled in self.rows.iter().map(|row| row[slot]).filter(is_filled) {
            *widths.entry(filled.width).or_default() += 1;
        }
        // The most frequent one. Others are mistakes, which the check reports.
        widths.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(width, _)| width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(files: &[&str]) -> Option<String> {
        groups(files.iter().copied())[0].of_frames().map(|found| found.pattern.to_string())
    }

    #[test]
    fn a_pattern_is_found_in_the_names() {
        for (files, expected) in [
            (&["A/v01_002075.xml", "A/v02_000007.xml"][..], "A/v{sequence:02}_{frame:06}.xml"),
            (
                &["seq_1/left/frame000.png", "seq_12/left/frame001.png"],
                "seq_{sequence}/left/frame{frame:03}.png",
            ),
            (
                &["f/video03/000030.png", "f/video03/000031.png"],
                "f/video{sequence:02}/{frame:06}.png",
            ),
            (&["VOC2007/a/7.jpg", "VOC2007/a/12.jpg"], "VOC2007/a/{frame}.jpg"),
            (&["v1/v1_3.jpg", "v2/v2_4.jpg"], "v{sequence}/v{sequence}_{frame}.jpg"),
            (&["v01_1.png"], "v{sequence:02}_{frame}.png"),
        ] {
            assert_eq!(pattern(files).as_deref(), Some(expected), "{files:?}");
        }
        for files in
            [&["a.png", "b.png"][..], &["a1/b1/c1.png", "a2/b3/c4.png"], &["1/a.png", "2/a.png"]]
        {
            assert_eq!(pattern(files), None, "{files:?}");
        }
    }

    #[test]
    fn files_of_sequences_have_one_number() {
        let found = groups(["t/video01-tool.txt", "t/video12-tool.txt"].into_iter());
        let (pattern, sequences) = found[0].of_sequences().unwrap();
        assert_eq!(pattern.to_string(), "t/video{sequence:02}-tool.txt");
        assert_eq!(sequences, BTreeSet::from([1, 12]));
    }

    #[test]
    fn names_of_many_numbers_are_given_up_at_once() {
        let name =
            |first: u32| (first..first + 50_000).map(|number| format!("{number}a")).collect();
        let names: [String; 2] = [1, 2].map(name);
        assert!(groups(names.iter().map(String::as_str))[0].of_frames().is_none());
    }

    proptest! {
        #[test]
        fn every_pattern_that_is_found_gives_back_the_names(
            names in proptest::collection::vec(
                "(v|é|_|/|\\{)?[0-9]{1,11}(_|/|x)[0-9]{0,3}\\.png",
                1..8,
            )
        ) {
            for group in groups(names.iter().map(String::as_str)) {
                let _ = group.of_sequences();
                let Some(found) = group.of_frames() else { continue };
                prop_assert!(found.frames.len() <= group.count());
                for name in &group.examples {
                    let numbers = found.pattern.numbers_in(name);
                    prop_assert!(numbers.is_some(), "{} {name}", found.pattern);
                }
            }
        }
    }
}
