//! The columns of a table of frames and of a table of boxes, and what a row has in them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use crate::dataset::boxes::RawBox;
use crate::dataset::corner_columns::CornerColumns;
use crate::dataset::delimited::{Header, Row};
use crate::dataset::fields::{frame_number, label, number_at_end};
use crate::dataset::labels::normalized;
use crate::dataset::raw::Split;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;

/// The columns of the table of frames that are not classes.
const PATH: &str = "path";
const GROUP: &str = "group";
const SPLIT: &str = "split";
const FRAME: &str = "frame";
const LABELS: &str = "labels";

/// The characters that may stand between the names in the column `labels`.
const SEPARATORS: [char; 3] = [';', ',', '|'];

/// The numbers of the columns in a table of frames, counted from 0.
pub(super) struct FrameColumns {
    /// How many columns the header has.
    pub count: usize,
    pub path: usize,
    pub group: usize,
    split: Option<usize>,
    frame: Option<usize>,
    pub labels: LabelColumns,
    /// `file:line` of the header.
    pub place: String,
}

pub(super) enum LabelColumns {
    /// The column with names and separators between them.
    List(usize),
    /// The columns of 0 and 1, each with the name of its class.
    Classes(Vec<(usize, String)>),
}

impl FrameColumns {
    pub fn of(header: &Header) -> Result<Self> {
        let (path, group) = (header.column(PATH)?, header.column(GROUP)?);
        let (split, frame) = (header.find(SPLIT), header.find(FRAME));
        let labels = match header.find(LABELS) {
            Some(column) => LabelColumns::List(column),
            None => LabelColumns::Classes(class_columns(header)?),
        };
        Ok(FrameColumns {
            count: header.names().len(),
            path,
            group,
            split,
            frame,
            labels,
            place: header.place().to_string(),
        })
    }

    /// `None`: the row says that its frame is in no split. `Some(None)`: the recipe decides.
    pub fn split(&self, row: &Row) -> Result<Option<Option<Split>>> {
        let Some(column) = self.split else { return Ok(Some(None)) };
        match row.field(column) {
            "" => Ok(None),
            "train" => Ok(Some(Some(Split::Train))),
            "validation" => Ok(Some(Some(Split::Validation))),
            other => {
                let suggestion = did_you_mean(other, ["train", "validation"]);
                Err(Error::failure(format!("`{}` is not a split{suggestion}", shortened(other)))
                    .hint("write train or validation, or nothing for a frame that is in neither"))
            }
        }
    }

    /// The number in the column `frame`, or the digits at the end of the picture's name.
    pub fn frame_number(&self, row: &Row, path: &Path) -> Result<u32> {
        if let Some(column) = self.frame {
            return frame_number(row.field(column));
        }
        let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        number_at_end(name).ok_or_else(|| {
            Error::failure(format!(
                "the picture's name `{}` ends in no frame number",
                shortened(name)
            ))
            .hint("give the table a column `frame` with the number of each frame in its group")
        })
    }
}

fn class_columns(header: &Header) -> Result<Vec<(usize, String)>> {
    let is_class = |name: &str| {
        !name.is_empty() && ![PATH, GROUP, SPLIT, FRAME].contains(&normalized(name).as_str())
    };
    let columns = header.names().iter().enumerate().filter(|(_, name)| is_class(name.as_str()));
    let classes: Vec<(usize, String)> =
        columns.map(|(column, name)| (column, name.clone())).collect();
    if classes.is_empty() {
        return Err(Error::failure(
            "the header has neither a column `labels` nor one that is named by a class",
        ));
    }
    Ok(classes)
}

impl LabelColumns {
    /// The classes that the header names. The names in a list are looked up row by row.
    pub fn classes(&self) -> BTreeSet<String> {
        match self {
            LabelColumns::List(_) => BTreeSet::new(),
            LabelColumns::Classes(columns) => {
                columns.iter().map(|(_, class)| class.clone()).collect()
            }
        }
    }

    /// The names of the classes that a row marks, each once.
    pub fn of(&self, row: &Row) -> Result<Vec<String>> {
        match self {
            LabelColumns::List(column) => {
                let names = row.field(*column).split(SEPARATORS).map(str::trim);
                let mut seen = BTreeSet::new();
                let names = names.filter(|name| !name.is_empty() && seen.insert(*name));
                Ok(names.map(String::from).collect())
            }
            LabelColumns::Classes(columns) => {
                let mut marked = Vec::new();
                for (column, class) in columns {
                    if label(row.field(*column)).map_err(|error| {
                        error.hint(format!("it stands in the column `{}`", shortened(class)))
                    })? {
                        marked.push(class.clone());
                    }
                }
                Ok(marked)
            }
        }
    }
}

/// The numbers of the columns in a table of boxes, counted from 0.
pub(super) struct BoxColumns {
    /// How many columns the header has.
    count: usize,
    pub path: usize,
    pub group: Option<usize>,
    class: usize,
    corners: CornerColumns,
}

impl BoxColumns {
    pub fn of(header: &Header) -> Result<Self> {
        let corners = CornerColumns::of(header)?;
        Ok(BoxColumns {
            count: header.names().len(),
            path: header.column(PATH)?,
            group: header.find(GROUP),
            class: header.column("class")?,
            corners,
        })
    }

    /// The box of a row, in pixels of the picture.
    pub fn box_of(&self, row: &Row) -> Result<RawBox> {
        row.expect_columns(self.count)?;
        Ok(RawBox {
            name: normalized(row.field(self.class)),
            bounds: self.corners.bounds(row)?,
            place: row.place.clone(),
        })
    }
}
