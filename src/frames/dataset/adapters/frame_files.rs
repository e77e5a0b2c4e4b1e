//! Finds label files that each belong to one picture, by a pattern of the recipe such as
//! `Annotations/v{sequence:02}_{frame:06}.xml`.
//!
//! The name of a file, and the folder it lies in, say which sequence and which frame it belongs to.
//! A file whose name does not have the pattern, or whose name and folder say different sequences,
//! is a problem with its path.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::dataset::folder::{DataFolder, list_files};
use crate::dataset::pattern::Pattern;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

#[derive(Debug)]
pub struct FrameFile {
    /// Below the root.
    pub path: PathBuf,
    /// The file's name without its ending.
    pub name: String,
    /// The number of the picture.
    pub frame: u32,
}

#[derive(Debug, Default)]
pub struct FrameFiles {
    /// The files of each sequence in use, by frame number.
    pub by_sequence: BTreeMap<u32, BTreeMap<u32, FrameFile>>,
    /// Each folder that was listed, below the root.
    pub folders: BTreeSet<PathBuf>,
    /// The names of all files without their ending, also of sequences that are not in use.
    pub names: BTreeSet<String>,
    /// Files that cannot be assigned to a frame.
    pub problems: Vec<Error>,
}

impl FrameFiles {
    /// Lists the folders of the sequences in use. `passed_over` is the name of a file that does not
    /// belong to a frame.
    pub fn of(folder: &DataFolder, passed_over: &str) -> Result<Self> {
        let mut found = FrameFiles::default();
        // All sequences first, for one folder may have the files of several.
        found
            .by_sequence
            .extend(folder.sequences.iter().map(|&sequence| (sequence, BTreeMap::new())));
        for &sequence in &folder.sequences {
            let place = LabelFolder::of(folder, sequence)?;
            if found.folders.insert(place.path.clone()) {
                found.list(folder, &place, passed_over)?;
            }
        }
        Ok(found)
    }

    /// The files of the sequences in use, below the root.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.by_sequence.values().flat_map(BTreeMap::values).map(|file| file.path.as_path())
    }

    fn list(&mut self, folder: &DataFolder, place: &LabelFolder, passed_over: &str) -> Result<()> {
        let mut files = Vec::new();
        list_files(folder.root, &place.path, &mut files)?;
        for path in files {
            let has_ending = path.extension() == Path::new(&place.example).extension();
            if !has_ending || path.file_name() == Some(OsStr::new(passed_over)) {
                continue;
            }
            if let Err(error) = self.add(folder, place, &path) {
                self.problems.push(error.at_path(&folder.root.join(&path)));
            }
        }
        Ok(())
    }

    fn add(&mut self, folder: &DataFolder, place: &LabelFolder, path: &Path) -> Result<()> {
        let file_name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let (sequence, number) = place.numbers(folder, file_name)?;
        let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_string();
        self.names.insert(name.clone());
        let Some(files) = self.by_sequence.get_mut(&sequence) else { return Ok(()) };
        if !number.is_multiple_of(folder.frame_step) {
            return Ok(());
        }
        let frame = number / folder.frame_step;
        match files.entry(frame) {
            Entry::Occupied(first) => {
                let first = folder.root.join(&first.get().path);
                Err(Error::failure(format!("the file is of the same frame as {}", first.display())))
            }
            Entry::Vacant(entry) => {
                entry.insert(FrameFile { path: path.to_path_buf(), name, frame });
                Ok(())
            }
        }
    }
}

/// The folder in which the files of a sequence lie, and how they are named.
struct LabelFolder {
    /// Below the root.
    path: PathBuf,
    /// The pattern of a file's name, without its folder.
    pattern: Pattern,
    /// A name that has the pattern.
    example: String,
    /// The sequence that the folder belongs to. `None`: the path of the folder does not say one.
    sequence: Option<u32>,
}

impl LabelFolder {
    /// By the first pattern whose folder is there.
    fn of(folder: &DataFolder, sequence: u32) -> Result<Self> {
        for pattern in folder.labels {
            let filled = PathBuf::from(pattern.fill(sequence, 0));
            let path = filled.parent().unwrap_or(Path::new("")).to_path_buf();
            if folder.root.join(&path).is_dir() {
                return LabelFolder::from_pattern(pattern, path, sequence);
            }
        }
        let tried: Vec<String> =
            folder.labels.iter().map(|pattern| pattern.fill(sequence, 0)).collect();
        Err(Error::failure(format!(
            "there is no folder of label files for sequence {sequence} (looked for {})",
            tried.join(", ")
        ))
        .at_path(folder.root)
        .hint(
            "check `root`, `train` and `validation` of the data recipe, or give its `labels` \
             pattern; {frame} may stand in the name of a label file, but not in that of its folder",
        ))
    }

    fn from_pattern(pattern: &Pattern, path: PathBuf, sequence: u32) -> Result<Self> {
        let of_name = pattern.ending(1)?;
        if !of_name.has_frame() {
            return Err(Error::failure(format!(
                "the pattern `{pattern}` of the data recipe's `labels` names no file by its frame"
            ))
            .hint(
                "each label file belongs to one picture, so its name needs {frame}, as in \
                 Annotations/v{sequence:02}_{frame:06}.xml",
            ));
        }
        let folders = pattern.folders()?;
        if folders.iter().any(Pattern::has_frame) {
            return Err(Error::failure(format!(
                "the pattern `{pattern}` of the data recipe's `labels` has {{frame}} in the name \
                 of a folder"
            ))
            .hint(
                "the label files of a sequence lie in one folder, which may be named by {sequence}",
            ));
        }
        Ok(LabelFolder {
            path,
            example: of_name.fill(sequence, 0),
            pattern: of_name,
            sequence: folders.iter().any(Pattern::has_sequence).then_some(sequence),
        })
    }

    /// Sequence and number of a file. A file that says another sequence than its folder could
    /// belong to either.
    fn numbers(&self, folder: &DataFolder, file_name: &str) -> Result<(u32, u32)> {
        let numbers = self.pattern.numbers_in(file_name).unwrap_or_default();
        if let (Some(of_folder), Some(of_name)) = (self.sequence, numbers.sequence)
            && of_folder != of_name
        {
            return Err(Error::failure(format!(
                "the file's name says sequence {of_name}, but its folder is that of sequence \
                 {of_folder}"
            ))
            .hint("move the file to the folder of its sequence, or rename it"));
        }
        let sequence = numbers.sequence.or(self.sequence).or(folder.only_sequence());
        sequence.zip(numbers.frame).ok_or_else(|| {
            Error::failure(format!(
                "the file's name `{}` does not fit `{}` of the recipe",
                shortened(file_name),
                self.pattern
            ))
            .hint(
                "correct the data recipe's `labels`, where {sequence} and {frame} stand for the \
                 numbers in the name",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        labels: &str,
        sequences: &[u32],
        frame_step: u32,
        files: &[&str],
    ) -> Result<FrameFiles> {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let (labels, frames) = ([Pattern::parse(labels).unwrap()], Pattern::parse("").unwrap());
        let sequences: BTreeSet<u32> = sequences.iter().copied().collect();
        let folder = DataFolder {
            root: root.path(),
            undecided: BTreeSet::new(),
            sequences,
            frames: &frames,
            labels: &labels,
            boxes: &[],
            frame_step,
        };
        FrameFiles::of(&folder, "classes.txt")
    }

    fn frames(found: &FrameFiles) -> Vec<(u32, u32)> {
        found
            .by_sequence
            .iter()
            .flat_map(|(sequence, files)| files.keys().map(|frame| (*sequence, *frame)))
            .collect()
    }

    #[test]
    fn files_are_told_apart_by_the_numbers_in_their_names() {
        let files = [
            "a/v01_0050.txt",
            "a/v01_0051.txt",
            "a/v2_75.txt",
            "a/v03_25.txt",
            "a/classes.txt",
            "a/v01_0050.json",
        ];
        let found = found("a/v{sequence:02}_{frame:04}.txt", &[1, 2], 25, &files).unwrap();
        assert_eq!(frames(&found), [(1, 2), (2, 3)]);
        assert!(found.problems.is_empty() && found.names.contains("v03_25"), "{found:?}");
    }

    #[test]
    fn the_sequence_may_be_that_of_the_folder_or_the_only_one() {
        let files = ["video01/7.txt", "video02/7.txt"];
        assert_eq!(
            frames(&found("video{sequence:02}/{frame}.txt", &[1, 2], 1, &files).unwrap()),
            [(1, 7), (2, 7)]
        );
        assert_eq!(frames(&found("a/{frame}.txt", &[4], 1, &["a/7.txt"]).unwrap()), [(4, 7)]);
        assert_eq!(found("a/{frame}.txt", &[4, 5], 1, &["a/7.txt"]).unwrap().problems.len(), 1);
    }

    #[test]
    fn a_file_in_the_folder_of_another_sequence_belongs_to_neither() {
        let files = ["v1/1_7.txt", "v1/2_8.txt", "v2/2_9.txt"];
        let found = found("v{sequence}/{sequence}_{frame}.txt", &[1, 2], 1, &files).unwrap();
        assert_eq!(frames(&found), [(1, 7), (2, 9)]);
        let problem = found.problems[0].to_string();
        assert!(problem.contains("v1/2_8.txt: the file's name says sequence 2, but"), "{problem}");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let files = ["a/v1_7.txt", "a/v01_07.txt", "a/7.txt"];
        let problems: Vec<String> = found("a/v{sequence}_{frame}.txt", &[1], 1, &files)
            .unwrap()
            .problems
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            problems[0].contains(
                "a/7.txt: the file's name `7.txt` does not fit `v{sequence}_{frame}.txt`"
            ),
            "{problems:?}"
        );
        assert!(
            problems[1].contains("a/v1_7.txt: the file is of the same frame as "),
            "{problems:?}"
        );
        assert!(
            found("a/labels.txt", &[1], 1, &files)
                .unwrap_err()
                .what()
                .contains("names no file by its frame")
        );
        assert!(
            found("a/{frame}/{frame}.txt", &[1], 1, &["a/0/0.txt"])
                .unwrap_err()
                .what()
                .contains("has {frame} in the name of a folder")
        );
        assert!(
            found("b/{frame}.txt", &[1], 1, &files)
                .unwrap_err()
                .what()
                .contains("there is no folder of label files")
        );
    }
}
