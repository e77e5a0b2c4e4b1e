//! The layout of EndoVis18: a tool file for each sequence, and boxes in `gt_bbox` text files or in
//! a folder of XML files (docs/method.md, section 2).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use roxmltree::Node;

use crate::dataset::boxes::{BoxesByFrame, RawBox};
use crate::dataset::delimited::{self, Delimiter, Row};
use crate::dataset::fields::{coordinate, frame_number, label};
use crate::dataset::folder::{DataFolder, is_there};
use crate::dataset::label_file::{LABEL_FILE_BYTES, Lines, XML_FILE_BYTES, expect_few_lines};
use crate::dataset::labels::normalized;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence, RawSequences};
use crate::dataset::xml_file;
use crate::vision::geometry::Box2;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::regular_file;

/// The instruments in the order of the columns of a tool file. A line of a `gt_bbox` file has its
/// boxes in the same order, and that of the tissue behind them.
const TOOLS: [&str; 8] = [
    "bipolar_forceps",
    "prograsp_forceps",
    "large_needle_driver",
    "monopolar_curved_scissors",
    "ultrasound_probe",
    "suction",
    "clip_applier",
    "stapler",
];
const TISSUE: &str = "tissue";

/// `[width, height]` of the pixels that box files count in, whatever the size of the pictures.
const BOX_SPACE: [u32; 2] = [1280, 1024];

pub struct EndoVis18;

impl Adapter for EndoVis18 {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("seq_{sequence}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("frame{frame:03}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        Ok(Box::new(folder.sequences.iter().map(move |&number| -> Result<RawSequence> {
            let tool_file = folder.label_file(number, &self.sequence_name(number))?;
            let read = read_sequence(folder.root, &tool_file, folder.box_file(number).as_deref())?;
            Ok(RawSequence { number, ..read })
        })))
    }
}

/// Reads a sequence. Paths are below `root`. `box_file` is a text file or a folder of XML files.
fn read_sequence(root: &Path, tool_file: &Path, box_file: Option<&Path>) -> Result<RawSequence> {
    let path = root.join(tool_file);
    let place = path.display().to_string();
    let mut sequence = RawSequence { box_space: Some(BOX_SPACE), place, ..RawSequence::default() };
    read_tools(&path, &mut sequence)?;
    if let Some(box_file) = box_file {
        let path = root.join(box_file);
        sequence.annotated =
            TOOLS.into_iter().chain([TISSUE]).map(String::from).collect::<BTreeSet<_>>();
        if path.is_dir() {
            read_xml_folder(&path, &mut sequence)?;
        } else {
            read_box_lines(&path, &mut sequence)?;
        }
    }
    Ok(sequence)
}

/// Reads a tool file: a header, then lines `NNN t1..t8` with the frame's number and 0 or 1 for each
/// instrument.
fn read_tools(path: &Path, sequence: &mut RawSequence) -> Result<()> {
    let text = regular_file::read_to_string(path, LABEL_FILE_BYTES)?;
    expect_few_lines(&text, path)?;
    for (index, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("{}:{}", path.display(), index + 1);
        match tool_line(line, &place) {
            Ok(frame) => sequence.frames.push(frame),
            Err(error) => sequence.problems.push(error.at(place)),
        }
    }
    Ok(())
}

fn tool_line(line: &str, place: &str) -> Result<RawFrame> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    if columns.len() != TOOLS.len() + 1 {
        return Err(Error::failure(format!(
            "the line has {} columns, {} are expected",
            columns.len(),
            TOOLS.len() + 1
        )));
    }
    let number = frame_number(columns[0])?;
    let mut tools = Vec::new();
    for (tool, column) in TOOLS.iter().zip(&columns[1..]) {
        if label(column)? {
            tools.push(tool.to_string());
        }
    }
    Ok(RawFrame { number, tools, place: place.to_string(), ..RawFrame::default() })
}

/// Reads lines `frameNNN, x1, y1, x2, y2, ...` with nine boxes. A box that is absent has four
/// zeros. If a frame has two lines, it is not clear which one is right, so the frame cannot be
/// used.
fn read_box_lines(path: &Path, sequence: &mut RawSequence) -> Result<()> {
    let mut boxes = BoxesByFrame::default();
    let mut lines: BTreeMap<u32, String> = BTreeMap::new();
    for row in delimited::read(path, Delimiter::Comma)? {
        let number = match frame_number(row.field(0)) {
            Ok(number) => number,
            Err(error) => {
                sequence.problems.push(error.at(row.place));
                continue;
            }
        };
        let found = match lines.get(&number) {
            Some(first) => Err(Error::failure(format!(
                "the boxes of {} are listed twice (first at {first})",
                row.field(0)
            ))),
            None => boxes_of(&row),
        };
        boxes.add(number, found.map_err(|error| error.at(&row.place)));
        lines.entry(number).or_insert(row.place);
    }
    sequence.boxes = Some(boxes);
    Ok(())
}

fn boxes_of(row: &Row) -> Result<Vec<RawBox>> {
    row.expect_columns(1 + 4 * (TOOLS.len() + 1))?;
    let columns: Vec<&str> = row.fields().skip(1).collect();
    let mut boxes = Vec::new();
    for (name, corners) in TOOLS.iter().chain([&TISSUE]).zip(columns.chunks(4)) {
        let mut corner = [0; 4];
        for (value, text) in corner.iter_mut().zip(corners) {
            *value = coordinate(text)?;
        }
        if corner != [0; 4] {
            boxes.push(RawBox {
                name: name.to_string(),
                bounds: Box2::from(corner),
                place: row.place.clone(),
            });
        }
    }
    Ok(boxes)
}

/// Reads the `frameNNN.xml` files, each with repeated `<objects>`. A frame without a file is not
/// annotated: this is not the same as a frame without an instrument.
fn read_xml_folder(folder: &Path, sequence: &mut RawSequence) -> Result<()> {
    let mut boxes = BoxesByFrame::default();
    let frames: BTreeSet<u32> = sequence.frames.iter().map(|frame| frame.number).collect();
    for frame in frames {
        let path = folder.join(format!("frame{frame:03}.xml"));
        if is_there(&path) {
            boxes.add(frame, read_xml(&path));
        }
    }
    sequence.boxes = Some(boxes);
    Ok(())
}

fn read_xml(path: &Path) -> Result<Vec<RawBox>> {
    let text = regular_file::read_to_string(path, XML_FILE_BYTES)?;
    let document = xml_file::parsed(&text, path)?;
    let mut lines = Lines::of(&text);
    let mut boxes = Vec::new();
    for object in document.descendants().filter(|node| node.has_tag_name("objects")) {
        let place = format!("{}:{}", path.display(), lines.at(object.range().start));
        boxes.extend(box_of_object(object, &place).map_err(|error| error.at(&place))?);
    }
    Ok(boxes)
}

/// `None`: the object has no box.
fn box_of_object(object: Node, place: &str) -> Result<Option<RawBox>> {
    let name = normalized(child_text(object, "name")?);
    let Some(bounds) = object.children().find(|node| node.has_tag_name("bndbox")) else {
        return Ok(None);
    };
    let mut corners = [0; 4];
    for (corner, tag) in corners.iter_mut().zip(["xmin", "ymin", "xmax", "ymax"]) {
        *corner = coordinate(child_text(bounds, tag)?)?;
    }
    Ok(Some(RawBox { name, bounds: Box2::from(corners), place: place.to_string() }))
}

fn child_text<'a>(parent: Node<'a, '_>, tag: &str) -> Result<&'a str> {
    let node = parent.children().find(|node| node.has_tag_name(tag));
    node.and_then(|node| node.text())
        .map(str::trim)
        .ok_or_else(|| Error::failure(format!("an object has no <{tag}>")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tool_line_is_read_by_position() {
        let frame = tool_line("010 1 1 0 0 0 0 1 0\r", "x:2").unwrap();
        assert_eq!(
            (frame.number, frame.tools.as_slice()),
            (
                10,
                ["bipolar_forceps", "prograsp_forceps", "clip_applier"]
                    .map(String::from)
                    .as_slice()
            )
        );
    }

    #[test]
    fn a_short_line_and_a_strange_label_are_refused() {
        assert!(
            tool_line("010 1 1", "").unwrap_err().to_string().contains("3 columns, 9 are expected")
        );
        assert!(
            tool_line("010 1 1 0 0 0 0 1 x", "")
                .unwrap_err()
                .to_string()
                .contains("`x` is not a label")
        );
    }

    fn box_rows(text: &str) -> Vec<Result<Vec<RawBox>>> {
        delimited::rows(text, Path::new(""), Delimiter::Comma)
            .unwrap()
            .iter()
            .map(boxes_of)
            .collect()
    }

    #[test]
    fn boxes_of_zeros_are_absent() {
        let line = format!("frame003, 1, 2, 3, 4{}, 5, 6, 7, 8", ", 0, 0, 0, 0".repeat(7));
        let boxes = box_rows(&line).remove(0).unwrap();
        let found: Vec<(&str, [i64; 4])> =
            boxes.iter().map(|found| (found.name.as_str(), found.bounds.into())).collect();
        assert_eq!(found, [("bipolar_forceps", [1, 2, 3, 4]), ("tissue", [5, 6, 7, 8])]);
    }

    #[test]
    fn the_xml_form_gives_names_and_boxes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frame000.xml");
        std::fs::write(
            &path,
            "<annotation><objects><name>kidney</name><interaction>Idle</interaction>\
             <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></objects>\
             </annotation>",
        )
        .unwrap();
        let boxes = read_xml(&path).unwrap();
        assert_eq!((boxes[0].name.as_str(), boxes[0].bounds), ("kidney", Box2::from([1, 2, 3, 4])));
        std::fs::write(&path, "<annotation>\n<objects/>\n</annotation>").unwrap();
        assert!(
            read_xml(&path)
                .unwrap_err()
                .to_string()
                .contains("frame000.xml:2: an object has no <name>")
        );
        std::fs::write(&path, "<annotation><objects>").unwrap();
        assert!(read_xml(&path).unwrap_err().to_string().contains("frame000.xml"));
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parsers_panic(line in ".{0,80}") {
            let _ = tool_line(&line, "");
            let _ = box_rows(&line);
        }
    }
}
