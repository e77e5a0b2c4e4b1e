//! Interactions as CSV: `frame,tool,interaction` for one sequence, `sequence,frame,tool,interaction` for all.
//!
//! Columns go by the header's names. One row an instrument; a frame without a row is not annotated. Read line by line, so that
//! every problem has its line.

use std::path::Path;

use super::{frame_number, sequence_number};
use crate::dataset::labels::normalized;
use crate::error::{AtPath, Error, Result};

#[derive(Debug, PartialEq)]
pub struct InteractionFile {
    rows: Vec<InteractionRow>,
}

#[derive(Debug, PartialEq)]
pub struct InteractionRow {
    /// `None`: the file's own.
    sequence: Option<u32>,
    pub frame: u32,
    pub tool: String,
    pub interaction: String,
    /// `file:line`.
    pub place: String,
}

impl InteractionFile {
    pub fn rows_of(&self, sequence: u32) -> impl Iterator<Item = &InteractionRow> {
        self.rows.iter().filter(move |row| row.sequence.is_none_or(|of| of == sequence))
    }
}

/// `is_of_one_sequence`: the file's path says which, so that the rows need not.
pub fn read(path: &Path, is_of_one_sequence: bool, problems: &mut Vec<Error>) -> Result<InteractionFile> {
    let text = std::fs::read_to_string(path).at_path("read the interactions", path)?;
    interactions_in(&text, path, is_of_one_sequence, problems)
}

pub(super) fn interactions_in(text: &str, path: &Path, is_of_one_sequence: bool, problems: &mut Vec<Error>) -> Result<InteractionFile> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let header = lines.next().unwrap_or_default();
    let columns = Columns::of(header, is_of_one_sequence).map_err(|error| error.at(format!("{}:1", path.display())))?;
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("{}:{}", path.display(), index + 2);
        match columns.row(line, &place) {
            Ok(row) => rows.push(row),
            Err(error) => problems.push(error.at(place)),
        }
    }
    Ok(InteractionFile { rows })
}

/// Where in a line things stand.
struct Columns {
    count: usize,
    sequence: Option<usize>,
    frame: usize,
    tool: usize,
    interaction: usize,
}

impl Columns {
    fn of(header: &str, is_of_one_sequence: bool) -> Result<Self> {
        let names: Vec<String> = fields(header).into_iter().map(normalized).collect();
        let optional = |name: &str| names.iter().position(|found| found == name);
        let column = |name: &str| {
            optional(name).ok_or_else(|| {
                Error::failure(format!("the header has no column `{name}` (it has {})", names.join(", ")))
                    .hint("the columns are frame,tool,interaction, and sequence where one file is for all sequences")
            })
        };
        let sequence = if is_of_one_sequence { optional("sequence") } else { Some(column("sequence")?) };
        let (frame, tool, interaction) = (column("frame")?, column("tool")?, column("interaction")?);
        Ok(Columns { count: names.len(), sequence, frame, tool, interaction })
    }

    fn row(&self, line: &str, place: &str) -> Result<InteractionRow> {
        let fields = fields(line);
        if fields.len() != self.count {
            return Err(Error::failure(format!("the line has {} columns, the header has {}", fields.len(), self.count)));
        }
        Ok(InteractionRow {
            sequence: self.sequence.map(|column| sequence_number(fields[column])).transpose()?,
            frame: frame_number(fields[self.frame])?,
            tool: fields[self.tool].to_string(),
            interaction: fields[self.interaction].to_string(),
            place: place.to_string(),
        })
    }
}

/// No field has a comma in it, so quotes around one mean nothing.
fn fields(line: &str) -> Vec<&str> {
    line.split(',').map(|field| field.trim().trim_matches('"')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows_of(text: &str, is_of_one_sequence: bool, sequence: u32) -> Result<Vec<(u32, String, String)>> {
        let mut problems = Vec::new();
        let file = interactions_in(text, Path::new("i.csv"), is_of_one_sequence, &mut problems)?;
        if let Some(problem) = problems.pop() {
            return Err(problem);
        }
        Ok(file.rows_of(sequence).map(|row| (row.frame, row.tool.clone(), row.interaction.clone())).collect())
    }

    #[test]
    fn a_file_of_one_sequence_needs_no_column_for_it() {
        let rows = rows_of("frame,tool,interaction\r\n010,\"suction\",Suction\r\n\r\nframe011,stapler,Idle\r\n", true, 7).unwrap();
        assert_eq!(rows, [(10, "suction".into(), "Suction".into()), (11, "stapler".into(), "Idle".into())]);
    }

    #[test]
    fn a_file_of_all_gives_each_sequence_its_rows() {
        let text = "Sequence,Interaction,Tool,Frame\n2,Idle,suction,1\nseq_3,Staple,stapler,4\nvideo02,Cutting,hook,5\n";
        assert_eq!(rows_of(text, false, 2).unwrap(), [(1, "suction".into(), "Idle".into()), (5, "hook".into(), "Cutting".into())]);
        assert_eq!(rows_of(text, false, 3).unwrap(), [(4, "stapler".into(), "Staple".into())]);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let said = |text: &str, one| rows_of(text, one, 1).unwrap_err().to_string();
        assert!(said("frame,tool,interaction\n1,hook,Idle\n", false).contains("i.csv:1: the header has no column `sequence`"));
        assert!(said("", true).contains("i.csv:1: the header has no column `frame`"));
        assert!(said("frame,tool,interaction\n1,hook,Idle\n1,hook\n", true).starts_with("i.csv:3: the line has 2 columns"));
        assert!(said("frame,tool,interaction\n\nx,hook,Idle\n", true).starts_with("i.csv:3: `x` is no frame number"));
        assert!(said("sequence,frame,tool,interaction\nb,1,hook,Idle\n", true).starts_with("i.csv:2: `b` is no sequence"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(\\PC|\n){0,80}", line in ".{0,40}") {
            let _ = interactions_in(&text, Path::new("x"), false, &mut Vec::new());
            let _ = interactions_in(&format!("sequence,frame,tool,interaction\n{line}"), Path::new("x"), true, &mut Vec::new());
        }
    }
}
