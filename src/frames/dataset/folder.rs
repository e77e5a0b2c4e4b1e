//! A data set's folder and which of its sequences are wanted. This is what an adapter is given to
//! read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::pattern::Pattern;
use surgcam_engine::error::{AtPath, Error, Result};

#[derive(Debug)]
pub struct DataFolder<'a> {
    pub root: &'a Path,
    /// The sequences in use: those of the recipe's `train` and `validation`.
    pub sequences: BTreeSet<u32>,
    /// The sequences that the recipe has both in `train` and in `validation`. The data set's own
    /// splits may decide for each of their frames.
    pub undecided: BTreeSet<u32>,
    /// Where the picture of a frame lies, below the root.
    pub frames: &'a Pattern,
    /// Where label files lie, below the root. Most adapters read the first one that exists.
    pub labels: &'a [Pattern],
    /// Where box files lie, below the root. The first one that exists is read.
    pub boxes: &'a [Pattern],
    /// By how much the frame number in label files grows from one picture to the next.
    pub frame_step: u32,
}

impl DataFolder<'_> {
    /// The label file of a sequence, below the root. `name` is the sequence's name for the message.
    pub fn label_file(&self, sequence: u32, name: &str) -> Result<PathBuf> {
        first_existing(self.root, self.labels, sequence).ok_or_else(|| {
            let tried: Vec<String> =
                self.labels.iter().map(|pattern| pattern.fill(sequence, 0)).collect();
            Error::failure(format!("{name} has no tool file (looked for {})", tried.join(", ")))
                .at_path(self.root)
                .hint(
                    "check `root`, `train` and `validation` of the data recipe, or give its \
                     `labels` pattern",
                )
        })
    }

    /// All label files of a sequence that exist, below the root. If there is none, it is an error.
    pub fn all_label_files(&self, sequence: u32, name: &str) -> Result<Vec<PathBuf>> {
        self.label_file(sequence, name)?;
        let files = self.labels.iter().map(|pattern| PathBuf::from(pattern.fill(sequence, 0)));
        Ok(files.filter(|relative| is_there(&self.root.join(relative))).collect())
    }

    /// The sequence that a file belongs to if its name does not say one. `None`: several sequences
    /// are in use.
    pub fn only_sequence(&self) -> Option<u32> {
        self.sequences.first().copied().filter(|_| self.sequences.len() == 1)
    }

    /// The box file of a sequence, below the root. `None`: there is none.
    pub fn box_file(&self, sequence: u32) -> Option<PathBuf> {
        first_existing(self.root, self.boxes, sequence)
    }

    /// All files in the folders of pictures, below the root.
    pub fn files_beside_frames(&self) -> Result<Vec<PathBuf>> {
        // A set, because the pictures of all sequences may lie in one folder.
        let mut folders = BTreeSet::new();
        for &sequence in &self.sequences {
            folders.extend(self.picture_folders(sequence)?);
        }
        let mut files = Vec::new();
        for folder in folders.iter().filter(|folder| self.root.join(folder).is_dir()) {
            list_files(self.root, folder, &mut files)?;
        }
        Ok(files)
    }

    /// The folders in which pictures of a sequence may lie, below the root. If the name of a folder
    /// has `{frame}`, these are all folders that are there with such a name.
    fn picture_folders(&self, sequence: u32) -> Result<Vec<PathBuf>> {
        let patterns = self.frames.folders()?;
        if !patterns.iter().any(Pattern::has_frame) {
            let picture = PathBuf::from(self.frames.fill(sequence, 0));
            return Ok(vec![picture.parent().unwrap_or(Path::new("")).to_path_buf()]);
        }
        let mut folders = vec![PathBuf::new()];
        for pattern in patterns {
            let mut inner = Vec::new();
            for folder in &folders {
                if pattern.has_frame() {
                    inner.extend(self.folders_like(&pattern, folder, sequence)?);
                } else {
                    inner.push(folder.join(pattern.fill(sequence, 0)));
                }
            }
            folders = inner;
        }
        Ok(folders)
    }

    /// The folders in `parent` whose names have the pattern with this sequence, below the root.
    fn folders_like(
        &self,
        pattern: &Pattern,
        parent: &Path,
        sequence: u32,
    ) -> Result<Vec<PathBuf>> {
        let path = self.root.join(parent);
        if !path.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(&path).min_depth(1).max_depth(1).sort_by_file_name() {
            let entry = entry.at_path("list", &path)?;
            let numbers = entry.file_name().to_str().and_then(|name| pattern.numbers_in(name));
            let is_of_sequence =
                numbers.is_some_and(|found| found.sequence.is_none_or(|of| of == sequence));
            if is_of_sequence && entry.path().is_dir() {
                found.push(parent.join(entry.file_name()));
            }
        }
        Ok(found)
    }
}

/// Whether anything lies there. A link that leads nowhere counts: whoever made it meant something,
/// and reading it gives an error that says what is wrong.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The first file or folder that exists, by patterns below `root`.
pub(super) fn first_existing(root: &Path, patterns: &[Pattern], sequence: u32) -> Option<PathBuf> {
    patterns
        .iter()
        .map(|pattern| PathBuf::from(pattern.fill(sequence, 0)))
        .find(|relative| is_there(&root.join(relative)))
}

/// Adds a file, or the files of a folder but not of the folders in it, sorted by name. Anything
/// else, such as a pipe, is refused when it is hashed.
pub(super) fn list_files(root: &Path, relative: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = root.join(relative);
    if !path.is_dir() {
        files.push(relative.to_path_buf());
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in walkdir::WalkDir::new(&path).min_depth(1).max_depth(1) {
        let entry = entry.at_path("list", &path)?;
        if entry.file_type().is_file() || entry.path().is_file() {
            names.push(entry.file_name().to_os_string());
        }
    }
    // Names are compared byte by byte, paths by their parts, which takes ten times as long.
    names.sort_unstable();
    files.extend(names.iter().map(|name| relative.join(name)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_may_lie_in_a_folder_for_each_frame() {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["v1/f003/left.png", "v1/f012/left.png", "v1/other/left.png", "v2/f003/left.png"]
        {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let frames = Pattern::parse("v{sequence}/f{frame:03}/left.png").unwrap();
        let folder = DataFolder {
            root: root.path(),
            sequences: BTreeSet::from([1]),
            undecided: BTreeSet::new(),
            frames: &frames,
            labels: &[],
            boxes: &[],
            frame_step: 1,
        };
        let files = folder.files_beside_frames().unwrap();
        assert_eq!(files, ["v1/f003/left.png", "v1/f012/left.png"].map(PathBuf::from));
    }
}
