//! Finds the frame of an index that an entry of a detector's file is about: by the path of its
//! picture, or by the numbers of its sequence and of the frame.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::dataset::fields::{number_at_end, path_below_root};
use crate::dataset::frame::Frame;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

/// The frames of an index.
#[derive(Debug, Clone, Copy)]
pub struct KnownFrames<'a> {
    pub frames: &'a [Frame],
    /// The picture of each frame, below `root`.
    pub pictures: &'a [PathBuf],
    pub root: &'a Path,
}

pub(super) struct FrameFinder<'a> {
    known: KnownFrames<'a>,
    /// The rows of the frames by the file names of their pictures.
    by_name: HashMap<&'a OsStr, Vec<usize>>,
    by_numbers: HashMap<(u32, u32), usize>,
    /// The rows of paths that were asked for before, because a file has many boxes of a picture.
    asked: HashMap<String, usize>,
}

impl<'a> FrameFinder<'a> {
    pub(super) fn of(known: &KnownFrames<'a>) -> Self {
        let mut finder = FrameFinder {
            known: *known,
            by_name: HashMap::new(),
            by_numbers: HashMap::new(),
            asked: HashMap::new(),
        };
        for (row, (frame, picture)) in known.frames.iter().zip(known.pictures).enumerate() {
            if let Some(name) = picture.file_name() {
                finder.by_name.entry(name).or_default().push(row);
            }
            if let Some(numbers) = number_at_end(&frame.sequence).zip(number_at_end(&frame.name)) {
                finder.by_numbers.insert(numbers, row);
            }
        }
        finder
    }

    /// The row of the frame whose picture has this path, or whose path ends with it.
    pub(super) fn by_path(&mut self, text: &str) -> Result<usize> {
        if let Some(&row) = self.asked.get(text) {
            return Ok(row);
        }
        let path = path_below_root(text)?;
        let of_name = path.file_name().and_then(|name| self.by_name.get(name));
        let ending: Vec<usize> = of_name
            .into_iter()
            .flatten()
            .copied()
            .filter(|&row| self.known.pictures[row].ends_with(&path))
            .collect();
        let whole = ending.iter().copied().find(|&row| self.known.pictures[row] == path);
        let row = match (whole, ending.as_slice()) {
            (Some(row), _) | (None, &[row]) => row,
            (None, []) => {
                return Err(Error::failure(format!(
                    "there is a box of `{}`, which is not the picture of a frame in use",
                    shortened(text)
                ))
                .hint(
                    "write the path from the data set's folder on, and take the boxes of pictures \
                     out that the data recipe does not use",
                ));
            }
            (None, &[first, second, ..]) => {
                let (first, second) = (&self.known.pictures[first], &self.known.pictures[second]);
                return Err(Error::failure(format!(
                    "the path `{}` is the end of several pictures' paths: {} and {}",
                    shortened(text),
                    shortened(first.display()),
                    shortened(second.display())
                ))
                .hint("write more of the path, from the data set's folder on"));
            }
        };
        self.asked.insert(text.to_string(), row);
        Ok(row)
    }

    /// The row of a frame by its numbers.
    pub(super) fn by_numbers(&self, sequence: u32, frame: u32) -> Result<usize> {
        self.by_numbers.get(&(sequence, frame)).copied().ok_or_else(|| {
            Error::failure(format!(
                "there is a box of frame {frame} of sequence {sequence}, which is not in use"
            ))
            .hint("take the boxes of frames out that the data recipe does not use")
        })
    }
}
