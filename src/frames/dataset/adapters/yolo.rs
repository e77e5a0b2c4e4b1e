//! YOLO: a folder with one text file for each picture, and in it a line `class cx cy width height`
//! for each instrument.
//!
//! * The recipe's `labels` is the pattern of the files, such as
//!   `labels/v{sequence:02}_{frame:06}.txt`, and `frames` says where their pictures lie.
//! * `class` is a number, counted from 0. Its name is on that line of `classes.txt`, which lies in
//!   the folder of the files, in the folder above it, or in the data set's root. Without that file
//!   the number itself is the name that the recipe's `classes` maps, as in `"0" = "hook"`.
//!   `data.yaml` is not read.
//! * The centre and the sides of a box are parts of the picture's width and height, from 0 to 1.
//!   Its corners are rounded to the nearest whole pixels, which gives back the corners that it was
//!   made from.
//!
//! A frame with an empty file shows no instrument. A picture without a file is not a frame of the
//! data set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::frame_files::{FrameFile, FrameFiles};
use crate::dataset::boxes::{BoxesByFrame, RawBox};
use crate::dataset::folder::{DataFolder, is_there};
use crate::dataset::label_file::{
    FRAME_TEXT_BYTES, LABEL_FILE_BYTES, expect_few_lines, expect_short_name,
};
use crate::dataset::labels::normalized;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence, RawSequences};
use crate::vision::geometry::Box2;
use crate::vision::picture;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::regular_file;

const CLASSES_FILE: &str = "classes.txt";

/// The parts of a side that a number may be. Numbers of a box that runs off the picture by a little
/// lie just below 0 or above 1. Whoever writes pixels has far larger numbers.
const PARTS: std::ops::RangeInclusive<f64> = -0.5..=1.5;

pub struct Yolo;

impl Adapter for Yolo {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("video{sequence:02}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("{frame:06}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        let mut files = FrameFiles::of(folder, CLASSES_FILE)?;
        let mut classes = ClassesByFolder::new();
        for listed in &files.folders {
            if let Some(file) = classes_file(folder, listed) {
                classes.insert(listed.clone(), Classes::read(&folder.root.join(file))?);
            }
        }
        // Problems are told with the first sequence.
        let mut problems = std::mem::take(&mut files.problems);
        Ok(Box::new(files.by_sequence.into_iter().map(
            move |(number, files)| -> Result<RawSequence> {
                let mut sequence = read_sequence(folder, number, files.into_values(), &classes);
                sequence.problems.append(&mut problems);
                Ok(sequence)
            },
        )))
    }

    fn label_files(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let files = FrameFiles::of(folder, CLASSES_FILE)?;
        let classes = files.folders.iter().filter_map(|listed| classes_file(folder, listed));
        let all: BTreeSet<PathBuf> = files.paths().map(Path::to_path_buf).chain(classes).collect();
        Ok(all.into_iter().collect())
    }
}

/// The names of the classes, by the folder of label files in which they are valid.
type ClassesByFolder = BTreeMap<PathBuf, Classes>;

/// The file with the names of classes, below the root: in the folder of label files, in the folder
/// above it, or in the root.
fn classes_file(folder: &DataFolder, listed: &Path) -> Option<PathBuf> {
    let folders = listed.ancestors().take(2).chain([Path::new("")]);
    folders.map(|place| place.join(CLASSES_FILE)).find(|file| is_there(&folder.root.join(file)))
}

/// The names of the classes by their number.
struct Classes {
    names: Vec<String>,
    path: String,
}

impl Classes {
    fn read(path: &Path) -> Result<Self> {
        let text = regular_file::read_to_string(path, LABEL_FILE_BYTES)?;
        expect_few_lines(&text, path)?;
        let mut names = Vec::new();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let name = line.trim();
            expect_short_name(name)
                .map_err(|error| error.at(format!("{}:{}", path.display(), index + 1)))?;
            names.push(name.to_string());
        }
        // An empty line takes a number, too. Empty lines at the end are dropped.
        names.truncate(names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1));
        Ok(Classes { names, path: path.display().to_string() })
    }

    fn name(&self, number: u32) -> Result<&str> {
        let name = self.names.get(number as usize).filter(|name| !name.is_empty());
        name.map(String::as_str).ok_or_else(|| {
            Error::failure(format!(
                "the class {number} has no name in {} ({} lines)",
                self.path,
                self.names.len()
            ))
            .hint("classes are counted from 0, so the first line names class 0")
        })
    }
}

fn read_sequence(
    folder: &DataFolder,
    number: u32,
    files: impl Iterator<Item = FrameFile>,
    classes: &ClassesByFolder,
) -> RawSequence {
    let mut sequence =
        RawSequence { number, place: folder.root.display().to_string(), ..RawSequence::default() };
    let mut boxes = BoxesByFrame::default();
    for file in files {
        let path = folder.root.join(&file.path);
        let classes = file.path.parent().and_then(|listed| classes.get(listed));
        let picture = folder.root.join(folder.frames.fill(number, file.frame));
        let found = read_file(&path, &picture, classes).map_err(|error| error.at_path(&path));
        let tools = found.iter().flatten().map(|found| found.name.clone()).collect();
        boxes.annotate(file.frame);
        boxes.add(file.frame, found);
        let place = path.display().to_string();
        sequence.frames.push(RawFrame { number: file.frame, tools, place, ..RawFrame::default() });
    }
    sequence.boxes = Some(boxes);
    sequence
}

fn read_file(path: &Path, picture: &Path, classes: Option<&Classes>) -> Result<Vec<RawBox>> {
    let text = regular_file::read_to_string(path, FRAME_TEXT_BYTES)?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    boxes_in(&text, path, picture::dimensions(picture)?, classes)
}

fn boxes_in(
    text: &str,
    path: &Path,
    size: [u32; 2],
    classes: Option<&Classes>,
) -> Result<Vec<RawBox>> {
    let mut boxes = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("{}:{}", path.display(), index + 1);
        let (name, bounds) = box_of(line, size, classes).map_err(|error| error.at(&place))?;
        boxes.push(RawBox { name, bounds, place });
    }
    Ok(boxes)
}

fn box_of(line: &str, size: [u32; 2], classes: Option<&Classes>) -> Result<(String, Box2)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [class, centre_and_sides @ ..] = &columns[..] else {
        return Err(Error::failure("the line is empty"));
    };
    if centre_and_sides.len() != 4 {
        let what = format!("the line has {} columns, 5 are expected", columns.len());
        return Err(Error::failure(what).hint(
            "a line is `class cx cy width height`; outlines of masks and confidences cannot be \
             read",
        ));
    }
    let number: u32 = class.parse().map_err(|_| {
        Error::failure(format!("`{}` is not the number of a class", shortened(class)))
    })?;
    let name = match classes {
        Some(classes) => normalized(classes.name(number)?),
        None => number.to_string(),
    };
    let mut parts = [0.0; 4];
    for (value, text) in parts.iter_mut().zip(centre_and_sides) {
        *value = part(text)?;
    }
    bounds(parts, size).map(|bounds| (name, bounds))
}

/// A number as a part of the picture's side.
fn part(text: &str) -> Result<f64> {
    text.parse::<f64>().ok().filter(|value| PARTS.contains(value)).ok_or_else(|| {
        Error::failure(format!("`{}` is not a part of a picture's side", shortened(text))).hint(
            "centre and sides of a box are written as parts of the picture's width and height, \
             from 0 to 1, and not in pixels",
        )
    })
}

fn bounds([x, y, width, height]: [f64; 4], size: [u32; 2]) -> Result<Box2> {
    if width < 0.0 || height < 0.0 {
        return Err(Error::failure("a side of the box is below 0"));
    }
    let pixels = |part: f64, side: u32| (part * f64::from(side)).round() as i64;
    let [across, down] = size;
    let first = [pixels(x - width / 2.0, across), pixels(y - height / 2.0, down)];
    let second = [pixels(x + width / 2.0, across), pixels(y + height / 2.0, down)];
    Ok(Box2::from([first[0], first[1], second[0], second[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn classes() -> Classes {
        Classes {
            names: ["hook", "", "Specimen Bag"].map(String::from).to_vec(),
            path: "classes.txt".to_string(),
        }
    }

    #[test]
    fn a_line_is_a_box_in_whole_pixels() {
        let (name, found) = box_of("2 0.5 0.5 0.25 1", [80, 64], Some(&classes())).unwrap();
        assert_eq!((name.as_str(), found), ("specimen_bag", Box2::from([30, 0, 50, 64])));
        assert_eq!(box_of("2 0.5 0.5 0.25 1", [80, 64], None).unwrap().0, "2");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        for (line, said) in [
            ("0 0.5 0.5 0.1", "f.txt:2: the line has 4 columns, 5 are expected"),
            ("0 0.5 0.5 0.1 0.1 0.9", "f.txt:2: the line has 6 columns, 5 are expected"),
            ("hook 0.5 0.5 0.1 0.1", "f.txt:2: `hook` is not the number of a class"),
            ("-1 0.5 0.5 0.1 0.1", "f.txt:2: `-1` is not the number of a class"),
            ("1 0.5 0.5 0.1 0.1", "f.txt:2: the class 1 has no name in classes.txt (3 lines)"),
            ("9 0.5 0.5 0.1 0.1", "f.txt:2: the class 9 has no name in classes.txt (3 lines)"),
            ("0 40 32 10 10", "f.txt:2: `40` is not a part of a picture's side"),
            ("0 nan 0.5 0.1 0.1", "f.txt:2: `nan` is not a part of a picture's side"),
            ("0 0.5 0.5 -0.1 0.1", "f.txt:2: a side of the box is below 0"),
        ] {
            let error =
                boxes_in(&format!("\n{line}"), Path::new("f.txt"), [80, 64], Some(&classes()))
                    .unwrap_err()
                    .to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn corners_come_back(first in (0i64..1920, 0i64..1080), sides in (1i64..400, 1i64..400)) {
            let size = [1920u32, 1080];
            let corners = [first.0, first.1, first.0 + sides.0, first.1 + sides.1];
            let [across, down] = size.map(f64::from);
            let [x1, y1, x2, y2] = corners.map(|corner| corner as f64);
            let centre = [(x1 + x2) / 2.0 / across, (y1 + y2) / 2.0 / down];
            let parts = [centre[0], centre[1], (x2 - x1) / across, (y2 - y1) / down];
            let written = parts.map(|part| format!("{part:.6}").parse::<f64>().unwrap());
            prop_assert_eq!(bounds(written, size).unwrap(), Box2::from(corners));
        }

        #[test]
        fn no_line_makes_the_reader_panic(line in "(\\PC|[0-9.]{1,8}| ){0,30}") {
            let _ = boxes_in(&line, Path::new("f"), [80, 64], None);
        }
    }
}
