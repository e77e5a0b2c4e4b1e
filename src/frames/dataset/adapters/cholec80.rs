//! The layout of Cholec80: frames at 1 fps, a tool file for each video whose columns are found by
//! the names in its header, and an optional CSV file of boxes (docs/method.md, section 2).

use std::path::Path;

use crate::dataset::boxes::{BoxesByFrame, RawBox};
use crate::dataset::corner_columns::CornerColumns;
use crate::dataset::delimited::{self, Delimiter, Header, Row};
use crate::dataset::fields::label;
use crate::dataset::folder::DataFolder;
use crate::dataset::labels::normalized;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence, RawSequences};
use surgcam_engine::error::{Error, Result};

pub struct Cholec80;

impl Adapter for Cholec80 {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("video{sequence:02}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("{frame:06}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        Ok(Box::new(folder.sequences.iter().map(move |&number| -> Result<RawSequence> {
            let tool_file = folder.label_file(number, &self.sequence_name(number))?;
            let read = read_sequence(
                folder.root,
                &tool_file,
                folder.box_file(number).as_deref(),
                folder.frame_step,
            )?;
            Ok(RawSequence { number, ..read })
        })))
    }
}

/// Reads a video. Paths are below `root`. `frame_step` is by how much the number in the tool file
/// grows from one picture to the next.
fn read_sequence(
    root: &Path,
    tool_file: &Path,
    box_file: Option<&Path>,
    frame_step: u32,
) -> Result<RawSequence> {
    let path = root.join(tool_file);
    let mut sequence = RawSequence { place: path.display().to_string(), ..RawSequence::default() };
    read_tools(&path, frame_step, &mut sequence)?;
    if let Some(box_file) = box_file {
        read_boxes(&root.join(box_file), &mut sequence)?;
    }
    Ok(sequence)
}

fn read_tools(path: &Path, frame_step: u32, sequence: &mut RawSequence) -> Result<()> {
    let mut rows = delimited::read(path, Delimiter::Tab)?;
    if rows.is_empty() {
        return Err(Error::failure("the tool file is empty").at_path(path));
    }
    let header = Header::take(&mut rows, path)?;
    let frame_column = header.column("Frame")?;
    for row in rows {
        match tool_row(&row, header.names(), frame_column, frame_step) {
            Ok(Some(frame)) => sequence.frames.push(frame),
            Ok(None) => {}
            Err(error) => sequence.problems.push(error.at(row.place)),
        }
    }
    let tools = header.names().iter().enumerate().filter(|(index, _)| *index != frame_column);
    sequence.annotated = tools.map(|(_, name)| name.clone()).collect();
    Ok(())
}

/// `None`: the row is about a frame of the video that lies between two pictures.
fn tool_row(
    row: &Row,
    header: &[String],
    frame_column: usize,
    frame_step: u32,
) -> Result<Option<RawFrame>> {
    row.expect_columns(header.len())?;
    let number = video_frame(row.field(frame_column))?;
    let mut tools = Vec::new();
    for (index, (name, column)) in header.iter().zip(row.fields()).enumerate() {
        if index != frame_column && label(column)? {
            tools.push(name.clone());
        }
    }
    let in_folder = number.is_multiple_of(frame_step);
    Ok(in_folder.then(|| RawFrame {
        number: number / frame_step,
        tools,
        place: row.place.clone(),
        ..RawFrame::default()
    }))
}

fn video_frame(text: &str) -> Result<u32> {
    text.parse().map_err(|_| Error::failure(format!("`{text}` is not a frame number")))
}

/// Reads rows `frame,tool,x1,y1,x2,y2`, in pixels of the picture. A frame may have several rows.
fn read_boxes(path: &Path, sequence: &mut RawSequence) -> Result<()> {
    let mut rows = delimited::read(path, Delimiter::Comma)?;
    let header = Header::take(&mut rows, path)?;
    let (frame, tool) = (header.column("frame")?, header.column("tool")?);
    let corners = CornerColumns::of(&header)?;
    let mut boxes = BoxesByFrame::default();
    // A frame without a row shows no instrument, but it is annotated.
    sequence.frames.iter().for_each(|frame| boxes.annotate(frame.number));
    for row in rows {
        match video_frame(row.field(frame)) {
            Ok(number) => boxes.add(number, box_of(&row, tool, corners).map(|found| vec![found])),
            Err(error) => sequence.problems.push(error.at(row.place)),
        }
    }
    sequence.boxes = Some(boxes);
    Ok(())
}

fn box_of(row: &Row, tool: usize, corners: CornerColumns) -> Result<RawBox> {
    let bounds = corners.bounds(row).map_err(|error| error.at(&row.place))?;
    Ok(RawBox { name: normalized(row.field(tool)), bounds, place: row.place.clone() })
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
        let (_folder, path) =
            write("t.txt", "Hook\tFrame\tGrasper\r\n1\t0\t0\r\n0\t10\t1\r\n1\t25\t1\r\n");
        let mut sequence = RawSequence::default();
        read_tools(&path, 25, &mut sequence).unwrap();
        let found: Vec<(u32, Vec<String>)> =
            sequence.frames.iter().map(|frame| (frame.number, frame.tools.clone())).collect();
        assert_eq!(
            found,
            [(0, vec!["Hook".into()]), (1, vec!["Hook".to_string(), "Grasper".into()])]
        );
    }

    #[test]
    fn a_short_line_is_a_problem_with_its_place() {
        let (_folder, path) = write("t.txt", "Frame\tHook\n0\n25\t1\n");
        let mut sequence = RawSequence::default();
        read_tools(&path, 25, &mut sequence).unwrap();
        assert_eq!(sequence.frames.len(), 1);
        assert!(
            sequence.problems[0].to_string().contains("t.txt:2: the line has 1 columns"),
            "{}",
            sequence.problems[0]
        );
    }

    #[test]
    fn boxes_are_grouped_by_frame() {
        let (_folder, path) = write(
            "b.csv",
            "frame,tool,x1,y1,x2,y2\n000030,grasper,5,2,316,312\n000030,hook,1,2,3,4\n",
        );
        let mut sequence = RawSequence::default();
        read_boxes(&path, &mut sequence).unwrap();
        assert_eq!(sequence.boxes.unwrap().take(30).unwrap().unwrap().len(), 2);
    }

    #[test]
    fn a_box_file_without_a_column_names_it() {
        let (_folder, path) = write("b.csv", "frame,tool,x1,y1,x2\n1,hook,1,2,3\n");
        let error = read_boxes(&path, &mut RawSequence::default()).unwrap_err();
        assert!(error.to_string().contains("no column `y2`"), "{error}");
    }
}
