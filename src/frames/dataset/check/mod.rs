//! A look at a data set before anything is trained on it: what it has, and what is wrong with it.
//!
//! * [`propose`] finds out how to read a folder that no recipe describes. `listing` walks through
//!   it, `numbered` finds the patterns in the names of its files, `recognise` finds the layout,
//!   `pictures` finds the pictures of the labels, and `split` chooses what is for training.
//! * [`check`] reads a data set as an index does, continues after mistakes, and counts what it
//!   finds in a [`Report`]. `duplicates` and `frame_rate` find what an index does not look for.
//!
//! No picture is decoded, and files are hashed a piece at a time.

mod duplicates;
mod frame_rate;
mod listing;
mod numbered;
mod pictures;
mod proposal;
mod recognise;
mod report;
mod split;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;

pub use proposal::{Proposal, layout_name, propose};
pub use report::{ClassCount, Kind, PerSplit, PictureSize, Problem, Report, SequenceCount};

use super::index::{self, Frame, Index, Survey};
use super::labels::ClassMap;
use super::source::SourceLayout;
use crate::vision::picture;
use report::problem;
use surgcam_engine::error::Error;

/// A class is reported as rare if it has this many times fewer frames than the most frequent one.
const IMBALANCE: usize = 20;

pub struct Checked {
    pub report: Report,
    /// What can be used.
    pub index: Index,
}

/// Reads everything that the recipe has of the folder.
pub fn check(source: &SourceLayout, root: &Path, classes: &ClassMap) -> Checked {
    let Survey { index, problems, annotation_problems } = index::survey(source, root, classes);
    let mut found: Vec<Problem> = Vec::new();
    found.extend(
        frame_rate::mistakes(source, root).iter().map(|error| problem(Kind::FrameRate, error)),
    );
    found.extend(problems.iter().map(|error| problem(Kind::Labels, error)));
    found.extend(annotation_problems.iter().map(|error| problem(Kind::Annotations, error)));
    let (picture_sizes, broken) = looked_at(root, &index);
    found.extend(broken.iter().map(|error| problem(Kind::Pictures, error)));
    let same = duplicates::same_content(root, &index.pictures);
    found.extend(across_splits(root, &index, &same));
    found.extend(sequences_in_both(root, &index.frames));
    if index.frames.is_empty() && found.is_empty() {
        let hint = "look at `train`, `validation` and the patterns of the recipe";
        let error = Error::failure("no frame can be used").at_path(root).hint(hint);
        found.push(problem(Kind::Labels, &error));
    }
    let report = Report {
        root: root.display().to_string(),
        layout: source.layout,
        frames_pattern: source.frames.to_string(),
        labels: source.labels.iter().map(ToString::to_string).collect(),
        frame_step: source.frame_step,
        sequences: sequences(&index.frames),
        frames: per_split(&index.frames, |_, _| 1),
        frames_with_boxes: per_split(&index.frames, |_, frame| usize::from(frame.boxes.is_some())),
        boxes: per_split(&index.frames, |_, frame| frame.boxes.as_ref().map_or(0, Vec::len)),
        captions: per_split(&index.frames, |row, _| {
            usize::from(index.annotations[row].caption.is_some())
        }),
        interactions: per_split(&index.frames, |row, _| {
            index.annotations[row].interactions.as_ref().map_or(0, Vec::len)
        }),
        classes: class_counts(&index.frames, classes),
        picture_sizes,
        same_pictures: same.iter().map(|places| places.len() - 1).sum(),
        changed_boxes: index.corrected_boxes.clone(),
        is_sound: found.is_empty(),
        problems: found,
        notes: Vec::new(),
    };
    let report = Report { notes: notes(&report), ..report };
    Checked { report, index }
}

fn per_split(frames: &[Frame], count: impl Fn(usize, &Frame) -> usize) -> PerSplit {
    let mut counted = PerSplit::default();
    for (row, frame) in frames.iter().enumerate() {
        counted.add(frame, count(row, frame));
    }
    counted
}

fn sequences(frames: &[Frame]) -> Vec<SequenceCount> {
    // They are in the order of the index, which is rising.
    let mut counts: Vec<SequenceCount> = Vec::new();
    for frame in frames {
        match counts.last_mut() {
            Some(last) if last.name == frame.sequence => last.frames.add(frame, 1),
            _ => {
                let mut count =
                    SequenceCount { name: frame.sequence.clone(), frames: PerSplit::default() };
                count.frames.add(frame, 1);
                counts.push(count);
            }
        }
    }
    counts
}

fn class_counts(frames: &[Frame], classes: &ClassMap) -> Vec<ClassCount> {
    let count = |(class, name): (usize, &String)| ClassCount {
        name: name.clone(),
        is_tissue: class == classes.space.tissue(),
        frames: per_split(frames, |_, frame| usize::from(frame.labels.contains(&class))),
        boxes: per_split(frames, |_, frame| {
            frame.boxes.iter().flatten().filter(|labelled| labelled.class == class).count()
        }),
    };
    classes.space.classes.iter().enumerate().map(count).collect()
}

/// How many pictures there are of each size, and those that cannot be read.
fn looked_at(root: &Path, index: &Index) -> (Vec<PictureSize>, Vec<Error>) {
    let sizes: Vec<Result<[u32; 2], Error>> = index
        .pictures
        .par_iter()
        .map(|path| picture::dimensions_of_whole(&root.join(path)))
        .collect();
    let (mut counts, mut broken) = (BTreeMap::new(), Vec::new());
    for size in sizes {
        match size {
            Ok(size) => *counts.entry(size).or_insert(0) += 1,
            Err(error) => broken.push(error),
        }
    }
    let mut sizes: Vec<PictureSize> = counts
        .into_iter()
        .map(|([width, height], pictures)| PictureSize { width, height, pictures })
        .collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.pictures));
    (sizes, broken)
}

/// Pictures with the same content of which one is for training and another one for validation.
fn across_splits(root: &Path, index: &Index, same: &[Vec<usize>]) -> Vec<Problem> {
    let first_pair = |places: &Vec<usize>| {
        let train = places.iter().find(|&&place| index.frames[place].train)?;
        let validation =
            places.iter().find(|&&place| place != *train && index.frames[place].validation)?;
        let [train, validation] =
            [train, validation].map(|&place| root.join(&index.pictures[place]));
        let what = format!(
            "the picture is for training and has the same content as {}, which is for validation",
            validation.display()
        );
        let hint = "take one of the two out, or move its sequence to the other split";
        Some(problem(Kind::Duplicates, &Error::failure(what).at_path(&train).hint(hint)))
    };
    same.iter().filter_map(first_pair).collect()
}

fn sequences_in_both(root: &Path, frames: &[Frame]) -> Vec<Problem> {
    let of = |is_in: fn(&Frame) -> bool| -> BTreeSet<&str> {
        frames.iter().filter(|frame| is_in(frame)).map(|frame| frame.sequence.as_str()).collect()
    };
    let (train, validation) = (of(|frame| frame.train), of(|frame| frame.validation));
    let told = |name: &&str| {
        let what = format!("{name} is for training and for validation, and its frames look alike");
        let hint = "split by sequence: leave it in one of the recipe's `train` and `validation`";
        problem(Kind::SameSequence, &Error::failure(what).at_path(root).hint(hint))
    };
    train.intersection(&validation).map(told).collect()
}

/// What is worth knowing but not a mistake.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let instruments: Vec<&ClassCount> =
        report.classes.iter().filter(|class| !class.is_tissue).collect();
    let most = instruments.iter().map(|class| class.frames.train).max().unwrap_or(0);
    let rare: Vec<String> = instruments
        .iter()
        .filter(|class| class.frames.train > 0 && class.frames.train * IMBALANCE <= most)
        .map(|class| format!("{} ({})", class.name, class.frames.train))
        .collect();
    if !rare.is_empty() {
        notes.push(format!(
            "imbalance: the most frequent class has {most} frames for training, at least \
             {IMBALANCE} times those of {}",
            rare.join(", ")
        ));
    }
    type FramesOfSplit = fn(&PerSplit) -> usize;
    let splits: [(&str, FramesOfSplit); 2] =
        [("train", |count| count.train), ("validation", |count| count.validation)];
    for (split, frames_of) in splits {
        let absent = instruments.iter().filter(|class| frames_of(&class.frames) == 0);
        let absent: Vec<&str> = absent.map(|class| class.name.as_str()).collect();
        if frames_of(&report.frames) == 0 {
            notes.push(format!("no frame is for {split}"));
        } else if !absent.is_empty() {
            notes.push(format!("without a frame for {split}: {}", absent.join(", ")));
        }
    }
    if report.same_pictures > 0 {
        notes.push(format!("{} pictures have the content of another one", report.same_pictures));
    }
    if report.frames.total() > 0 && report.boxes.total() == 0 {
        notes.push("there are no boxes, so localisation cannot be scored".to_string());
    }
    notes
}

#[cfg(test)]
mod tests;
