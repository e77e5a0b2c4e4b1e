//! The layout of CholecT50: a JSON file for each video (its form is that of `cholect50_file`), and
//! pictures at 1 fps whose numbers are those of the frames in the file.
//!
//! * The recipe's `labels` is the pattern of the files, such as `labels/VID{sequence:02}.json`.
//! * A frame's tools are the instruments of its instances. Its boxes are rounded to the nearest
//!   whole pixels. A box ends at the last pixel of its picture, whose number is the side less 1:
//!   only so are the boxes of real frames the same as m2cai16's.
//! * Most videos of the set have no boxes. A video without any box is not annotated with boxes, and
//!   neither is a frame in which an instrument has no box. Any other frame of a video with boxes
//!   is annotated, also one that shows no instrument.
//!
//! What instruments do, and the phase, is read with the annotations of frames
//! ([`crate::dataset::annotations`]) if the recipe's `interactions` names the same files.

use std::path::Path;

use crate::dataset::boxes::{BoxEnds, BoxesByFrame, RawBox};
use crate::dataset::cholect50_file::{self, FrameLabels, Instance};
use crate::dataset::folder::DataFolder;
use crate::dataset::label_file::LABEL_FILE_BYTES;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence, RawSequences};
use crate::vision::geometry::Box2;
use crate::vision::picture;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::regular_file;

pub struct CholecT50;

impl Adapter for CholecT50 {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("video{sequence:02}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("{frame:06}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        if folder.frame_step != 1 {
            return Err(Error::failure(format!(
                "`frame_step` is {}, but the frame numbers in CholecT50's files are those of the \
                 pictures",
                folder.frame_step
            ))
            .at_path(folder.root)
            .hint("take `frame_step` out of the data recipe"));
        }
        Ok(Box::new(folder.sequences.iter().map(move |&number| -> Result<RawSequence> {
            let file = folder.label_file(number, &self.sequence_name(number))?;
            read_sequence(folder, number, &folder.root.join(file))
        })))
    }
}

fn read_sequence(folder: &DataFolder, number: u32, path: &Path) -> Result<RawSequence> {
    let text = regular_file::read_to_string(path, LABEL_FILE_BYTES)?;
    let video = cholect50_file::parsed(&text, path)?;
    let has_box =
        |labels: &FrameLabels| labels.instances.iter().any(|found| found.bounds.is_some());
    let has_boxes = video.frames.iter().any(|frame| frame.labels.as_ref().is_ok_and(has_box));
    let mut boxes = BoxesByFrame::default();
    let mut sequence = RawSequence {
        number,
        place: path.display().to_string(),
        annotated: video.instruments,
        box_ends: BoxEnds::LastPixel,
        ..RawSequence::default()
    };
    for frame in video.frames {
        let (Some(frame_number), Ok(labels)) = (frame.number, &frame.labels) else {
            sequence.problems.extend(frame.labels.err());
            continue;
        };
        if labels.instances.iter().all(|found| found.bounds.is_some()) {
            let picture = folder.root.join(folder.frames.fill(number, frame_number));
            boxes.annotate(frame_number);
            boxes.add(frame_number, boxes_of(&labels.instances, &picture));
        }
        sequence.frames.push(RawFrame {
            number: frame_number,
            tools: labels.instances.iter().map(|found| found.instrument.clone()).collect(),
            place: frame.place,
            ..RawFrame::default()
        });
    }
    sequence.boxes = has_boxes.then_some(boxes);
    Ok(sequence)
}

/// The boxes of a frame's instances in pixels of its picture, whose size is read only if there is a
/// box.
fn boxes_of(instances: &[Instance], picture: &Path) -> Result<Vec<RawBox>> {
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let size = picture::dimensions(picture)?;
    let boxes = instances.iter().filter_map(|found| {
        let bounds = in_pixels(found.bounds?, size);
        Some(RawBox { name: found.instrument.clone(), bounds, place: found.place.clone() })
    });
    Ok(boxes.collect())
}

/// `bounds` are parts of the picture's sides, `size` is its `[width, height]`.
fn in_pixels([x1, y1, x2, y2]: [f64; 4], size: [u32; 2]) -> Box2 {
    let [width, height] = size.map(f64::from);
    let pixels = |part: f64, side: f64| (part * side).round() as i64;
    Box2::from([pixels(x1, width), pixels(y1, height), pixels(x2, width), pixels(y2, height)])
}
