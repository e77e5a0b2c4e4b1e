//! Interactions as CSV: `frame,tool,interaction` for one sequence, or
//! `sequence,frame,tool,interaction` for all (docs/method.md, section 2).
//!
//! Columns are found by the names in the header. There is a row for each instrument. A frame
//! without a row is not annotated.

use std::path::Path;

use crate::dataset::delimited::{self, Delimiter, Header, Row};
use crate::dataset::fields::{frame_number, sequence_number};
use surgcam_engine::error::{Error, Result};

#[derive(Debug, PartialEq)]
pub struct InteractionFile {
    /// By sequence, and within each as the file has them. Either all rows have a sequence or none.
    rows: Vec<InteractionRow>,
}

#[derive(Debug, PartialEq)]
pub struct InteractionRow {
    /// `None`: the file is about one sequence and does not name it.
    sequence: Option<u32>,
    pub frame: u32,
    pub tool: String,
    pub interaction: String,
    /// `file:line`.
    pub place: String,
}

impl InteractionFile {
    /// The rows about a sequence.
    pub fn rows_of(&self, sequence: u32) -> impl Iterator<Item = &InteractionRow> {
        let start =
            self.rows.partition_point(|row| row.sequence.is_some_and(|number| number < sequence));
        let end = self.rows.partition_point(|row| row.sequence <= Some(sequence));
        self.rows[start..end].iter()
    }
}

/// Reads a file. `is_of_one_sequence` says that the path names the sequence, so that a column for
/// it is optional. A row that cannot be used is added to `problems`.
pub fn read(
    path: &Path,
    is_of_one_sequence: bool,
    problems: &mut Vec<Error>,
) -> Result<InteractionFile> {
    interactions_in(delimited::read(path, Delimiter::Comma)?, path, is_of_one_sequence, problems)
}

fn interactions_in(
    mut rows: Vec<Row>,
    path: &Path,
    is_of_one_sequence: bool,
    problems: &mut Vec<Error>,
) -> Result<InteractionFile> {
    let header = Header::take(&mut rows, path)?;
    let columns = Columns::of(&header, is_of_one_sequence).map_err(|error| {
        error.hint(
            "the columns are frame,tool,interaction, and also sequence if one file is for all \
             sequences",
        )
    })?;
    let mut read = Vec::new();
    for row in rows {
        match columns.row(&row) {
            Ok(row) => read.push(row),
            Err(error) => problems.push(error.at(row.place)),
        }
    }
    // A file of all may have a million rows, and as many sequences are asked for.
    read.sort_by_key(|row| row.sequence);
    Ok(InteractionFile { rows: read })
}

/// The numbers of the columns, counted from 0.
struct Columns {
    count: usize,
    sequence: Option<usize>,
    frame: usize,
    tool: usize,
    interaction: usize,
}

impl Columns {
    fn of(header: &Header, is_of_one_sequence: bool) -> Result<Self> {
        let sequence = if is_of_one_sequence {
            header.find("sequence")
        } else {
            Some(header.column("sequence")?)
        };
        let (frame, tool, interaction) =
            (header.column("frame")?, header.column("tool")?, header.column("interaction")?);
        Ok(Columns { count: header.names().len(), sequence, frame, tool, interaction })
    }

    fn row(&self, row: &Row) -> Result<InteractionRow> {
        row.expect_columns(self.count)?;
        Ok(InteractionRow {
            sequence: self.sequence.map(|column| sequence_number(row.field(column))).transpose()?,
            frame: frame_number(row.field(self.frame))?,
            tool: row.field(self.tool).to_string(),
            interaction: row.field(self.interaction).to_string(),
            place: row.place.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows_of(
        text: &str,
        is_of_one_sequence: bool,
        sequence: u32,
    ) -> Result<Vec<(u32, String, String)>> {
        let mut problems = Vec::new();
        let path = Path::new("i.csv");
        let rows = delimited::rows(text, path, Delimiter::Comma)?;
        let file = interactions_in(rows, path, is_of_one_sequence, &mut problems)?;
        if let Some(problem) = problems.pop() {
            return Err(problem);
        }
        Ok(file
            .rows_of(sequence)
            .map(|row| (row.frame, row.tool.clone(), row.interaction.clone()))
            .collect())
    }

    #[test]
    fn a_file_of_one_sequence_needs_no_column_for_it() {
        let rows = rows_of(
            "frame,tool,interaction\r\n010,\"suction\",Suction\r\n\r\nframe011,stapler,Idle\r\n",
            true,
            7,
        )
        .unwrap();
        assert_eq!(
            rows,
            [(10, "suction".into(), "Suction".into()), (11, "stapler".into(), "Idle".into())]
        );
    }

    #[test]
    fn a_file_of_all_gives_each_sequence_its_rows() {
        let text = "Sequence,Interaction,Tool,Frame\n2,Idle,suction,1\nseq_3,Staple,stapler,4\n\
                    video02,Cutting,hook,5\n";
        assert_eq!(
            rows_of(text, false, 2).unwrap(),
            [(1, "suction".into(), "Idle".into()), (5, "hook".into(), "Cutting".into())]
        );
        assert_eq!(rows_of(text, false, 3).unwrap(), [(4, "stapler".into(), "Staple".into())]);
    }

    #[test]
    fn each_of_many_sequences_finds_its_rows_at_once() {
        let text: String = (0..200_000).rev().map(|of| format!("{of},{of},hook,Idle\n")).collect();
        let text = format!("sequence,frame,tool,interaction\n{text}");
        let path = Path::new("i.csv");
        let rows = delimited::rows(&text, path, Delimiter::Comma).unwrap();
        let file = interactions_in(rows, path, false, &mut Vec::new()).unwrap();
        for sequence in 0..200_000 {
            let frames: Vec<u32> = file.rows_of(sequence).map(|row| row.frame).collect();
            assert_eq!(frames, [sequence]);
        }
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let said = |text: &str, one| rows_of(text, one, 1).unwrap_err().to_string();
        assert!(
            said("frame,tool,interaction\n1,hook,Idle\n", false)
                .contains("i.csv:1: the header has no column `sequence`")
        );
        assert!(said("", true).contains("i.csv:1: the header has no column `frame`"));
        assert!(
            said("frame,tool,interaction\n1,hook,Idle\n1,hook\n", true)
                .starts_with("i.csv:3: the line has 2 columns")
        );
        assert!(
            said("frame,tool,interaction\n\nx,hook,Idle\n", true)
                .starts_with("i.csv:3: `x` is not a frame number")
        );
        assert!(
            said("sequence,frame,tool,interaction\nb,1,hook,Idle\n", true)
                .starts_with("i.csv:2: `b` is not a sequence")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(\\PC|\n){0,80}", line in ".{0,40}") {
            let _ = rows_of(&text, false, 1);
            let _ = rows_of(&format!("sequence,frame,tool,interaction\n{line}"), true, 1);
        }
    }
}
