//! A column of a LaTeX table: how its name and its cells are written, and how wide they are.

use crate::report::column_groups::{ColumnGroup, best_rows, groups};
use crate::report::paper_tables::Extent;
use crate::report::result_table::{ResultTable, TableColumn};
use surgcam_engine::escape;

/// The space around a column: LaTeX's own, and that of parts.
pub const AROUND: f64 = 12.0;
const AROUND_IN_PARTS: f64 = 6.0;
/// Parts are set in `\footnotesize`, which has 8 points.
const SMALL: f64 = 0.8;
/// No column of texts is made narrower than this.
const NARROWEST: f64 = 40.0;

/// Columns that stand in each part, however equal their values are.
const ALWAYS_SHOWN: [&str; 3] = ["variant", "mode", "head"];

/// How the names of columns are written.
#[derive(Clone, Copy)]
pub enum Heading {
    Whole,
    /// Without what the group says, a word in each line.
    Stacked,
}

/// A column that is put out.
pub struct Column<'a> {
    pub column: &'a TableColumn,
    pub group: ColumnGroup,
    best: Vec<usize>,
    /// The lines of its name in a part, in which its group is named above it.
    short_name: Vec<String>,
    pub natural_width: f64,
    pub width_in_parts: f64,
    /// The width in points in which its texts are broken into lines.
    broken_at: Option<f64>,
}

impl<'a> Column<'a> {
    /// What tells rows apart first, then group by group.
    pub fn all(table: &'a ResultTable, extent: Extent) -> Vec<Self> {
        let grouped = table.columns.iter().zip(groups(table));
        let mut columns: Vec<Column> = grouped
            .filter(|(column, _)| extent.includes(column))
            .map(|(column, group)| Column::new(table, column, group))
            .collect();
        columns.sort_by_key(|column| column.group);
        columns
    }

    fn new(table: &ResultTable, column: &'a TableColumn, group: ColumnGroup) -> Self {
        let (best, short_name) = (best_rows(table, column), short_name(&column.name, group));
        let of_cell = |row: usize| {
            let bold = if best.contains(&row) { 1.15 } else { 1.0 };
            width(&column.shown(row)) * bold
        };
        let cells = (0..column.len()).map(of_cell).fold(0.0, f64::max);
        let of_name = short_name.iter().map(|line| width(line)).fold(0.0, f64::max);
        Column {
            natural_width: cells.max(width(&column.name)),
            width_in_parts: cells.max(of_name) * SMALL + AROUND_IN_PARTS,
            broken_at: None,
            column,
            group,
            best,
            short_name,
        }
    }

    /// Makes the widest of the columns of texts that tell rows apart narrower, until all that tell
    /// rows apart fit into `most` points of a part.
    pub fn narrow_keys(columns: &mut [Self], most: f64) {
        let mut keys: Vec<&mut Self> = columns
            .iter_mut()
            .filter(|column| column.group == ColumnGroup::Row && !column.is_constant())
            .collect();
        if keys.iter().map(|column| column.width_in_parts).sum::<f64>() <= most {
            return;
        }
        keys.sort_by(|one, other| one.width_in_parts.total_cmp(&other.width_in_parts));
        let (mut room, count) = (most, keys.len());
        for (place, column) in keys.into_iter().enumerate() {
            // What narrow columns leave is shared by the wider ones.
            let share = (room / (count - place) as f64).max(NARROWEST);
            if column.width_in_parts > share && !column.column.is_number() {
                column.broken_at = Some(share - AROUND_IN_PARTS);
                column.width_in_parts = share;
            }
            room -= column.width_in_parts;
        }
    }

    pub fn heading(&self, heading: Heading) -> String {
        let lines: Vec<String> = match heading {
            Heading::Whole => vec![escape::latex(&self.column.name)],
            Heading::Stacked => self.short_name.iter().map(|line| escape::latex(line)).collect(),
        };
        if lines.len() == 1 {
            return lines.concat();
        }
        format!("\\shortstack[{}]{{{}}}", self.letter(), lines.join("\\\\"))
    }

    fn letter(&self) -> char {
        if self.column.is_number() { 'r' } else { 'l' }
    }

    /// How its cells are aligned, in the words of `tabular`.
    pub fn alignment(&self) -> String {
        match self.broken_at {
            Some(width) => format!("p{{{width:.0}pt}}"),
            None => self.letter().to_string(),
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken_at.is_some()
    }

    pub fn cell(&self, row: usize) -> String {
        let value = self.value(row);
        // The space of no width lets TeX hyphenate a first word, too.
        if self.is_broken() { format!("\\raggedright\\hspace{{0pt}}{value}") } else { value }
    }

    /// Of a mean over seeds only the mean is bold.
    fn value(&self, row: usize) -> String {
        let value = self.column.shown_value(row);
        let is_best = self.best.contains(&row);
        match self.column.shown_deviation(row) {
            // In a formula a hyphen is a minus sign.
            Some(deviation) if is_best => format!("$\\mathbf{{{value}}} \\pm {deviation}$"),
            Some(deviation) => format!("${value} \\pm {deviation}$"),
            None if is_best => format!("\\textbf{{{}}}", self.in_text(row, &value)),
            None => self.in_text(row, &value),
        }
    }

    /// A value outside of a formula, where a hyphen would be too short for a minus sign. The hyphen
    /// of an absent value is none.
    fn in_text(&self, row: usize, value: &str) -> String {
        match value.strip_prefix('-') {
            Some(number) if self.column.is_number() && self.column.has_value(row) => {
                format!("$-${}", escape::latex(number))
            }
            _ => escape::latex(value),
        }
    }

    /// Whether most rows have no value in it.
    pub fn is_sparse(&self) -> bool {
        let rows = self.column.len();
        2 * (0..rows).filter(|&row| self.column.has_value(row)).count() < rows
    }

    /// Whether it tells nothing that has to stand in every row.
    pub fn is_constant(&self) -> bool {
        !ALWAYS_SHOWN.contains(&self.column.name.as_str())
            && self.column.len() > 1
            && self.column.is_constant()
    }
}

/// A name without what the name of its group says, in lines about as long as its longest word.
fn short_name(name: &str, group: ColumnGroup) -> Vec<String> {
    let prefix = match group {
        ColumnGroup::Probe => "probe ",
        ColumnGroup::Interactions => "interaction ",
        _ => "",
    };
    let name = name.strip_prefix(prefix).unwrap_or(name);
    let words: Vec<&str> = name
        .split(' ')
        .flat_map(|word| word.split_inclusive('/'))
        .filter(|word| !word.is_empty())
        .collect();
    let letters = |text: &str| text.chars().count();
    let longest = words.iter().map(|word| letters(word)).max().unwrap_or(0);
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if letters(line) + 1 + letters(word) <= longest && !line.ends_with('/') => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// The width of a text in points of LaTeX's own font at 10 points, roughly.
fn width(text: &str) -> f64 {
    let of_letter = |letter: char| match letter {
        'i' | 'j' | 'l' | 'f' | 't' | 'r' | '.' | ',' | '-' | ' ' | '(' | ')' | '|' | '\'' => 3.4,
        'm' | 'w' | '%' | '_' | '@' => 8.0,
        'A'..='Z' => 7.3,
        _ => 5.2,
    };
    text.chars().map(of_letter).sum()
}
