//! Reads the tables of frames and boxes, and assigns the frames and boxes to their sequences.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::columns::{BoxColumns, FrameColumns};
use super::{Table, read_table};
use crate::dataset::boxes::BoxesByFrame;
use crate::dataset::delimited::Row;
use crate::dataset::fields::{number_at_end, path_below_root};
use crate::dataset::folder::DataFolder;
use crate::dataset::raw::{Adapter, RawFrame, RawSequence};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;

pub(super) struct Reader<'a> {
    folder: &'a DataFolder<'a>,
    /// Each sequence in use, whether a table has rows of it or not.
    sequences: BTreeMap<u32, RawSequence>,
    /// The path of each picture as the table of frames writes it.
    listed: HashMap<PathBuf, FrameByGroup>,
    /// The path of each picture below the root, with the place of its row.
    pictures: HashMap<PathBuf, String>,
    /// The index of each frame in its sequence's list, by sequence and frame number.
    frames: HashMap<(u32, u32), usize>,
    /// The name of the group that has a number.
    groups: BTreeMap<u32, String>,
    problems: Vec<Error>,
}

/// The frames that have the same path in the table, by the number of their group. `None`: the group
/// is not in use, or the row cannot be used. Where the row does not even say its group, the map is
/// empty.
type FrameByGroup = BTreeMap<u32, Option<u32>>;

impl<'a> Reader<'a> {
    pub fn of(folder: &'a DataFolder<'a>) -> Self {
        let sequences = folder
            .sequences
            .iter()
            .map(|&number| (number, RawSequence { number, ..RawSequence::default() }));
        Reader {
            folder,
            sequences: sequences.collect(),
            listed: HashMap::new(),
            pictures: HashMap::new(),
            frames: HashMap::new(),
            groups: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Reads the tables of frames. Usually one file has all sequences, and each file is read once.
    pub fn read_frames(&mut self, adapter: &Table) -> Result<()> {
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
                "a table of frames has the columns path and group, perhaps split and frame, and \
                 either `labels` or one column of 0 and 1 for each class",
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
        // Listed even if the rest of the row cannot be used, so that its boxes are not taken for
        // those of an unknown picture.
        self.listed.entry(path.clone()).or_default();
        let group = self.sequence_of(row.field(columns.group))?;
        let frame = columns.frame_number(row, &path);
        let folder = self.folder.frames.fill(group, *frame.as_ref().unwrap_or(&0));
        let picture = Path::new(&folder).join(&path);
        self.expect_first(&picture, &row.place)?;
        self.listed.entry(path.clone()).or_default().insert(group, None);
        if !self.sequences.contains_key(&group) {
            return Ok(());
        }
        let Some(split) = columns.split(row)? else { return Ok(()) };
        let frame = frame?;
        let tools = columns.labels.of(row)?;
        self.place_frame(
            group,
            RawFrame {
                number: frame,
                tools,
                place: row.place.clone(),
                picture: Some(picture),
                split,
                ..RawFrame::default()
            },
        )?;
        self.listed.entry(path).or_default().insert(group, Some(frame));
        Ok(())
    }

    /// Each picture may be listed once, whichever group its row says.
    fn expect_first(&mut self, picture: &Path, place: &str) -> Result<()> {
        if let Some(first) = self.pictures.get(picture) {
            return Err(Error::failure(format!(
                "the picture {} is listed twice (first at {first})",
                picture.display()
            )));
        }
        self.pictures.insert(picture.to_path_buf(), place.to_string());
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
                "the number is that in the column `frame`, or else the digits at the end of the \
                 picture's name; give the table that column",
            ));
        }
        self.frames.insert((number, frame.number), frames.len());
        frames.push(frame);
        Ok(())
    }

    /// The number of a group. Two groups with the same number would be taken for one sequence, so
    /// the second one is an error.
    fn sequence_of(&mut self, group: &str) -> Result<u32> {
        let number = number_at_end(group).ok_or_else(|| {
            Error::failure(format!("the group `{}` ends in no number", shortened(group))).hint(
                "the data recipe's `train` and `validation` name a group by that number, as 3 \
                 for `video03`",
            )
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

    /// Reads the tables of boxes. The frames must have been read before.
    pub fn read_boxes(&mut self) -> Result<()> {
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
        let Some((group, frame)) = self.frame_of(columns, row)? else { return Ok(()) };
        let found = columns.box_of(row).map(|found| vec![found]);
        if let Some(boxes) =
            self.sequences.get_mut(&group).and_then(|sequence| sequence.boxes.as_mut())
        {
            boxes.add(frame, found.map_err(|error| error.at(&row.place)));
        }
        Ok(())
    }

    /// The group and the frame that a row of the table of boxes is about. `None`: the frame is not
    /// in use.
    fn frame_of(&self, columns: &BoxColumns, row: &Row) -> Result<Option<(u32, u32)>> {
        let path = path_below_root(row.field(columns.path))?;
        let unlisted = |what: String| {
            Error::failure(format!(
                "there is a box of {what}, which the table of frames does not list"
            ))
            .hint("write the path as the table of frames does, list it there, or take the box out")
        };
        let by_group =
            self.listed.get(&path).ok_or_else(|| unlisted(path.display().to_string()))?;
        if by_group.is_empty() {
            return Ok(None);
        }
        let found = match columns.group.map(|column| row.field(column)) {
            Some(name) => {
                let group = number_at_end(name);
                let of_group = group.and_then(|group| by_group.get_key_value(&group));
                Some(of_group.ok_or_else(|| {
                    unlisted(format!("{} in the group `{}`", path.display(), shortened(name)))
                })?)
            }
            None if by_group.len() > 1 => {
                return Err(Error::failure(format!(
                    "the path {} is listed for {} groups, so it is not clear whose box this is",
                    path.display(),
                    by_group.len()
                ))
                .hint("give the table of boxes the column `group`"));
            }
            None => by_group.first_key_value(),
        };
        Ok(found.and_then(|(&group, &frame)| Some((group, frame?))))
    }

    /// The sequences in rising order. The first one has all problems, in the order of the files.
    pub fn into_sequences(mut self) -> impl Iterator<Item = RawSequence> {
        if let Some(first) = self.sequences.values_mut().next() {
            first.problems = self.problems;
        }
        self.sequences.into_values()
    }
}
