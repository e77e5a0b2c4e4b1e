//! A plain data set: a table with a row for each frame, and perhaps one with a row for each box.
//! Both are CSV files, or TSV by the file's name, whose columns are found by the header's names.
//!
//! The table of frames:
//!
//! * `path`: the picture. It counts from the root, or from the folder below it that the recipe's
//!   `frames` names.
//! * `group`: the sequence that the frame belongs to. The digits at its end are the number that the
//!   recipe's `train` and `validation` have: `video03`, `seq_3` and `3` are sequence 3. Rows of
//!   groups that the recipe does not list are passed over.
//! * `split`, optional: `train`, `validation`, or nothing for a frame that is in neither. It must
//!   not contradict the recipe's lists; where a group is in both, the column alone decides. Without
//!   the column the recipe decides.
//! * `frame`, optional: the frame's number in its group; without it the digits at the end of the
//!   picture's name.
//! * labels: one column `labels` with names between `;`, `,` or `|` (then other columns are passed
//!   over), or one column of 0 and 1 for each class (then each other column that has a name is
//!   one).
//!
//! The table of boxes is `path,class,x1,y1,x2,y2`, several rows a frame, in pixels of the picture
//! that count from 0 at its upper left corner. The upper left pixel `x1,y1` belongs to the box.
//! With such a file each frame is annotated: one without a row shows no instrument.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::dataset::boxes::{BoxesByFrame, RawBox};
use crate::dataset::delimited::{self, Delimiter, Header, Row};
use crate::dataset::fields::{coordinate, frame_number, label, number_at_end, path_below_root};
use crate::dataset::folder::DataFolder;
use crate::dataset::labels::normalized;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence, RawSequences, Split};
use crate::vision::geometry::Box2;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;

/// Columns of the table of frames that are no classes.
const PATH: &str = "path";
const GROUP: &str = "group";
const SPLIT: &str = "split";
const FRAME: &str = "frame";
const LABELS: &str = "labels";

/// What may stand between the names in the column `labels`.
const SEPARATORS: [char; 3] = [';', ',', '|'];

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

    /// Those that the table lists and that are there.
    fn pictures(&self, folder: &DataFolder) -> Result<Vec<PathBuf>> {
        let mut reader = Reader::of(folder);
        reader.read_frames(self)?;
        let frames = reader.sequences.into_values().flat_map(|sequence| sequence.frames);
        Ok(frames
            .filter_map(|frame| frame.picture)
            .filter(|picture| folder.root.join(picture).is_file())
            .collect())
    }
}

/// Reads the header and the rows. What follows works on rows and their places alone, so that
/// another kind of file (Parquet) is another arm here.
fn read_table(path: &Path) -> Result<(Header, Vec<Row>)> {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    let delimiter = match ending.as_str() {
        "parquet" => {
            return Err(Error::failure("Parquet tables cannot be read yet")
                .at_path(path)
                .hint("write the table as a CSV file"));
        }
        "tsv" => Delimiter::Tab,
        _ => Delimiter::Comma,
    };
    read_columns(path, delimiter)
}

/// The header, which has each name once, and the rows below it.
pub(in crate::dataset) fn read_columns(
    path: &Path,
    delimiter: Delimiter,
) -> Result<(Header, Vec<Row>)> {
    let mut rows = delimited::read(path, delimiter)?;
    let header = Header::take(&mut rows, path);
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

struct Reader<'a> {
    folder: &'a DataFolder<'a>,
    /// Each sequence in use, whether a table has rows of it or not.
    sequences: BTreeMap<u32, RawSequence>,
    /// Each picture that a table lists, as the table writes it.
    listed: HashMap<PathBuf, Listed>,
    /// Where in its sequence each frame is.
    frames: HashMap<FrameKey, usize>,
    /// What the groups of a number are called.
    groups: BTreeMap<u32, String>,
    problems: Vec<Error>,
}

type FrameKey = (u32, u32);

struct Listed {
    place: String,
    /// `None`: its sequence is not in use, or its row cannot be used.
    frame: Option<FrameKey>,
}

impl<'a> Reader<'a> {
    fn of(folder: &'a DataFolder<'a>) -> Self {
        let sequences = folder
            .sequences
            .iter()
            .map(|&number| (number, RawSequence { number, ..RawSequence::default() }));
        Reader {
            folder,
            sequences: sequences.collect(),
            listed: HashMap::new(),
            frames: HashMap::new(),
            groups: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Most often one file is for all sequences: each is read once.
    fn read_frames(&mut self, adapter: &Table) -> Result<()> {
        let folder = self.folder;
        let mut tables: BTreeMap<PathBuf, FrameColumns> = BTreeMap::new();
        for &number in &folder.sequences {
            let columns =
                match tables.entry(folder.label_file(number, &adapter.sequence_name(number))?) {
                    Entry::Occupied(read) => read.into_mut(),
                    Entry::Vacant(unread) => {
                        let columns = self.read_frame_table(&folder.root.join(unread.key()))?;
                        unread.insert(columns)
                    }
                };
            if let Some(sequence) = self.sequences.get_mut(&number) {
                sequence.place = columns.place.clone();
                sequence.annotated = columns.labels.classes();
            }
        }
        Ok(())
    }

    fn read_frame_table(&mut self, path: &Path) -> Result<FrameColumns> {
        let (header, rows) = read_table(path)?;
        let columns = FrameColumns::of(&header).map_err(|error| {
            error.at(header.place()).hint(
                "a table of frames has the columns path and group, perhaps split and frame, and either `labels` or one column \
                 of 0 and 1 for each class",
            )
        })?;
        for row in rows {
            if let Err(error) = self.add_frame(&columns, &row) {
                self.problems.push(error.at(row.place));
            }
        }
        Ok(columns)
    }

    fn add_frame(&mut self, columns: &FrameColumns, row: &Row) -> Result<()> {
        row.expect_columns(columns.count)?;
        let path = path_below_root(row.field(columns.path))?;
        if let Some(first) = self.listed.get(&path) {
            return Err(Error::failure(format!(
                "the picture {} is listed twice (first at {})",
                path.display(),
                first.place
            )));
        }
        // Listed even where the rest of its row cannot be used, so that its boxes are not taken for
        // those of an unknown picture.
        self.listed.insert(path.clone(), Listed { place: row.place.clone(), frame: None });
        let number = self.sequence_of(row.field(columns.group))?;
        if !self.sequences.contains_key(&number) {
            return Ok(());
        }
        let Some(split) = columns.split(row)? else { return Ok(()) };
        let frame = columns.frame_number(row, &path)?;
        let tools = columns.labels.of(row)?;
        let picture = Path::new(&self.folder.frames.fill(number, frame)).join(&path);
        self.place_frame(
            number,
            RawFrame {
                number: frame,
                tools,
                place: row.place.clone(),
                picture: Some(picture),
                split,
                ..RawFrame::default()
            },
        )?;
        self.listed.insert(path, Listed { place: row.place.clone(), frame: Some((number, frame)) });
        Ok(())
    }

    fn place_frame(&mut self, number: u32, frame: RawFrame) -> Result<()> {
        let frames = &mut self.sequences.entry(number).or_default().frames;
        if let Some(first) =
            self.frames.get(&(number, frame.number)).and_then(|&index| frames.get(index))
        {
            let what = format!(
                "the group has a second frame with the number {} (the first: {})",
                frame.number, first.place
            );
            return Err(Error::failure(what).hint(
                "the number is what the column `frame` says, or else the digits at the end of the picture's name; give the table \
                 that column",
            ));
        }
        self.frames.insert((number, frame.number), frames.len());
        frames.push(frame);
        Ok(())
    }

    /// The number of a group. Two groups of one number would be taken for one sequence.
    fn sequence_of(&mut self, group: &str) -> Result<u32> {
        let number = number_at_end(group).ok_or_else(|| {
            Error::failure(format!("the group `{}` ends in no number", shortened(group)))
                .hint("the data recipe's `train` and `validation` name a group by that number, as 3 for `video03`")
        })?;
        match self.groups.get(&number) {
            Some(first) if first == group => Ok(number),
            Some(first) => Err(Error::failure(format!(
                "the groups `{}` and `{}` have the same number {number}",
                shortened(first),
                shortened(group)
            ))
            .hint("write each group in one way, with a number of its own at the end")),
            None => {
                self.groups.insert(number, group.to_string());
                Ok(number)
            }
        }
    }

    fn read_boxes(&mut self) -> Result<()> {
        let mut files = BTreeSet::new();
        for (&number, sequence) in &mut self.sequences {
            let Some(file) = self.folder.box_file(number) else { continue };
            let mut boxes = BoxesByFrame::default();
            sequence.frames.iter().for_each(|frame| boxes.annotate(frame.number));
            sequence.boxes = Some(boxes);
            files.insert(file);
        }
        let root = self.folder.root;
        files.iter().try_for_each(|file| self.read_box_table(&root.join(file)))
    }

    fn read_box_table(&mut self, path: &Path) -> Result<()> {
        let (header, rows) = read_table(path)?;
        let columns = BoxColumns::of(&header).map_err(|error| {
            error.hint("a table of boxes has the columns path,class,x1,y1,x2,y2")
        })?;
        for row in rows {
            if let Err(error) = self.add_box(&columns, &row) {
                self.problems.push(error.at(row.place));
            }
        }
        Ok(())
    }

    fn add_box(&mut self, columns: &BoxColumns, row: &Row) -> Result<()> {
        let path = path_below_root(row.field(columns.path))?;
        let listed = self.listed.get(&path).ok_or_else(|| {
            Error::failure(format!(
                "there is a box of {}, which the table of frames does not list",
                path.display()
            ))
            .hint("write the path as the table of frames does, list it there, or take the box out")
        })?;
        let Some((number, frame)) = listed.frame else { return Ok(()) };
        if let Some(boxes) =
            self.sequences.get_mut(&number).and_then(|sequence| sequence.boxes.as_mut())
        {
            boxes.add(
                frame,
                columns.box_of(row).map(|found| vec![found]).map_err(|error| error.at(&row.place)),
            );
        }
        Ok(())
    }

    /// Problems are told with the first sequence, in the order of the files.
    fn into_sequences(mut self) -> impl Iterator<Item = RawSequence> {
        if let Some(first) = self.sequences.values_mut().next() {
            first.problems = self.problems;
        }
        self.sequences.into_values()
    }
}

/// Where in a row of the table of frames things stand.
struct FrameColumns {
    count: usize,
    path: usize,
    group: usize,
    split: Option<usize>,
    frame: Option<usize>,
    labels: LabelColumns,
    /// `file:line` of the header.
    place: String,
}

enum LabelColumns {
    /// Names, with separators between them.
    List(usize),
    /// 0 or 1 for each class: its column and its name.
    Classes(Vec<(usize, String)>),
}

impl FrameColumns {
    fn of(header: &Header) -> Result<Self> {
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
    fn split(&self, row: &Row) -> Result<Option<Option<Split>>> {
        let Some(column) = self.split else { return Ok(Some(None)) };
        match row.field(column) {
            "" => Ok(None),
            "train" => Ok(Some(Some(Split::Train))),
            "validation" => Ok(Some(Some(Split::Validation))),
            other => {
                let suggestion = did_you_mean(other, ["train", "validation"]);
                Err(Error::failure(format!("`{}` is no split{suggestion}", shortened(other)))
                    .hint("write train or validation, or nothing for a frame that is in neither"))
            }
        }
    }

    fn frame_number(&self, row: &Row, path: &Path) -> Result<u32> {
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
    /// The classes that the header names. Of a list's names each is looked up with its row.
    fn classes(&self) -> BTreeSet<String> {
        match self {
            LabelColumns::List(_) => BTreeSet::new(),
            LabelColumns::Classes(columns) => {
                columns.iter().map(|(_, class)| class.clone()).collect()
            }
        }
    }

    /// The names that a row marks.
    fn of(&self, row: &Row) -> Result<Vec<String>> {
        match self {
            LabelColumns::List(column) => {
                let names = row.field(*column).split(SEPARATORS).map(str::trim);
                Ok(names.filter(|name| !name.is_empty()).map(String::from).collect())
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

/// Where in a row of the table of boxes things stand.
struct BoxColumns {
    count: usize,
    path: usize,
    class: usize,
    corners: [usize; 4],
}

impl BoxColumns {
    fn of(header: &Header) -> Result<Self> {
        let corners = [
            header.column("x1")?,
            header.column("y1")?,
            header.column("x2")?,
            header.column("y2")?,
        ];
        Ok(BoxColumns {
            count: header.names().len(),
            path: header.column(PATH)?,
            class: header.column("class")?,
            corners,
        })
    }

    fn box_of(&self, row: &Row) -> Result<RawBox> {
        row.expect_columns(self.count)?;
        let mut corners = [0; 4];
        for (corner, column) in corners.iter_mut().zip(self.corners) {
            *corner = coordinate(row.field(column))?;
        }
        Ok(RawBox {
            name: normalized(row.field(self.class)),
            bounds: Box2::from(corners),
            place: row.place.clone(),
        })
    }
}
