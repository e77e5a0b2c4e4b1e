//! The index: every frame of a data set with its labels and boxes, whatever layout it came in.
//!
//! Row `i` of the frames is row `i` of the pictures, of the annotations, and of the pack made from
//! the pictures. The pictures are listed apart from the labels, so that a change of labels or of
//! the label space does not pack the pictures again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use super::adapters::Layout;
use super::annotations::{self, FrameAnnotation, FrameNumber};
use super::boxes::{self, BoxEnds, BoxesByFrame, RawBox};
pub use super::frame::{DetectedBox, Frame, LabelledBox, Picture, SkippedFrame, skipped_frame};
pub use super::json_lines::{read_lines, write_lines};
use super::labels::ClassMap;
use super::pattern::Pattern;
use super::raw::{RawFrame, RawSequence, Split};
use super::source::SourceLayout;
use crate::vision::picture;
use surgcam_engine::error::{Error, Result};

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnBadFrame {
    #[default]
    Fail,
    Skip,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexSummary {
    pub train_frames: usize,
    pub validation_frames: usize,
    pub frames_with_boxes: usize,
    /// Indices of the classes that this data set's boxes can annotate.
    pub annotated_classes: Vec<usize>,
    pub skipped: Vec<SkippedFrame>,
}

/// All lists but the last two have an entry for each row.
pub struct Index {
    pub frames: Vec<Frame>,
    pub pictures: Vec<PathBuf>,
    pub annotations: Vec<FrameAnnotation>,
    pub summary: IndexSummary,
    /// Captions and interactions that could not be used. They are not in the summary, because their
    /// frames are in the index.
    pub skipped_annotations: Vec<SkippedFrame>,
    /// Boxes that were cut at the edge of their picture, or that are listed twice.
    pub corrected_boxes: Vec<SkippedFrame>,
}

/// Reads labels, boxes and annotations, and checks that each frame has a picture, which is not
/// decoded. With [`OnBadFrame::Fail`] the first problem is the error.
pub fn build(
    source: &SourceLayout,
    root: &Path,
    classes: &ClassMap,
    on_bad_frame: OnBadFrame,
) -> Result<Index> {
    let mut builder = Builder::new(source, root, classes);
    let folder = source.folder(root);
    for sequence in source.layout.adapter().sequences(&folder)? {
        builder.add_sequence(sequence?)?;
    }
    builder.add_annotations(on_bad_frame)?;
    builder.finish(on_bad_frame)
}

/// So many sequences are read one by one where they cannot be read together.
const MOST_READ_ALONE: usize = 500;

/// What can be used of a data set, and everything that is wrong with the rest.
pub struct Survey {
    pub index: Index,
    /// The problems of frames, labels and boxes, each with its place.
    pub problems: Vec<Error>,
    /// The problems of captions and interactions.
    pub annotation_problems: Vec<Error>,
}

/// As [`build`], but goes on after a file that cannot be read, so that every sequence tells its own
/// problems.
pub fn survey(source: &SourceLayout, root: &Path, classes: &ClassMap) -> Survey {
    let mut builder = Builder::new(source, root, classes);
    builder.add_all_readable();
    let annotation_problems =
        match annotations::gather(source, root, classes, &builder.frame_numbers) {
            Ok(gathered) => {
                builder.index.annotations = gathered.annotations;
                gathered.problems
            }
            Err(error) => {
                let frames = builder.index.frames.len();
                builder.index.annotations.resize(frames, FrameAnnotation::default());
                vec![error]
            }
        };
    builder.index.summary = builder.summary();
    Survey { index: builder.index, problems: builder.problems, annotation_problems }
}

struct Builder<'a> {
    source: &'a SourceLayout,
    root: &'a Path,
    classes: &'a ClassMap,
    /// The sequences of each split.
    train: BTreeSet<u32>,
    validation: BTreeSet<u32>,
    problems: Vec<Error>,
    annotated: BTreeSet<usize>,
    /// The numbers of the frame in each row of the index.
    frame_numbers: Vec<FrameNumber>,
    index: Index,
}

impl<'a> Builder<'a> {
    fn new(source: &'a SourceLayout, root: &'a Path, classes: &'a ClassMap) -> Self {
        Builder {
            source,
            root,
            classes,
            train: source.train.iter().copied().collect(),
            validation: source.validation.iter().copied().collect(),
            problems: Vec::new(),
            annotated: BTreeSet::new(),
            frame_numbers: Vec::new(),
            index: Index {
                frames: Vec::new(),
                pictures: Vec::new(),
                annotations: Vec::new(),
                summary: IndexSummary::default(),
                skipped_annotations: Vec::new(),
                corrected_boxes: Vec::new(),
            },
        }
    }

    fn add_all_readable(&mut self) {
        let source = self.source;
        let Err(error) = self.add_readable(source) else { return };
        // Where a file belongs to a sequence, the others can be read without it.
        let sequences = source.sequences();
        let is_by_sequence = source.labels.iter().any(Pattern::has_sequence);
        if !(2..=MOST_READ_ALONE).contains(&sequences.len()) || !is_by_sequence {
            self.problems.push(error);
            return;
        }
        let mut told = BTreeSet::new();
        for sequence in sequences {
            if let Err(error) = self.add_readable(&source.of_sequence(sequence))
                && told.insert(error.to_string())
            {
                self.problems.push(error);
            }
        }
    }

    /// The sequences of a part of the source. Fails if none of them can be read.
    fn add_readable(&mut self, part: &SourceLayout) -> Result<()> {
        let folder = part.folder(self.root);
        for sequence in part.layout.adapter().sequences(&folder)? {
            if let Err(error) = sequence.and_then(|sequence| self.add_sequence(sequence)) {
                self.problems.push(error);
            }
        }
        Ok(())
    }

    fn add_sequence(&mut self, mut raw: RawSequence) -> Result<()> {
        let sequence = raw.number;
        let (before, problems_before) = (self.index.frames.len(), self.problems.len());
        self.problems.append(&mut raw.problems);
        for name in &raw.annotated {
            self.annotated.extend(self.classes.class(name).map_err(|error| error.at(&raw.place))?);
        }
        let mut boxes = raw.boxes.take();
        let mut seen: BTreeMap<u32, String> = BTreeMap::new();
        for frame in &raw.frames {
            if let Some(first) = seen.get(&frame.number) {
                let problem = format!(
                    "{} is listed twice (first at {first})",
                    self.source.frame_name(frame.number)
                );
                self.problems.push(Error::failure(problem).at(&frame.place));
                continue;
            }
            seen.insert(frame.number, frame.place.clone());
            let boxes_of_frame = boxes.as_mut().and_then(|boxes| boxes.take(frame.number));
            match self.frame(sequence, frame, boxes_of_frame, (raw.box_space, raw.box_ends)) {
                Ok((record, picture)) => {
                    self.annotated
                        .extend(record.boxes.iter().flatten().map(|labelled| labelled.class));
                    self.index.frames.push(record);
                    self.frame_numbers.push(FrameNumber { sequence, frame: frame.number });
                    self.index.pictures.push(picture);
                }
                Err(error) => self.problems.push(error),
            }
        }
        self.problems.extend(boxes.into_iter().flat_map(BoxesByFrame::into_problems));
        if self.index.frames.len() == before && self.problems.len() == problems_before {
            let name = self.source.sequence_name(sequence);
            let error = Error::failure(format!("{name} has no frames"))
                .at(raw.place)
                .hint("take the sequence out of the data recipe's `train` or `validation`");
            // If frames are skipped, this is one more problem to report.
            if self.problems.is_empty() {
                return Err(error);
            }
            self.problems.push(error);
        }
        Ok(())
    }

    fn frame(
        &mut self,
        sequence: u32,
        raw: &RawFrame,
        boxes: Option<Result<Vec<RawBox>>>,
        (box_space, box_ends): (Option<[u32; 2]>, BoxEnds),
    ) -> Result<(Frame, PathBuf)> {
        let (train, validation) = self.splits(sequence, raw)?;
        let relative = raw
            .picture
            .clone()
            .unwrap_or_else(|| PathBuf::from(self.source.frames.fill(sequence, raw.number)));
        let path = self.root.join(&relative);
        if !path.is_file() {
            let what =
                if path.exists() { "a picture that is not a regular file" } else { "no picture" };
            return Err(
                Error::failure(format!("the label at {} has {what}", raw.place)).at_path(&path)
            );
        }
        // Boxes come first, because a box of an unknown class names the exact line.
        let boxes = boxes.transpose()?;
        let box_space = match (box_space, &boxes) {
            (Some(space), _) => space,
            (None, Some(_)) => size_of_picture(&path, raw)?,
            (None, None) => [0, 0],
        };
        let checked = boxes
            .map(|boxes| boxes::checked(boxes, self.classes, box_space, box_ends))
            .transpose()?;
        let mut labels = BTreeSet::from([self.classes.space.tissue()]);
        for tool in &raw.tools {
            labels.extend(self.classes.class(tool).map_err(|error| error.at(&raw.place))?);
        }
        let boxes = checked.map(|checked| {
            self.index.corrected_boxes.extend(checked.corrected.iter().map(skipped_frame));
            checked.boxes
        });
        let frame = Frame {
            sequence: self.source.sequence_name(sequence),
            name: self.source.frame_name(raw.number),
            train,
            validation,
            labels: labels.into_iter().collect(),
            boxes,
            box_space,
            detected: Vec::new(),
        };
        Ok((frame, relative))
    }

    /// Whether a frame is for training, and whether it is for validation. Labels that have a split
    /// of their own must not contradict the recipe: a sequence that the recipe keeps for validation
    /// is never trained on.
    fn splits(&self, sequence: u32, raw: &RawFrame) -> Result<(bool, bool)> {
        let (train, validation) =
            (self.train.contains(&sequence), self.validation.contains(&sequence));
        let (split, other) = match raw.split {
            None => return Ok((train, validation)),
            Some(Split::Train) if train => return Ok((true, false)),
            Some(Split::Validation) if validation => return Ok((false, true)),
            Some(Split::Train) => ("train", "validation"),
            Some(Split::Validation) => ("validation", "train"),
        };
        let name = self.source.sequence_name(sequence);
        Err(Error::failure(format!(
            "the frame's split is `{split}`, but the recipe has {name} in `{other}` alone"
        ))
        .at(&raw.place)
        .hint(format!(
            "add {sequence} to the data recipe's `{split}`, or take the column `split` out of the \
             file to follow the recipe"
        )))
    }

    /// Annotations that cannot be used do not take their frames out of the index. If labels have
    /// problems, too, these are reported first.
    fn add_annotations(&mut self, on_bad_frame: OnBadFrame) -> Result<()> {
        let gathered =
            annotations::gather(self.source, self.root, self.classes, &self.frame_numbers)?;
        if on_bad_frame == OnBadFrame::Fail && self.problems.is_empty() {
            fail_at_first(
                &gathered.problems,
                "captions and interactions",
                "go on without such annotations",
            )?;
        }
        self.index.annotations = gathered.annotations;
        self.index.skipped_annotations = gathered.problems.iter().map(skipped_frame).collect();
        Ok(())
    }

    fn summary(&self) -> IndexSummary {
        let frames = &self.index.frames;
        IndexSummary {
            train_frames: frames.iter().filter(|frame| frame.train).count(),
            validation_frames: frames.iter().filter(|frame| frame.validation).count(),
            frames_with_boxes: frames.iter().filter(|frame| frame.boxes.is_some()).count(),
            annotated_classes: self.annotated.iter().copied().collect(),
            skipped: self.problems.iter().map(skipped_frame).collect(),
        }
    }

    fn finish(mut self, on_bad_frame: OnBadFrame) -> Result<Index> {
        if on_bad_frame == OnBadFrame::Fail {
            fail_at_first(&self.problems, "frames", "leave such frames out")?;
        }
        self.index.summary = self.summary();
        for (wanted, found, name) in [
            (!self.source.train.is_empty(), self.index.summary.train_frames, "train"),
            (
                !self.source.validation.is_empty(),
                self.index.summary.validation_frames,
                "validation",
            ),
        ] {
            if wanted && found == 0 {
                return Err(Error::failure(format!("the {name} sequences have no usable frame"))
                    .at_path(self.root));
            }
        }
        Ok(self.index)
    }
}

/// The `[width, height]` of a picture, which must be that of its label: in a picture that was
/// resized after it was labelled, the boxes would be in other places.
fn size_of_picture(path: &Path, raw: &RawFrame) -> Result<[u32; 2]> {
    let size = picture::dimensions(path)?;
    match raw.picture_size {
        Some(labelled) if labelled != size => {
            let ([width, height], [labelled_width, labelled_height]) = (size, labelled);
            let what = format!(
                "the label counts in a picture of {labelled_width}x{labelled_height} pixels, but \
                 {} has {width}x{height}",
                path.display()
            );
            Err(Error::failure(what)
                .at(&raw.place)
                .hint("use the pictures that were labelled, or label these"))
        }
        _ => Ok(size),
    }
}

/// The first problem as the error, if there is one. `things` are what has the problems, and
/// `do_instead` is what `on_bad_frame = "skip"` would do.
fn fail_at_first(problems: &[Error], things: &str, do_instead: &str) -> Result<()> {
    let Some(first) = problems.first() else { return Ok(()) };
    let others = match problems.len() - 1 {
        0 => String::new(),
        more => format!(" ({more} more {things} of this data set have a problem)"),
    };
    let instead = format!("or set `on_bad_frame = \"skip\"` in the data recipe to {do_instead}");
    let hint = match first.hint_text() {
        Some(hint) => format!("{hint}; {instead}"),
        None => format!("correct it, {instead}"),
    };
    Err(Error::failure(format!("{}{others}", first.what()))
        .at(first.place().unwrap_or_default())
        .hint(hint))
}

/// The names of the files in an index object of the store.
pub const FRAMES_FILE: &str = "frames.jsonl";
pub const SUMMARY_FILE: &str = "summary.json";

/// Reads the frames of an index object in the store.
pub fn read_frames(index: &Path) -> Result<Vec<Frame>> {
    read_lines(&index.join(FRAMES_FILE))
}

/// Reads the summary of an index object in the store.
pub fn read_summary(index: &Path) -> Result<IndexSummary> {
    surgcam_engine::store::read_json(&index.join(SUMMARY_FILE))
}
