//! Cholec80 folders: frames at 1 fps, tool files read by their header's names, an optional CSV of boxes (METHOD 2).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use polars::prelude::*;

use super::endovis18::label;
use super::index::{RawBox, RawFrame, RawSequence};
use super::labels::normalized;
use crate::error::{AtPath, Error, Result};
use crate::vision::geometry::Box2;

/// Paths are relative to `root`. `frame_step` rows of the video are one frame in the folder.
pub fn read_sequence(root: &Path, tool_file: &Path, box_file: Option<&Path>, frame_step: u32) -> Result<RawSequence> {
    let mut sequence = RawSequence::default();
    read_tools(&root.join(tool_file), frame_step, &mut sequence)?;
    if let Some(box_file) = box_file {
        read_boxes(&root.join(box_file), &mut sequence)?;
    }
    Ok(sequence)
}

fn read_tools(path: &Path, frame_step: u32, sequence: &mut RawSequence) -> Result<()> {
    let text = std::fs::read_to_string(path).at_path("read the tool file", path)?;
    let mut lines = text.lines().enumerate();
    let header: Vec<String> = match lines.next() {
        Some((_, line)) => line.split('\t').map(|name| name.trim().to_string()).collect(),
        None => return Err(Error::failure("the tool file is empty").at_path(path)),
    };
    let frame_column = header.iter().position(|name| normalized(name) == "frame").ok_or_else(|| {
        Error::failure(format!("the header has no column `Frame` (it has {})", header.join(", "))).at(format!("{}:1", path.display()))
    })?;
    for (index, line) in lines {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("{}:{}", path.display(), index + 1);
        match tool_line(line, &header, frame_column, frame_step, &place) {
            Ok(Some(frame)) => sequence.frames.push(frame),
            Ok(None) => {}
            Err(error) => sequence.problems.push(error.at(place)),
        }
    }
    let tools = header.iter().enumerate().filter(|(index, _)| *index != frame_column);
    sequence.annotated = tools.map(|(_, name)| name.clone()).collect();
    Ok(())
}

/// `None`: a row of the video between two frames of the folder.
fn tool_line(line: &str, header: &[String], frame_column: usize, frame_step: u32, place: &str) -> Result<Option<RawFrame>> {
    let columns: Vec<&str> = line.split('\t').collect();
    if columns.len() != header.len() {
        return Err(Error::failure(format!("the line has {} columns, the header has {}", columns.len(), header.len())));
    }
    let number: u32 =
        columns[frame_column].trim().parse().map_err(|_| Error::failure(format!("`{}` is no frame number", columns[frame_column])))?;
    let mut tools = Vec::new();
    for (index, (name, column)) in header.iter().zip(&columns).enumerate() {
        if index != frame_column && label(column)? {
            tools.push(name.clone());
        }
    }
    let in_folder = number.is_multiple_of(frame_step);
    Ok(in_folder.then(|| RawFrame { number: number / frame_step, tools, place: place.to_string() }))
}

/// `frame,tool,x1,y1,x2,y2`, several rows a frame, in pixels of the picture.
fn read_boxes(path: &Path, sequence: &mut RawSequence) -> Result<()> {
    let columns = ["frame", "tool", "x1", "y1", "x2", "y2"];
    let table = CsvReadOptions::default()
        .with_infer_schema_length(Some(0))
        .try_into_reader_with_file_path(Some(path.to_path_buf()))
        .and_then(CsvReader::finish)
        .at_path("read the boxes", path)?;
    let mut texts = Vec::new();
    for name in columns {
        let column = table.column(name).map_err(|_| {
            Error::failure(format!("the header has no column `{name}` (expected: {})", columns.join(",")))
                .at(format!("{}:1", path.display()))
        })?;
        texts.push(column.str().at_path("read the boxes", path)?.clone());
    }
    // A frame without a row shows no instrument: it is annotated all the same.
    let mut boxes: BTreeMap<u32, Vec<RawBox>> = sequence.frames.iter().map(|frame| (frame.number, Vec::new())).collect();
    let mut names = BTreeSet::new();
    for row in 0..table.height() {
        let fields: Vec<&str> = texts.iter().map(|column| column.get(row).unwrap_or("")).collect();
        match box_row(&fields) {
            Ok((frame, found)) => {
                names.insert(found.name.clone());
                boxes.entry(frame).or_default().push(found);
            }
            Err(error) => sequence.problems.push(error.at(format!("{}:{}", path.display(), row + 2))),
        }
    }
    sequence.annotated.extend(names);
    sequence.boxes = Some(boxes);
    Ok(())
}

fn box_row(fields: &[&str]) -> Result<(u32, RawBox)> {
    let frame = fields[0].trim().parse().map_err(|_| Error::failure(format!("`{}` is no frame number", fields[0])))?;
    let mut corners = [0; 4];
    for (corner, text) in corners.iter_mut().zip(&fields[2..]) {
        *corner = super::endovis18::coordinate(text)?;
    }
    Ok((frame, RawBox { name: normalized(fields[1]), bounds: Box2::from(corners) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn columns_are_found_by_name_and_rows_between_frames_are_passed_over() {
        let (_folder, path) = write("t.txt", "Hook\tFrame\tGrasper\r\n1\t0\t0\r\n0\t10\t1\r\n1\t25\t1\r\n");
        let mut sequence = RawSequence::default();
        read_tools(&path, 25, &mut sequence).unwrap();
        let found: Vec<(u32, Vec<String>)> = sequence.frames.iter().map(|frame| (frame.number, frame.tools.clone())).collect();
        assert_eq!(found, [(0, vec!["Hook".into()]), (1, vec!["Hook".to_string(), "Grasper".into()])]);
    }

    #[test]
    fn a_short_line_is_a_problem_with_its_place() {
        let (_folder, path) = write("t.txt", "Frame\tHook\n0\n25\t1\n");
        let mut sequence = RawSequence::default();
        read_tools(&path, 25, &mut sequence).unwrap();
        assert_eq!(sequence.frames.len(), 1);
        assert!(sequence.problems[0].to_string().contains("t.txt:2: the line has 1 columns"), "{}", sequence.problems[0]);
    }

    #[test]
    fn boxes_are_grouped_by_frame() {
        let (_folder, path) = write("b.csv", "frame,tool,x1,y1,x2,y2\n000030,grasper,5,2,316,312\n000030,hook,1,2,3,4\n");
        let mut sequence = RawSequence::default();
        read_boxes(&path, &mut sequence).unwrap();
        assert_eq!(sequence.boxes.unwrap()[&30].len(), 2);
    }

    #[test]
    fn a_box_file_without_a_column_names_it() {
        let (_folder, path) = write("b.csv", "frame,tool,x1,y1,x2\n1,hook,1,2,3\n");
        let error = read_boxes(&path, &mut RawSequence::default()).unwrap_err();
        assert!(error.to_string().contains("no column `y2`"), "{error}");
    }
}
