//! Tables for papers, as LaTeX with booktabs: main columns unless all are asked for, columns in
//! groups, the best value of each column bold. A table that is wider than a page's text becomes
//! several ones below each other, each with some groups of columns. A table with more rows than
//! a page has lines goes over several pages.

mod column;

use super::column_groups::ColumnGroup;
use super::paper_tables::Extent;
use super::result_table::ResultTable;
use column::{AROUND, Column, Heading};
use surgcam_engine::escape;

/// The text of LaTeX's `article` at 10 points, the narrowest that is in use, is 345 points wide.
/// Widths of columns are only estimated, so some of it is left free.
const TEXT_WIDTH: f64 = 330.0;
/// What tells rows apart takes at most so much of it in each part.
const MOST_OF_KEYS: f64 = 240.0;
/// A page of `article` has 45 lines. Besides the rows, the header, its rules and a caption take
/// some of them.
const MOST_ROWS_OF_A_PAGE: usize = 40;
const LONG: &str = "\\begin{longtable}";

pub fn latex(table: &ResultTable, extent: Extent) -> String {
    let columns = Column::all(table, extent);
    let hidden = table.columns.len() - columns.len();
    let hidden = (hidden > 0).then(|| format!("{hidden} more columns in {}.csv", table.name));
    let comment = |text: &str| format!("% {}\n", escape::line(text));
    let natural: f64 = columns.iter().map(|column| column.natural_width + AROUND).sum();
    let body = if natural <= TEXT_WIDTH {
        let all: Vec<&Column> = columns.iter().collect();
        let rows: Vec<usize> = (0..table.rows()).collect();
        with_rows(&all, &rows, Heading::Whole)
    } else {
        in_parts(table, columns)
    };
    let mut text = comment(&table.title);
    text.push_str(needs(&body));
    text.push_str(&body);
    let notes = table.notes.iter().chain(&hidden).map(|note| comment(note));
    text.extend(notes);
    text
}

/// What a document must have for this table, as comments.
fn needs(body: &str) -> &'static str {
    if body.contains(LONG) {
        "% It needs \\usepackage{booktabs} and \\usepackage{longtable}.\n\
         % It spans pages, so it stands outside of floats and in a single column of text.\n\
         % Its columns are aligned after two or three runs of LaTeX.\n"
    } else {
        "% It needs \\usepackage{booktabs}.\n"
    }
}

/// Several tables, each with what tells rows apart and with some of the other columns.
fn in_parts(table: &ResultTable, mut columns: Vec<Column>) -> String {
    Column::narrow_keys(&mut columns, MOST_OF_KEYS);
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
        let has_value = |row: &usize| {
            part.is_empty() || part.iter().any(|column| column.column.has_value(*row))
        };
        let rows: Vec<usize> = (0..table.rows()).filter(has_value).collect();
        let all: Vec<&Column> = keys.iter().chain(part).copied().collect();
        let drawn = with_rows(&all, &rows, Heading::Stacked);
        // A long table begins a paragraph itself, and keeps its own distance.
        if place > 0 && !drawn.starts_with(LONG) {
            text.push_str("\n\\medskip\\noindent\n");
        }
        text.push_str(&drawn);
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

/// On one page where the rows fit there, and otherwise over several pages.
fn with_rows(columns: &[&Column], rows: &[usize], heading: Heading) -> String {
    let letters: String = columns.iter().map(|column| column.alignment()).collect();
    // In a column of broken lines `\\\\` would end a line and not the row.
    let is_broken = columns.iter().any(|column| column.is_broken());
    let end = if is_broken { "\\tabularnewline" } else { "\\\\" };
    let header = header(columns, heading);
    let of_row = |&row: &usize| {
        let cells: Vec<String> = columns.iter().map(|column| column.cell(row)).collect();
        format!("{} {end}\n", cells.join(" & "))
    };
    let cells: String = rows.iter().map(of_row).collect();
    if rows.len() <= MOST_ROWS_OF_A_PAGE {
        return format!(
            "\\begin{{tabular}}{{{letters}}}\n{header}{cells}\\bottomrule\n\\end{{tabular}}\n"
        );
    }
    let continued =
        format!("\\multicolumn{{{}}}{{l}}{{\\emph{{continued}}}} \\\\\n", columns.len());
    format!(
        "{LONG}[l]{{{letters}}}\n{header}\\endfirsthead\n{continued}{header}\\endhead\n\
         \\bottomrule\n\\endfoot\n{cells}\\end{{longtable}}\n"
    )
}

/// The names of groups and columns, between two rules.
fn header(columns: &[&Column], heading: Heading) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.heading(heading)).collect();
    format!("\\toprule\n{}{} \\\\\n\\midrule\n", group_lines(columns), names.join(" & "))
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
    use crate::report::result_table::TableColumn;

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
    fn texts_that_tell_rows_apart_are_broken_where_they_would_fill_the_page() {
        let long = "gc-c, sl-fe, T_ROI 0.5, another frame's truth, ".repeat(3);
        let mut columns = vec![
            TableColumn::text("variant", vec![Some("gc-a".into()), Some("gc-b".into())]),
            TableColumn::text("best", vec![Some(long.clone()), Some("x".into())]),
            TableColumn::text("other", vec![Some(long), Some("y".into())]),
        ];
        columns.extend(
            ["mIoU", "AP50", "box F1"]
                .map(|name| TableColumn::number(name, 3, vec![Some(0.25), Some(0.5)])),
        );
        let text = latex(&ResultTable { columns, notes: vec![], ..table() }, Extent::Main);
        assert_eq!(text.matches("\\begin{tabular}").count(), 1, "{text}");
        assert!(text.contains("{lp{") && text.contains("gc-b & \\raggedright"), "{text}");
        assert_eq!(text.matches("\\tabularnewline").count(), 2, "{text}");
    }

    /// With so many rows, in two columns or in so many that they become parts.
    fn long_table(rows: usize, measured: usize) -> ResultTable {
        let mut columns = vec![TableColumn::text("variant", vec![Some("gc-a".into()); rows])];
        columns.extend((0..measured).map(|place| {
            TableColumn::number(format!("a score of {place}"), 1, vec![Some(0.5); rows])
        }));
        ResultTable { columns, notes: vec![], ..table() }
    }

    #[test]
    fn a_table_with_more_rows_than_a_page_goes_over_several_with_its_header() {
        let fits = latex(&long_table(MOST_ROWS_OF_A_PAGE, 1), Extent::Main);
        assert!(fits.contains("\\begin{tabular}") && !fits.contains("longtable"), "{fits}");
        let long = latex(&long_table(MOST_ROWS_OF_A_PAGE + 1, 1), Extent::Main);
        let expected = "\
\\begin{longtable}[l]{lr}
\\toprule
variant & a score of 0 \\\\
\\midrule
\\endfirsthead
\\multicolumn{2}{l}{\\emph{continued}} \\\\
\\toprule
variant & a score of 0 \\\\
\\midrule
\\endhead
\\bottomrule
\\endfoot
gc-a & 0.5 \\\\
gc-a & 0.5 \\\\
";
        assert!(long.contains(expected), "{long}");
        assert!(long.contains("\\usepackage{longtable}"), "{long}");
        let ends = "gc-a & 0.5 \\\\\n\\end{longtable}\n";
        assert!(long.ends_with(ends) && !long.contains("tabular"), "{long}");
        let wide = latex(&long_table(MOST_ROWS_OF_A_PAGE + 1, 30), Extent::Main);
        assert!(wide.matches(LONG).count() > 1 && !wide.contains("\\medskip"), "{wide}");
    }

    #[test]
    fn negative_numbers_have_a_minus_sign_and_absent_ones_a_hyphen() {
        let values = vec![Some(-1.25), None, Some(-0.5)];
        let names = ["a--b", "b", "-0.5"].map(|name| Some(name.to_string()));
        let columns = vec![
            TableColumn::text("variant", names.to_vec()),
            TableColumn::number("difference", 2, values.clone()),
            TableColumn::number("mAP", 1, values),
        ];
        let text = latex(&ResultTable { columns, notes: vec![], ..table() }, Extent::Main);
        let rows = "a-{}-b & $-$1.25 & $-$1.2 \\\\\nb & - & - \\\\\n\
                    -0.5 & $-$0.50 & \\textbf{$-$0.5} \\\\\n";
        assert!(text.contains(rows), "{text}");
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
