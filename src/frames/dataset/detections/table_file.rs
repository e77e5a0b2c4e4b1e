//! A table of boxes with the columns `path,class,x1,y1,x2,y2,score` and a row for each box. The
//! columns `sequence,frame` may stand in place of `path`. Without the column `score`, each box has
//! the score 1.

use super::{DetectionFiles, DetectionFormat, FoundBox, FrameFinder, checked_score};
use crate::dataset::adapters::table::read_columns;
use crate::dataset::corner_columns::CornerColumns;
use crate::dataset::delimited::{Delimiter, Header, Row};
use crate::dataset::fields::{frame_number, sequence_number};
use crate::dataset::labels::normalized;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

pub(super) fn read(files: &DetectionFiles, finder: &mut FrameFinder) -> Result<Vec<FoundBox>> {
    let delimiter = match files.format {
        DetectionFormat::Tsv => Delimiter::Tab,
        DetectionFormat::Csv | DetectionFormat::Coco => Delimiter::Comma,
    };
    let (header, rows) = read_columns(files.boxes, delimiter)?;
    let columns = Columns::of(&header).map_err(|error| {
        error.at(header.place()).hint(
            "a table of boxes has the columns path,class,x1,y1,x2,y2 and perhaps score; \
             `sequence,frame` may stand in place of `path`",
        )
    })?;
    rows.iter()
        .map(|row| columns.box_of(row, finder).map_err(|error| error.at(&row.place)))
        .collect()
}

/// The numbers of the columns, counted from 0.
struct Columns {
    count: usize,
    frame: FrameColumns,
    class: usize,
    corners: CornerColumns,
    score: Option<usize>,
}

enum FrameColumns {
    Path(usize),
    Numbers { sequence: usize, frame: usize },
}

impl Columns {
    fn of(header: &Header) -> Result<Self> {
        let frame = match header.find("path") {
            Some(path) => FrameColumns::Path(path),
            None if header.find("sequence").is_none() => {
                return Err(Error::failure(
                    "the header has neither a column `path` nor the columns `sequence` and `frame`",
                ));
            }
            None => FrameColumns::Numbers {
                sequence: header.column("sequence")?,
                frame: header.column("frame")?,
            },
        };
        Ok(Columns {
            count: header.names().len(),
            frame,
            class: header.column("class")?,
            corners: CornerColumns::of(header)?,
            score: header.find("score"),
        })
    }

    fn box_of(&self, row: &Row, finder: &mut FrameFinder) -> Result<FoundBox> {
        row.expect_columns(self.count)?;
        let frame_row = match self.frame {
            FrameColumns::Path(path) => finder.by_path(row.field(path))?,
            FrameColumns::Numbers { sequence, frame } => finder.by_numbers(
                sequence_number(row.field(sequence))?,
                frame_number(row.field(frame))?,
            )?,
        };
        let bounds = self.corners.bounds(row)?;
        let score = self.score.map(|column| score_of(row.field(column))).transpose()?;
        Ok(FoundBox {
            row: frame_row,
            class_name: normalized(row.field(self.class)),
            bounds,
            score: checked_score(score)?,
            place: row.place.clone(),
        })
    }
}

fn score_of(text: &str) -> Result<f64> {
    text.parse().map_err(|_| Error::failure(format!("`{}` is not a score", shortened(text))))
}
