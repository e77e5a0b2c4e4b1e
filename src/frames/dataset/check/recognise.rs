//! Finds out which of the known layouts a folder has, and the patterns by which a recipe reads it.
//!
//! Files are recognised by their content and not by their names. Only the first files of each group
//! are looked into; the names of a group's files differ only in their numbers.

mod files_of_frames;
mod files_of_lists;
mod files_of_sequences;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use super::listing::Listing;
use super::numbered::{Group, groups};
use super::pictures::Pictures;
use crate::dataset::adapters::Layout;
use crate::dataset::annotations::FrameNumber;
use crate::dataset::delimited::Delimiter;
use crate::dataset::labels::normalized;
use crate::dataset::pattern::Pattern;
use crate::dataset::source::SourceLayout;
use surgcam_engine::regular_file;

/// How much of a file is read to tell what it is.
const START_BYTES: u64 = 1 << 16;
/// How many groups of a kind of file are looked into.
const MOST_GROUPS: usize = 200;

/// A layout that fits, and how it is read.
#[derive(Debug)]
pub struct Candidate {
    /// All sequences are in `train`: the split comes later.
    pub source: SourceLayout,
    /// Names of classes that the reader does not find itself, by the names that it has for them.
    pub names: BTreeMap<String, String>,
    /// The sequences that the labels themselves have for training and for validation.
    pub own_split: Option<[BTreeSet<u32>; 2]>,
    pub notes: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Recognition {
    /// The most specific one first.
    pub candidates: Vec<Candidate>,
    pub notes: Vec<String>,
}

pub fn recognise(root: &Path, listing: &Listing) -> Recognition {
    let pictures = Pictures::of(listing);
    let folder = Folder { root, listing, pictures: &pictures };
    let candidates = [
        folder.table(),
        folder.endovis18(),
        folder.cholec80(),
        folder.cholect50(),
        folder.coco(),
        folder.voc(),
        folder.yolo(),
    ];
    Recognition {
        candidates: candidates.into_iter().flatten().collect(),
        notes: listing.notes.iter().chain(&pictures.notes).cloned().collect(),
    }
}

/// What candidates are made from.
struct Folder<'a> {
    root: &'a Path,
    listing: &'a Listing,
    pictures: &'a Pictures,
}

/// Where labels lie, and the frames that they are about.
struct Labels {
    layout: Layout,
    patterns: Vec<Pattern>,
    /// Rising.
    frames: Vec<FrameNumber>,
    /// Where pictures are expected if no picture in the folder fits.
    expected_pictures: &'static str,
}

impl Folder<'_> {
    /// The first bytes of a file as text; empty where it cannot be read.
    fn start(&self, file: &str) -> String {
        let mut bytes = Vec::new();
        let read = regular_file::open(&self.root.join(file))
            .ok()
            .and_then(|file| file.take(START_BYTES).read_to_end(&mut bytes).ok());
        if read.is_none() {
            return String::new();
        }
        String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_string()
    }

    fn groups_with_ending(&self, endings: &[&str]) -> Vec<Group> {
        let mut found = groups(self.listing.with_ending(endings));
        found.truncate(MOST_GROUPS);
        found
    }

    /// The first file of a kind. `is_of_kind` is given a file and its first bytes.
    fn file_of_kind(
        &self,
        endings: &[&str],
        is_of_kind: impl Fn(&str, &str) -> bool,
    ) -> Option<String> {
        let groups = self.groups_with_ending(endings).into_iter();
        let mut examples = groups.flat_map(|group| group.examples);
        examples.find(|file| is_of_kind(file, &self.start(file)))
    }

    /// Whether one of a group's first files is of a kind.
    fn is_group_of(&self, group: &Group, is_of_kind: impl Fn(&str) -> bool) -> bool {
        group.examples.iter().any(|file| is_of_kind(&self.start(file)))
    }

    /// A candidate whose pictures are found by the numbers of its labels.
    fn with_pictures(&self, labels: Labels) -> Option<Candidate> {
        let mut notes = Vec::new();
        let (frames, frame_step) = match self.pictures.matching(&labels.frames) {
            Some(found) => {
                let without = labels.frames.len() - found.count;
                // Labels at another rate have numbers between those of the pictures.
                if without > 0 && found.frame_step == 1 {
                    notes.push(format!("{without} labelled frames have no picture"));
                }
                (found.pictures.pattern.clone(), found.frame_step)
            }
            None => {
                notes.push("no picture has the numbers of a labelled frame".to_string());
                let frames = match self.pictures.largest() {
                    Some(pictures) => pictures.pattern.clone(),
                    None => Pattern::parse(labels.expected_pictures).ok()?,
                };
                (frames, expected_step(labels.layout))
            }
        };
        let sequences: BTreeSet<u32> = labels.frames.iter().map(|found| found.sequence).collect();
        Some(Candidate {
            source: SourceLayout {
                layout: labels.layout,
                train: sequences.into_iter().collect(),
                validation: Vec::new(),
                frames,
                labels: labels.patterns,
                boxes: Vec::new(),
                captions: self.captions(),
                interactions: self.interactions(),
                frame_step,
                verbs: BTreeMap::new(),
            },
            names: BTreeMap::new(),
            own_split: None,
            notes,
        })
    }

    fn captions(&self) -> Vec<Pattern> {
        let is_named = |file: &&str| file_name(file).to_lowercase().starts_with("caption");
        let files = self.listing.with_ending(&["json"]).filter(is_named);
        files.filter_map(exact).take(MOST_GROUPS).collect()
    }

    /// A file for each sequence, or else one for all.
    fn interactions(&self) -> Vec<Pattern> {
        let mut found = Vec::new();
        for group in self.groups_with_ending(&["csv"]) {
            let has = |columns: &[&str]| {
                self.is_group_of(&group, |start| has_columns(start, Delimiter::Comma, columns))
            };
            if !has(&["frame", "tool", "interaction"]) {
                continue;
            }
            let pattern = if has(&["sequence"]) {
                group.examples.first().and_then(|file| exact(file))
            } else {
                group.of_sequences().map(|(pattern, _)| pattern)
            };
            found.extend(pattern);
        }
        // A file of one sequence wins over one for all.
        found.sort_by_key(|pattern| !pattern.has_sequence());
        found
    }
}

/// The usual pattern of the layout, which is used if no picture fits.
fn expected_step(layout: Layout) -> u32 {
    if layout == Layout::Cholec80 { 25 } else { 1 }
}

fn file_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// A file's path as a pattern without numbers.
fn exact(file: &str) -> Option<Pattern> {
    Pattern::parse(file).ok().filter(|_| !file.contains(['{', '}']))
}

/// Whether the first line names these columns, in small or capital letters.
fn has_columns(start: &str, delimiter: Delimiter, wanted: &[&str]) -> bool {
    let header = start.lines().next().unwrap_or_default();
    let fields = header.split(char::from(delimiter.byte()));
    let names: BTreeSet<String> = fields.map(|name| normalized(name.trim_matches('"'))).collect();
    wanted.iter().all(|name| names.contains(*name))
}
