//! What people wrote down for the downstream tasks: the caption of a frame, and what each of its
//! instruments does (docs/method.md, section 8). Where the files say it, the phase of the surgery
//! is kept as well; nothing learns from it yet.
//!
//! There is one [`FrameAnnotation`] for each row of the index. They have a file of their own, so
//! that a change of captions does not train a classifier again. Data sets have them in four forms:
//! [`caption_file`] (JSON), [`interaction_file`] (CSV), [`xml`] (both), and [`cholect50`] (JSON
//! with interactions and phases). Something that cannot be used is a problem with its file and
//! line. It does not take its frame out of the index. Entries about frames without a row are passed
//! over, because files may cover other frames and splits.

pub mod caption_file;
mod cholect50;
mod interaction_file;
mod xml;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::is_there;
use super::json_lines::read_lines;
use super::labels::{ClassMap, normalized};
use super::pattern::Pattern;
use super::source::SourceLayout;
use caption_file::PlacedCaption;
use interaction_file::InteractionFile;
use surgcam_engine::error::{Error, Result};

/// What an instrument may do to the tissue, in the order of the classes of the interaction head
/// (docs/method.md, section 8).
pub const INTERACTIONS: [&str; 13] = [
    "Idle",
    "Grasping",
    "Retraction",
    "Tissue_Manipulation",
    "Tool_Manipulation",
    "Cutting",
    "Cauterization",
    "Suction",
    "Looping",
    "Suturing",
    "Clipping",
    "Staple",
    "Ultrasound_Sensing",
];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledInteraction {
    /// The instrument's index in the label space; never the tissue's.
    pub class: usize,
    /// Into [`INTERACTIONS`].
    pub interaction: usize,
}

/// What is known of a frame. `None`: nobody annotated it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FrameAnnotation {
    pub caption: Option<String>,
    /// Sorted by class, then by interaction, each pair once. Two instruments of one class may do
    /// different things.
    pub interactions: Option<Vec<LabelledInteraction>>,
    /// The phase of the surgery, in the data set's own words.
    // Left out where there is none, so that the files of other data sets stay as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

/// The numbers of a frame, whatever the layout calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameNumber {
    pub sequence: u32,
    pub frame: u32,
}

/// Reads the annotations of an index: one for each of its rows.
pub fn read(path: &Path) -> Result<Vec<FrameAnnotation>> {
    read_lines(path)
}

pub(super) struct Gathered {
    /// One for each row of the index.
    pub annotations: Vec<FrameAnnotation>,
    pub problems: Vec<Error>,
}

/// Reads the captions and interactions of a data set that are about `rows`.
pub(super) fn gather(
    source: &SourceLayout,
    root: &Path,
    classes: &ClassMap,
    rows: &[FrameNumber],
) -> Result<Gathered> {
    let mut gatherer = Gatherer {
        source,
        root,
        classes,
        wanted: rows.iter().copied().collect(),
        phases: BTreeMap::new(),
        problems: Vec::new(),
    };
    let mut captions = gatherer.captions()?;
    let mut interactions = gatherer.interactions()?;
    let of_row = |row| FrameAnnotation {
        caption: captions.remove(row),
        interactions: interactions.remove(row).map(sorted),
        phase: gatherer.phases.remove(row),
    };
    let annotations = rows.iter().map(of_row).collect();
    // A broken XML file is found twice: for its caption and for its interactions.
    let mut told = BTreeSet::new();
    gatherer.problems.retain(|problem| told.insert(problem.to_string()));
    Ok(Gathered { annotations, problems: gatherer.problems })
}

fn sorted(mut interactions: Vec<LabelledInteraction>) -> Vec<LabelledInteraction> {
    interactions.sort_by_key(|found| (found.class, found.interaction));
    interactions.dedup();
    interactions
}

struct Gatherer<'a> {
    source: &'a SourceLayout,
    root: &'a Path,
    classes: &'a ClassMap,
    wanted: BTreeSet<FrameNumber>,
    phases: BTreeMap<FrameNumber, String>,
    problems: Vec<Error>,
}

impl Gatherer<'_> {
    fn captions(&mut self) -> Result<BTreeMap<FrameNumber, String>> {
        let mut captions = BTreeMap::new();
        for pattern in &self.source.captions {
            for (frame, caption) in self.captions_at(pattern)? {
                captions.entry(frame).or_insert(caption);
            }
        }
        Ok(captions)
    }

    fn captions_at(&mut self, pattern: &Pattern) -> Result<BTreeMap<FrameNumber, String>> {
        let mut captions = BTreeMap::new();
        let mut files = BTreeSet::new();
        for sequence in self.source.sequences_of(pattern) {
            let path = self.root.join(pattern.fill(sequence, 0));
            if path.is_dir() {
                for (frame, file) in self.xml_files(pattern, sequence, &path)? {
                    match xml::caption(&file) {
                        Ok(caption) => captions.extend(caption.map(|caption| (frame, caption))),
                        Err(error) => self.problems.push(error),
                    }
                }
            } else if is_there(&path) {
                files.insert(path);
            }
        }
        captions.extend(self.captions_of_files(&files)?);
        Ok(captions)
    }

    fn captions_of_files(
        &mut self,
        files: &BTreeSet<PathBuf>,
    ) -> Result<BTreeMap<FrameNumber, String>> {
        let mut found: BTreeMap<FrameNumber, PlacedCaption> = BTreeMap::new();
        for file in files {
            for caption in caption_file::read(file, &mut self.problems)? {
                if !self.wanted.contains(&caption.frame) {
                    continue;
                }
                if let Some(first) = found.get(&caption.frame) {
                    let problem = format!(
                        "{} has a second caption (the first: {})",
                        self.name(caption.frame),
                        first.place
                    );
                    self.problems.push(Error::failure(problem).at(caption.place));
                    continue;
                }
                found.insert(caption.frame, caption);
            }
        }
        Ok(found.into_iter().map(|(frame, caption)| (frame, caption.caption)).collect())
    }

    fn interactions(&mut self) -> Result<BTreeMap<FrameNumber, Vec<LabelledInteraction>>> {
        let mut interactions = BTreeMap::new();
        let mut files: BTreeMap<PathBuf, InteractionFile> = BTreeMap::new();
        for sequence in self.source.sequences() {
            let mut places = self
                .source
                .interactions
                .iter()
                .map(|pattern| (pattern, self.root.join(pattern.fill(sequence, 0))));
            let Some((pattern, path)) = places.find(|(_, path)| is_there(path)) else {
                continue;
            };
            if path.is_dir() {
                for (frame, file) in self.xml_files(pattern, sequence, &path)? {
                    let found = xml::interactions(&file, self.classes, &mut self.problems);
                    interactions.extend(found.map(|found| (frame, found)));
                }
                continue;
            }
            if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
                interactions.extend(self.interactions_of_video(pattern, sequence, &path)?);
                continue;
            }
            let file = match files.entry(path) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(new) => {
                    let file = interaction_file::read(
                        new.key(),
                        pattern.has_sequence(),
                        &mut self.problems,
                    )?;
                    new.insert(file)
                }
            };
            interactions.extend(self.interactions_of_rows(sequence, file));
        }
        Ok(interactions)
    }

    /// The interactions of a file of CholecT50. Its phases are kept, too.
    fn interactions_of_video(
        &mut self,
        pattern: &Pattern,
        sequence: u32,
        path: &Path,
    ) -> Result<BTreeMap<FrameNumber, Vec<LabelledInteraction>>> {
        if !pattern.has_sequence() {
            return Err(Error::failure(format!(
                "a JSON file of interactions is one video's, but `{pattern}` names none"
            ))
            .at_path(path)
            .hint("write the pattern with {sequence}, as in `labels/VID{sequence:02}.json`"));
        }
        let translation =
            cholect50::Translation { classes: self.classes, verbs: &self.source.verbs };
        let found =
            cholect50::read(path, sequence, &translation, &self.wanted, &mut self.problems)?;
        self.phases.extend(found.phases);
        Ok(found.interactions)
    }

    fn interactions_of_rows(
        &mut self,
        sequence: u32,
        file: &InteractionFile,
    ) -> BTreeMap<FrameNumber, Vec<LabelledInteraction>> {
        let mut interactions: BTreeMap<FrameNumber, Vec<LabelledInteraction>> = BTreeMap::new();
        for row in file
            .rows_of(sequence)
            .filter(|row| self.wanted.contains(&FrameNumber { sequence, frame: row.frame }))
        {
            let of_frame =
                interactions.entry(FrameNumber { sequence, frame: row.frame }).or_default();
            match labelled(&row.tool, &row.interaction, self.classes) {
                Ok(found) => of_frame.extend(found),
                Err(error) => self.problems.push(error.at(&row.place)),
            }
        }
        interactions
    }

    /// The XML files of a sequence's rows that exist.
    fn xml_files(
        &self,
        pattern: &Pattern,
        sequence: u32,
        folder: &Path,
    ) -> Result<Vec<(FrameNumber, PathBuf)>> {
        if !pattern.has_sequence() {
            return Err(Error::failure(format!(
                "a folder of XML files is one sequence's, but `{pattern}` names none"
            ))
            .at_path(folder)
            .hint("write the pattern with {sequence}, as in `seq_{sequence}/xml`"));
        }
        let [first, last] = [0, u32::MAX].map(|frame| FrameNumber { sequence, frame });
        let of_sequence = self.wanted.range(first..=last);
        let files = of_sequence.map(|&frame| {
            (frame, folder.join(format!("{}.xml", self.source.frame_name(frame.frame))))
        });
        Ok(files.filter(|(_, file)| is_there(file)).collect())
    }

    fn name(&self, frame: FrameNumber) -> String {
        format!(
            "{}/{}",
            self.source.sequence_name(frame.sequence),
            self.source.frame_name(frame.frame)
        )
    }
}

/// The interaction of a tool. `None`: the tool is the tissue, or of a class that the label space
/// does not have.
fn labelled(
    tool: &str,
    interaction: &str,
    classes: &ClassMap,
) -> Result<Option<LabelledInteraction>> {
    let Some(class) = classes.class(tool)?.filter(|&class| class != classes.space.tissue()) else {
        return Ok(None);
    };
    let wanted = normalized(interaction);
    let known = INTERACTIONS.iter().position(|name| normalized(name) == wanted);
    let interaction = known.ok_or_else(|| {
        Error::failure(format!(
            "`{}` is not an interaction (they are {})",
            interaction.trim(),
            INTERACTIONS.join(", ")
        ))
    })?;
    Ok(Some(LabelledInteraction { class, interaction }))
}

#[cfg(test)]
mod tests;
