//! Layouts with a file for each sequence: EndoVis18, Cholec80, CholecT50.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Candidate, Folder, Labels, has_columns};
use crate::dataset::adapters::Layout;
use crate::dataset::annotations::FrameNumber;
use crate::dataset::check::numbered::Group;
use crate::dataset::delimited::Delimiter;
use crate::dataset::fields::{frame_number, label};
use crate::dataset::folder::first_existing;
use crate::dataset::json_values::bounded_entries;
use crate::dataset::label_file::LABEL_FILE_BYTES;
use crate::dataset::labels::normalized;
use crate::dataset::pattern::Pattern;
use surgcam_engine::regular_file;

/// The columns of an EndoVis18 tool file, and the numbers of a line of its boxes.
const TOOL_COLUMNS: usize = 9;
const BOX_COLUMNS: usize = 37;

/// The frames of a video by their numbers.
#[derive(Deserialize)]
struct CholecT50File {
    #[serde(deserialize_with = "bounded_entries")]
    annotations: Vec<(String, IgnoredAny)>,
}

impl Folder<'_> {
    pub(super) fn endovis18(&self) -> Option<Candidate> {
        let texts = self.groups_with_ending(&["txt"]);
        let labels = self.tool_files(&texts, is_endovis18_tool_file)?;
        let frames = self.labelled_frames(&labels.0, &labels.1, |line| {
            line.split_whitespace().next().map(str::to_string)
        });
        let mut candidate = self.with_pictures(Labels {
            layout: Layout::EndoVis18,
            patterns: labels.0,
            frames,
            expected_pictures: "seq_{sequence}/left_frames/frame{frame:03}.png",
        })?;
        candidate.source.boxes = texts
            .iter()
            .filter(|group| self.is_group_of(group, is_endovis18_box_file))
            .filter_map(|group| Some(group.of_sequences()?.0))
            .collect();
        for folder in self.endovis18_xml_folders() {
            candidate.source.boxes.push(folder.clone());
            candidate.source.captions.push(folder.clone());
            candidate.source.interactions.push(folder);
        }
        Some(candidate)
    }

    pub(super) fn cholec80(&self) -> Option<Candidate> {
        let texts = self.groups_with_ending(&["txt"]);
        let (patterns, sequences) = self.tool_files(&texts, is_cholec80_tool_file)?;
        let example = texts.iter().find(|group| self.is_group_of(group, is_cholec80_tool_file))?;
        let start = self.start(example.examples.first()?);
        let header = start.lines().next().unwrap_or_default();
        let column = header.split('\t').position(|name| normalized(name) == "frame")?;
        let frames = self.labelled_frames(&patterns, &sequences, |line| {
            line.split('\t').nth(column).map(str::to_string)
        });
        let mut candidate = self.with_pictures(Labels {
            layout: Layout::Cholec80,
            patterns,
            frames,
            expected_pictures: "frames/video{sequence:02}/{frame:06}.png",
        })?;
        let columns = ["frame", "tool", "x1", "y1", "x2", "y2"];
        candidate.source.boxes = self
            .groups_with_ending(&["csv"])
            .iter()
            .filter(|group| {
                self.is_group_of(group, |start| has_columns(start, Delimiter::Comma, &columns))
            })
            .filter_map(|group| Some(group.of_sequences()?.0))
            .collect();
        Some(candidate)
    }

    pub(super) fn cholect50(&self) -> Option<Candidate> {
        let groups = self.groups_with_ending(&["json"]);
        let (patterns, sequences) = self.tool_files(&groups, is_cholect50)?;
        let mut frames = BTreeSet::new();
        for sequence in sequences {
            let Some(file) = first_existing(self.root, &patterns, sequence) else { continue };
            let text = regular_file::read_to_string(&self.root.join(file), LABEL_FILE_BYTES);
            let found: Option<CholecT50File> =
                text.ok().and_then(|text| serde_json::from_str(&text).ok());
            for (name, _) in found.iter().flat_map(|found| &found.annotations) {
                frames.extend(name.parse().ok().map(|frame| FrameNumber { sequence, frame }));
            }
        }
        let mut candidate = self.with_pictures(Labels {
            layout: Layout::CholecT50,
            patterns: patterns.clone(),
            frames: frames.into_iter().collect(),
            expected_pictures: "videos/VID{sequence:02}/{frame:06}.png",
        })?;
        // Its reader takes the numbers of the frames for those of the pictures.
        candidate.source.frame_step = 1;
        candidate.source.interactions = patterns;
        Some(candidate)
    }

    /// The patterns of tool files of a kind, and their sequences.
    fn tool_files(
        &self,
        groups: &[Group],
        is_of_kind: impl Fn(&str) -> bool,
    ) -> Option<(Vec<Pattern>, BTreeSet<u32>)> {
        let (mut patterns, mut sequences) = (Vec::new(), BTreeSet::new());
        for group in groups.iter().filter(|group| self.is_group_of(group, &is_of_kind)) {
            let Some((pattern, of_group)) = group.of_sequences() else { continue };
            patterns.push(pattern);
            sequences.extend(of_group);
        }
        (!patterns.is_empty()).then_some((patterns, sequences))
    }

    /// The frames of the first file of each sequence. `number` finds the number of a line's frame.
    fn labelled_frames(
        &self,
        patterns: &[Pattern],
        sequences: &BTreeSet<u32>,
        number: impl Fn(&str) -> Option<String>,
    ) -> Vec<FrameNumber> {
        let mut frames = BTreeSet::new();
        for &sequence in sequences {
            let Some(file) = first_existing(self.root, patterns, sequence) else { continue };
            let text = regular_file::read_to_string(&self.root.join(file), LABEL_FILE_BYTES);
            // The check of the frames reports what cannot be read.
            for line in text.unwrap_or_default().lines().skip(1) {
                let frame = number(line).and_then(|text| frame_number(&text).ok());
                frames.extend(frame.map(|frame| FrameNumber { sequence, frame }));
            }
        }
        frames.into_iter().collect()
    }

    /// Folders with XML files in EndoVis18's form.
    fn endovis18_xml_folders(&self) -> Vec<Pattern> {
        let is_of_kind = |start: &str| start.contains("<annotation") && start.contains("<objects>");
        self.groups_with_ending(&["xml"])
            .iter()
            .filter(|group| self.is_group_of(group, is_of_kind))
            .filter_map(|group| {
                let pattern = group.of_frames()?.pattern.to_string();
                let (folder, _) = pattern.rsplit_once('/')?;
                Pattern::parse(folder).ok().filter(Pattern::has_sequence)
            })
            .collect()
    }
}

fn is_endovis18_tool_file(start: &str) -> bool {
    let mut lines = start.lines();
    let (Some(header), Some(first)) = (lines.next(), lines.next()) else { return false };
    let columns: Vec<&str> = first.split_whitespace().collect();
    let is_form = !header.contains('\t') || header.contains("large_needle_driver");
    is_form
        && columns.len() == TOOL_COLUMNS
        && frame_number(columns[0]).is_ok()
        && columns[1..].iter().all(|column| label(column).is_ok())
}

fn is_endovis18_box_file(start: &str) -> bool {
    let first = start.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let columns: Vec<&str> = first.split(',').collect();
    columns.len() == BOX_COLUMNS && frame_number(columns[0]).is_ok()
}

/// Triplets of instrument, verb and target.
fn is_cholect50(start: &str) -> bool {
    ["\"categories\"", "\"instrument\"", "\"verb\"", "\"triplet\""]
        .iter()
        .all(|key| start.contains(key))
}

/// Phases and times have a column `Frame`, too, but no labels beside it.
fn is_cholec80_tool_file(start: &str) -> bool {
    let mut lines = start.lines();
    let (Some(header), Some(first)) = (lines.next(), lines.next()) else { return false };
    if !has_columns(start, Delimiter::Tab, &["frame"]) || header.contains("large_needle_driver") {
        return false;
    }
    let names = header.split('\t').map(normalized);
    let labels: Vec<&str> = names
        .zip(first.split('\t'))
        .filter_map(|(name, field)| (name != "frame").then_some(field))
        .collect();
    !labels.is_empty() && labels.iter().all(|field| label(field).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_no_tools() {
        assert!(is_cholec80_tool_file("Frame\tGrasper\tHook\n0\t1\t0\n"));
        assert!(!is_cholec80_tool_file("Frame\tPhase\n0\tPreparation\n"));
        assert!(!is_cholec80_tool_file("Frame\n0\n"));
    }

    #[test]
    fn tool_files_of_endovis18_have_nine_columns() {
        assert!(is_endovis18_tool_file("a header\n010 1 1 0 0 0 0 1 0\n"));
        assert!(!is_endovis18_tool_file("a header\n010 1 1 0\n"));
        assert!(!is_endovis18_tool_file("0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5\n"));
    }
}
