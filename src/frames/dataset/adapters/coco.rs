//! COCO: JSON files with the lists `images`, `annotations` and `categories`. Other keys, such as
//! masks, are passed over.
//!
//! * All files of the recipe's `labels` that exist are read, such as
//!   `annotations/instances_train.json` and `..._val.json`. Which frames are for training is what
//!   the recipe says of their sequences, whichever file an image is in.
//! * `file_name` is the picture. It counts from the folder that the recipe's `frames` has for it:
//!   with `images/v{sequence:02}_{frame:06}.jpg`, the `file_name` may be `v01_002075.jpg` or
//!   `images/v01_002075.jpg`. The numbers of sequence and frame are read off it by that pattern,
//!   unless the image has a `video_id` or a `frame_id`.
//! * `bbox` is `[x, y, width, height]` in pixels, counted from 0 at the upper left corner of the
//!   picture. Fractions are rounded outwards to whole pixels.
//! * If an image says another size than its picture has, the frame cannot be used.
//!
//! With these files every frame is annotated: one without an annotation shows no instrument.

mod file;
mod reader;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::dataset::folder::DataFolder;
use crate::dataset::pattern::Pattern;
use crate::dataset::raw::{Adapter, RawSequence, RawSequences};
pub(in crate::dataset) use file::{Category, Image, bounds_of, id_of, number_of};
use reader::Reader;
use surgcam_engine::error::{Error, Result};

pub struct Coco;

impl Adapter for Coco {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("video{sequence:02}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("{frame:06}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        let reader = Reader::of_all(folder, &self.label_files(folder)?)?;
        Ok(Box::new(reader.into_sequences().map(Ok::<RawSequence, Error>)))
    }

    fn label_files(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        // If no pattern names the sequence, the files of the first one are those of all.
        let has_sequence = folder.labels.iter().any(Pattern::has_sequence);
        let asked = if has_sequence { folder.sequences.len() } else { 1 };
        let mut files = BTreeSet::new();
        for &sequence in folder.sequences.iter().take(asked) {
            files.extend(folder.all_label_files(sequence, &self.sequence_name(sequence))?);
        }
        Ok(files.into_iter().collect())
    }

    /// The pictures that the files list and that are there.
    fn pictures(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let reader = Reader::of_all(folder, &self.label_files(folder)?)?;
        let frames = reader.into_sequences().flat_map(|sequence| sequence.frames);
        Ok(frames
            .filter_map(|frame| frame.picture)
            .filter(|picture| folder.root.join(picture).is_file())
            .collect())
    }
}
