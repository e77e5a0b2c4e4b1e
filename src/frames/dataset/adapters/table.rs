//! A plain data set: a table with a row for each frame, and optionally one with a row for each box.
//! Both are CSV files, or TSV files by their ending. Columns are found by the names in the header.
//!
//! The table of frames has these columns:
//!
//! * `path`: the picture. It counts from the root, or from the folder below it that the recipe's
//!   `frames` names. If that folder has `{sequence}` in its name, groups may have pictures with the
//!   same path.
//! * `group`: the sequence that the frame belongs to. The digits at its end are the number in the
//!   recipe's `train` and `validation`: `video03`, `seq_3` and `3` are sequence 3. Rows of groups
//!   that the recipe does not list are passed over.
//! * `split`, optional: `train`, `validation`, or nothing for a frame that is in neither. It must
//!   not contradict the recipe's lists. If a group is in both lists, the column alone decides.
//!   Without the column, the recipe decides.
//! * `frame`, optional: the frame's number in its group. Without the column, the digits at the end
//!   of the picture's name are the number.
//! * labels: either one column `labels` with names between `;`, `,` or `|`, and then other columns
//!   are passed over; or one column of 0 and 1 for each class, and then every other column that has
//!   a name is a class.
//!
//! The table of boxes has the columns `path,class,x1,y1,x2,y2`, and a frame may have several rows.
//! The numbers are pixels of the picture, counted from 0 at its upper left corner, and the pixel
//! `x1,y1` belongs to the box. If several groups have pictures with the same path, a column `group`
//! says which one is meant. With a table of boxes every frame is annotated: one without a row shows
//! no instrument.
//!
//! Parquet is refused with a message. The project reads it with polars, which this package does not
//! depend on, and a second reader would be by far the largest dependency of this package.

mod columns;
mod reader;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::dataset::delimited::{self, Delimiter, Header, Row};
use crate::dataset::folder::DataFolder;
use crate::dataset::labels::normalized;
use crate::dataset::raw::{Adapter, RawSequence, RawSequences};
use reader::Reader;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

pub struct Table;

impl Adapter for Table {
    fn sequence_name(&self, sequence: u32) -> String {
        format!("video{sequence:02}")
    }

    fn frame_name(&self, frame: u32) -> String {
        format!("{frame:06}")
    }

    fn sequences<'a>(&'a self, folder: &'a DataFolder<'a>) -> Result<RawSequences<'a>> {
        let mut reader = Reader::of(folder);
        reader.read_frames(self)?;
        reader.read_boxes()?;
        Ok(Box::new(reader.into_sequences().map(Ok::<RawSequence, Error>)))
    }

    /// The pictures that the table lists and that are there.
    fn pictures(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let mut reader = Reader::of(folder);
        reader.read_frames(self)?;
        let frames = reader.into_sequences().flat_map(|sequence| sequence.frames);
        Ok(frames
            .filter_map(|frame| frame.picture)
            .filter(|picture| folder.root.join(picture).is_file())
            .collect())
    }
}

/// Reads the header and the rows of a table.
fn read_table(path: &Path) -> Result<(Header, Vec<Row>)> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet")) {
        return Err(Error::failure("Parquet tables cannot be read")
            .at_path(path)
            .hint("write the table as a CSV file, as pandas does with `to_csv`"));
    }
    read_columns(path, Delimiter::of(path))
}

/// The header, which has each name once, and the rows below it.
pub(in crate::dataset) fn read_columns(
    path: &Path,
    delimiter: Delimiter,
) -> Result<(Header, Vec<Row>)> {
    let mut rows = delimited::read(path, delimiter)?;
    let header = Header::take(&mut rows, path)?;
    let mut seen = BTreeSet::new();
    let twice =
        header.names().iter().find(|name| !name.is_empty() && !seen.insert(normalized(name)));
    match twice {
        Some(name) => {
            Err(Error::failure(format!("the header has the column `{}` twice", shortened(name)))
                .at(header.place()))
        }
        None => Ok((header, rows)),
    }
}
