//! Tables for papers, as LaTeX with booktabs: main columns unless all are asked for, columns in
//! groups, the best value of each column bold. A table that is wider than a page's text becomes
//! several ones below each other, each with some groups of columns.

use super::column_groups::{ColumnGroup, best_rows, groups};
use super::paper_tables::Extent;
use super::result_table::{ResultTable, TableColumn};
use surgcam_engine::escape;

/// The text of LaTeX's `article` at 10 points, the narrowest that is in use, is 345 points wide.
/// Widths of columns are only estimated, so some of it is left free.
const TEXT_WIDTH: f64 = 330.0;
/// The space around a column: LaTeX's own, and that of parts.
const AROUND: f64 = 12.0;
const AROUND_IN_PARTS: f64 = 6.0;
/// Parts are set in `\footnotesize`, which has 8 points.
const SMALL: f64 = 0.8;

/// Columns that stand in each part, however equal their values are.
const ALWAYS_SHOWN: [&str; 3] = ["variant", "mode", "head"];

pub fn latex(table: &ResultTable, extent: Extent) -> String {
    let columns = Column::all(table, extent);
    let hidden = table.columns.len() - columns.len();
    let hidden = (hidden > 0).then(|| format!("{hidden} more columns in {}.csv", table.name));
    let comment = |text: &str| format!("% {}\n", escape::line(text));
    let mut text = comment(&table.title);
    text.push_str("% It needs \\usepackage{booktabs}.\n");
    let natural: f64 = columns.iter().map(|column| column.natural_width + AROUND).sum();
    if natural <= TEXT_WIDTH {
        let all: Vec<&Column> = columns.iter().collect();
        let rows: Vec<usize> = (0..table.rows()).collect();
        text.push_str(&tabular(&all, &rows, Heading::Whole));
    } else {
        text.push_str(&in_parts(table, &columns));
    }
    let notes = table.notes.iter().chain(&hidden).map(|note| comment(note));
    text.extend(notes);
    text
}

/// How the names of columns are written.
#[derive(Clone, Copy)]
enum Heading {
    Whole,
    /// Without what the group says, a word in each line.
    Stacked,
}

/// A column that is put out.
struct Column<'a> {
    column: &'a TableColumn,
    group: ColumnGroup,
    best: Vec<usize>,
    /// The lines of its name in a part, in which its group is named above it.
    short_name: Vec<String>,
    natural_width: f64,
    width_in_parts: f64,
}

impl<'a> Column<'a> {
    /// What tells rows apart first, then group by group.
    fn all(table: &'a ResultTable, extent: Extent) -> Vec<Self> {
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
            column,
            group,
            best,
            short_name,
        }
    }

    fn heading(&self, heading: Heading) -> String {
        let lines: Vec<String> = match heading {
            Heading::Whole => vec![escape::latex(&self.column.name)],
            Heading::Stacked => self.short_name.iter().map(|line| escape::latex(line)).collect(),
        };
        if lines.len() == 1 {
            return lines.concat();
        }
        format!("\\shortstack[{}]{{{}}}", self.letter(), lines.join("\\\\"))
    }

    /// How its cells are aligned.
    fn letter(&self) -> char {
        if self.column.is_number() { 'r' } else { 'l' }
    }

    /// Of a mean over seeds only the mean is bold.
    fn cell(&self, row: usize) -> String {
        let value = escape::latex(&self.column.shown_value(row));
        let is_best = self.best.contains(&row);
        match self.column.shown_deviation(row) {
            Some(deviation) if is_best => format!("$\\mathbf{{{value}}} \\pm {deviation}$"),
            Some(deviation) => format!("${value} \\pm {deviation}$"),
            None if is_best => format!("\\textbf{{{value}}}"),
            None => value,
        }
    }

    /// Whether most rows have no value in it.
    fn is_sparse(&self) -> bool {
        let rows = self.column.len();
        2 * (0..rows).filter(|&row| self.column.has_value(row)).count() < rows
    }

    /// Whether it tells nothing that has to stand in every row.
    fn is_constant(&self) -> bool {
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

/// Several tables, each with what tells rows apart and with some of the other columns.
fn in_parts(table: &ResultTable, columns: &[Column]) -> String {
    let (keys, measured): (Vec<&Column>, Vec<&Column>) =
        columns.iter().partition(|column| column.group == ColumnGroup::Row);
    let (constant, keys): (Vec<&Column>, Vec<&Column>) =
        keys.into_iter().partition(|column| column.is_constant());
    let mut text = String::new();
    for column in constant {
        let (name, value) = (&column.column.name, column.column.shown(0));
        text.push_str(&format!("% In all rows: {}\n", escape::line(&format!("{name} {value}"))));
    }
    // What few rows have stands apart from what all of them have.
    let (sparse, dense): (Vec<&Column>, Vec<&Column>) =
        measured.into_iter().partition(|column| column.is_sparse());
    let of_keys: f64 = keys.iter().map(|column| column.width_in_parts).sum();
    let room = TEXT_WIDTH - of_keys;
    let mut parts = [parts(&dense, room), parts(&sparse, room)].concat();
    // A table that only tells its rows apart has no such columns.
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() {
        parts.push(Vec::new());
    }
    text.push_str("{\\footnotesize\\setlength{\\tabcolsep}{3pt}%\n");
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            text.push_str("\n\\medskip\\noindent\n");
        }
        let has_value = |row: &usize| {
            part.is_empty() || part.iter().any(|column| column.column.has_value(*row))
        };
        let rows: Vec<usize> = (0..table.rows()).filter(has_value).collect();
        let all: Vec<&Column> = keys.iter().chain(part).copied().collect();
        text.push_str(&tabular(&all, &rows, Heading::Stacked));
    }
    text.push_str("}\n");
    text
}

/// Columns that stand side by side in a width: whole groups, unless one alone is wider.
fn parts<'a, 'b>(measured: &[&'a Column<'b>], room: f64) -> Vec<Vec<&'a Column<'b>>> {
    let width =
        |columns: &[&Column]| -> f64 { columns.iter().map(|column| column.width_in_parts).sum() };
    let mut parts: Vec<Vec<&Column>> = vec![Vec::new()];
    let mut add = |columns: &[&'a Column<'b>]| {
        let last = parts.len() - 1;
        if parts[last].is_empty() || width(&parts[last]) + width(columns) <= room {
            parts[last].extend(columns);
        } else {
            parts.push(columns.to_vec());
        }
    };
    for group in measured.chunk_by(|one, next| one.group == next.group) {
        if width(group) <= room {
            add(group);
        } else {
            group.chunks(1).for_each(&mut add);
        }
    }
    parts
}

fn tabular(columns: &[&Column], rows: &[usize], heading: Heading) -> String {
    let letters: String = columns.iter().map(|column| column.letter()).collect();
    let names: Vec<String> = columns.iter().map(|column| column.heading(heading)).collect();
    let mut text = format!("\\begin{{tabular}}{{{letters}}}\n\\toprule\n");
    text.push_str(&group_lines(columns));
    text.push_str(&format!("{} \\\\\n\\midrule\n", names.join(" & ")));
    for &row in rows {
        let cells: Vec<String> = columns.iter().map(|column| column.cell(row)).collect();
        text.push_str(&format!("{} \\\\\n", cells.join(" & ")));
    }
    text.push_str("\\bottomrule\n\\end{tabular}\n");
    text
}

/// The names of groups over their columns, and a rule below each; nothing over scores alone.
fn group_lines(columns: &[&Column]) -> String {
    let says_nothing = [ColumnGroup::Row, ColumnGroup::Scores];
    if columns.iter().all(|column| says_nothing.contains(&column.group)) {
        return String::new();
    }
    let (mut names, mut rules, mut first) = (Vec::new(), Vec::new(), 1);
    for run in columns.chunk_by(|one, next| one.group == next.group) {
        let last = first + run.len() - 1;
        if run[0].group == ColumnGroup::Row {
            names.push(vec![""; run.len()].join(" & "));
        } else {
            let name = run[0].group.name();
            names.push(format!("\\multicolumn{{{}}}{{c}}{{{name}}}", run.len()));
            rules.push(format!("\\cmidrule(lr){{{first}-{last}}}"));
        }
        first = last + 1;
    }
    format!("{} \\\\\n{}\n", names.join(" & "), rules.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::paper_tables::tests::table;

    #[test]
    fn a_narrow_table_has_groups_rules_and_the_best_values_bold() {
        let expected = "\
% An example
% It needs \\usepackage{booktabs}.
\\begin{tabular}{lrrrr}
\\toprule
 &  & \\multicolumn{2}{c}{speed} & \\multicolumn{1}{c}{probe} \\\\
\\cmidrule(lr){3-4} \\cmidrule(lr){5-5}
variant & pool & FPS & p95 ms & probe mAP \\\\
\\midrule
gc\\_a & 512 & 7.0 & 200.0 & 0.750 \\\\
50\\% \\& \\textless{}b\\textgreater{}\\textbar{}x\\textbar{} & 32 & \\textbf{12.2} & \\textbf{90.0} & - \\\\
\\bottomrule
\\end{tabular}
% a note
% 1 more columns in extraction.csv";
        assert_eq!(latex(&table(), Extent::Main).trim_end(), expected);
    }

    #[test]
    fn a_wide_table_becomes_several_with_the_rows_that_have_values() {
        let long = "a name of a variant that is long";
        let numbers =
            |name: &str, values: [Option<f64>; 2]| TableColumn::number(name, 3, values.to_vec());
        let mut columns = vec![
            TableColumn::text("variant", vec![Some("gc-a".into()), Some(long.into())]),
            TableColumn::count("pool", vec![Some(512); 2]),
            numbers("passes/frame", [Some(1.0), Some(2.0)]),
        ];
        columns
            .extend(["BLEU-4", "METEOR", "ROUGE-L"].map(|name| numbers(name, [Some(0.5), None])));
        columns.push(numbers("interaction accuracy", [None, Some(0.25)]));
        columns.push(numbers("FPS tasks", [Some(3.0), None]));
        let text = latex(&ResultTable { columns, ..table() }, Extent::Main);
        let tables: Vec<&str> = text.split("\\begin{tabular}").skip(1).collect();
        assert!(tables.len() > 1, "{text}");
        assert!(text.contains("% In all rows: pool 512\n"), "{text}");
        let of = |name: &str| *tables.iter().find(|table| table.contains(name)).unwrap();
        assert!(of("\\shortstack[r]{passes/\\\\frame}").contains("\\shortstack[r]{FPS\\\\tasks}"));
        let (captions, interactions) = (of("METEOR"), of("accuracy"));
        assert!(captions.contains("gc-a"), "{captions}");
        assert!(interactions.contains(long) && !interactions.contains("interaction accuracy"));
    }

    #[test]
    fn means_over_seeds_have_their_deviations_behind_them() {
        let mean = TableColumn::number("mAP", 2, vec![Some(0.871), Some(0.5)]);
        let columns = vec![
            TableColumn::text("variant", vec![Some("gc-a".into()), Some("gc-b".into())]),
            mean.with_deviations(vec![Some(0.019), None]),
        ];
        let text = latex(&ResultTable { columns, notes: vec![], ..table() }, Extent::Main);
        assert!(text.contains("gc-a & $\\mathbf{0.87} \\pm 0.02$ \\\\\ngc-b & 0.50 "), "{text}");
    }

    #[test]
    fn a_foreign_name_stays_in_its_cell() {
        let names = ["=HYPERLINK(\"x\")", "a|b\n\\input{x}<img>", "-0.5"]
            .map(|name| Some(name.to_string()));
        let table = ResultTable {
            title: "Of \u{1b}[2J\nx".into(),
            columns: vec![TableColumn::text("variant", names.to_vec())],
            notes: vec!["of x\n\\input{x}".into()],
            ..table()
        };
        let in_latex = latex(&table, Extent::Main);
        assert!(in_latex.starts_with("% Of \\u001b[2J\\nx\n% It needs"), "{in_latex}");
        assert!(
            in_latex.contains("a\\textbar{}b\\textbackslash{}n\\textbackslash{}input\\{x\\}\\textless{}img\\textgreater{} \\\\\n"),
            "{in_latex}"
        );
        assert!(in_latex.trim_end().ends_with("\n% of x\\n\\input{x}"), "{in_latex}");
    }
}
