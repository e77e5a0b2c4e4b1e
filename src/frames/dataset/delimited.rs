//! Text files of columns with commas or tabs between them. Each row knows its line, so that every
//! problem can name it.

use std::path::Path;

use super::label_file::{LABEL_FILE_BYTES, MAXIMUM_LINES, expect_short_name, too_many_lines};
use super::labels::normalized;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::regular_file;

/// The most columns of a row. A table of frames may have one for each class, and others.
const MAXIMUM_COLUMNS: usize = 10_000;

/// A row. Blanks around its fields are taken off.
#[derive(Debug)]
pub struct Row {
    fields: csv::StringRecord,
    /// `file:line` of its first line.
    pub place: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delimiter {
    /// Fields may be in quotes.
    Comma,
    /// Quotes are characters like others.
    Tab,
}

impl Delimiter {
    /// By the ending of the file's name: a `.tsv` file has tabs, and any other has commas.
    pub fn of(path: &Path) -> Self {
        let is_tsv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"));
        if is_tsv { Delimiter::Tab } else { Delimiter::Comma }
    }

    pub fn byte(self) -> u8 {
        match self {
            Delimiter::Comma => b',',
            Delimiter::Tab => b'\t',
        }
    }
}

impl Row {
    /// The field of a column, counted from 0. It is empty beyond the last column.
    pub fn field(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }

    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter()
    }

    /// An error unless the row has this number of fields.
    pub fn expect_columns(&self, count: usize) -> Result<()> {
        let found = self.fields.len();
        if found == count {
            return Ok(());
        }
        Err(Error::failure(format!("the line has {found} columns, {count} are expected")))
    }
}

/// The rows of a file, except empty ones.
pub fn read(path: &Path, delimiter: Delimiter) -> Result<Vec<Row>> {
    rows(&regular_file::read_to_string(path, LABEL_FILE_BYTES)?, path, delimiter)
}

/// The rows of a text, except empty ones. They may have different numbers of fields.
pub fn rows(text: &str, path: &Path, delimiter: Delimiter) -> Result<Vec<Row>> {
    limited_rows(text, path, delimiter, MAXIMUM_LINES)
}

fn limited_rows(text: &str, path: &Path, delimiter: Delimiter, most: usize) -> Result<Vec<Row>> {
    let text = text.trim_start_matches('\u{feff}');
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .quoting(delimiter == Delimiter::Comma)
        .delimiter(delimiter.byte())
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.into_records() {
        let fields = record.at_path("understand", path)?;
        if fields.iter().all(str::is_empty) {
            continue;
        }
        let place = format!("{}:{}", path.display(), line_of(&fields, text));
        if rows.len() == most {
            return Err(too_many_lines(most).at(place));
        }
        if fields.len() > MAXIMUM_COLUMNS {
            let what = format!(
                "the line has {} columns, and no more than {MAXIMUM_COLUMNS} can be read",
                fields.len()
            );
            return Err(Error::failure(what).at(place));
        }
        rows.push(Row { fields, place });
    }
    Ok(rows)
}

/// The line that a record begins on. The position that the reader gives is before the empty lines
/// that precede the record.
fn line_of(record: &csv::StringRecord, text: &str) -> u64 {
    let Some(position) = record.position() else { return 1 };
    let before = text
        .as_bytes()
        .iter()
        .skip(position.byte() as usize)
        .take_while(|byte| b"\r\n".contains(byte));
    position.line() + before.filter(|byte| **byte == b'\n').count() as u64
}

/// The first row of a file, which names the columns.
pub struct Header {
    names: Vec<String>,
    place: String,
}

impl Header {
    /// Takes the header off the rows. If there is no row, the header has no columns.
    pub fn take(rows: &mut Vec<Row>, path: &Path) -> Result<Self> {
        let place = format!("{}:1", path.display());
        if rows.is_empty() {
            return Ok(Header { names: Vec::new(), place });
        }
        let row = rows.remove(0);
        // A column may be a class, whose name is that of many frames.
        row.fields().try_for_each(expect_short_name).map_err(|error| error.at(&row.place))?;
        Ok(Header { names: row.fields().map(str::to_string).collect(), place: row.place })
    }

    /// `file:line` of the header.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a column, counted from 0. Capitals do not matter, and neither does whether
    /// words are joined with `_`, `-` or a blank.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|found| normalized(found) == normalized(name))
    }

    /// The number of a column that must be there.
    pub fn column(&self, name: &str) -> Result<usize> {
        self.find(name).ok_or_else(|| {
            Error::failure(format!(
                "the header has no column `{name}` (it has {})",
                self.names.join(", ")
            ))
            .at(self.place.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_back(text: &str, delimiter: Delimiter) -> Vec<(String, Vec<String>)> {
        let rows = rows(text, Path::new("f"), delimiter).unwrap();
        rows.into_iter()
            .map(|row| (row.place.clone(), row.fields().map(str::to_string).collect()))
            .collect()
    }

    #[test]
    fn a_row_knows_its_line_whatever_stands_before_it() {
        let text = "\u{feff}a, b \r\n\r\n\"c, d\",\"e\nf\"\n\n\n,\ng";
        let found = read_back(text, Delimiter::Comma);
        let expected = [("f:1", vec!["a", "b"]), ("f:3", vec!["c, d", "e\nf"]), ("f:8", vec!["g"])];
        assert_eq!(
            found,
            expected.map(|(place, fields)| (
                place.to_string(),
                fields.into_iter().map(str::to_string).collect()
            ))
        );
    }

    #[test]
    fn a_quote_in_a_file_of_tabs_is_a_quote() {
        assert_eq!(read_back("a\t\"b\n c \td", Delimiter::Tab)[0].1, ["a", "\"b"]);
    }

    #[test]
    fn columns_are_found_by_name() {
        let mut found = rows("Frame\tSpecimenBag\n0\t1", Path::new("f"), Delimiter::Tab).unwrap();
        let header = Header::take(&mut found, Path::new("f")).unwrap();
        assert_eq!(
            (header.find("frame"), found.len(), found[0].field(1), found[0].field(9)),
            (Some(0), 1, "1", "")
        );
        assert!(
            header
                .column("hook")
                .unwrap_err()
                .to_string()
                .contains("f:1: the header has no column `hook` (it has Frame, SpecimenBag)")
        );
    }

    #[test]
    fn a_file_that_would_fill_the_memory_is_refused_with_its_line() {
        let refused = |text: &str, most: usize| {
            limited_rows(text, Path::new("f"), Delimiter::Comma, most).unwrap_err().to_string()
        };
        assert!(refused("a\n\nb\nc\n", 2).starts_with("f:4: the file has more than 2 lines"));
        assert!(
            refused(&format!("\na{}", ",a".repeat(10_000)), 2)
                .starts_with("f:2: the line has 10001")
        );
        let mut named = rows(&"n".repeat(201), Path::new("f"), Delimiter::Comma).unwrap();
        let error = Header::take(&mut named, Path::new("f")).err().unwrap().to_string();
        assert!(
            error.starts_with("f:1: the name `nnn") && error.contains("more than 200"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn lines_are_those_that_an_editor_shows(
            lines in proptest::collection::vec("[ab]{0,3}", 0..20),
        ) {
            let found = read_back(&lines.join("\n"), Delimiter::Comma);
            let written = lines.iter().enumerate().filter(|(_, line)| !line.is_empty());
            let place = |index: usize| format!("f:{}", index + 1);
            let expected: Vec<_> =
                written.map(|(index, line)| (place(index), vec![line.clone()])).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
