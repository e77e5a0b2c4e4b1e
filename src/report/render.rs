//! Tables as files: CSV, Parquet, Markdown, LaTeX.

use std::path::Path;

use minijinja::{Environment, context};
use polars::prelude::{CsvWriter, ParquetWriter, SerWriter};

use super::layout::{ResultTable, TableColumn};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::escape;
use surgcam_engine::store::file::{Durability, write_with};

/// Whether all of a table's files are there.
pub fn has_files(table: &ResultTable, folder: &Path) -> bool {
    ["csv", "parquet", "md", "tex"].iter().all(|extension| folder.join(format!("{}.{extension}", table.name)).exists())
}

/// Writes NAME.csv, NAME.parquet, NAME.md and NAME.tex, each whole or not at all. Parquet has every text as it is, the others as
/// [`escape`] makes it fit for them.
pub fn write_files(table: &ResultTable, folder: &Path) -> Result<()> {
    let path = |extension: &str| folder.join(format!("{}.{extension}", table.name));
    let write = |path: &Path, bytes: &[u8]| write_with(path, bytes, Durability::Remade);
    let mut csv = Vec::new();
    CsvWriter::new(&mut csv).finish(&mut table.with_texts(escape::csv).to_frame()?).at_path("write", &path("csv"))?;
    write(&path("csv"), &csv)?;
    let mut parquet = Vec::new();
    ParquetWriter::new(&mut parquet).finish(&mut table.to_frame()?).at_path("write", &path("parquet"))?;
    write(&path("parquet"), &parquet)?;
    write(&path("md"), markdown(table)?.as_bytes())?;
    write(&path("tex"), latex(table)?.as_bytes())
}

/// Its cells as text, row by row.
pub fn grid(columns: &[&TableColumn], rows: usize) -> Vec<Vec<String>> {
    (0..rows).map(|row| columns.iter().map(|column| column.shown(row)).collect()).collect()
}

const MARKDOWN: &str = "\
## {{ title }}

| {{ names | join(' | ') }} |
|{% for number in numbers %}{{ ' ---: |' if number else ' --- |' }}{% endfor %}
{% for row in rows %}| {{ row | join(' | ') }} |
{% endfor %}
{% for note in notes %}- {{ note }}
{% endfor %}";

const LATEX: &str = "\
% {{ title }}
\\begin{tabular}{ {%- for number in numbers %}{{ 'r' if number else 'l' }}{% endfor -%} }
\\hline
{{ names | join(' & ') }} \\\\
\\hline
{% for row in rows %}{{ row | join(' & ') }} \\\\
{% endfor %}\\hline
\\end{tabular}
{% for note in notes %}% {{ note }}
{% endfor %}";

fn markdown(table: &ResultTable) -> Result<String> {
    fill(MARKDOWN, &table.with_texts(escape::markdown))
}

fn latex(table: &ResultTable) -> Result<String> {
    // Title and notes are comments there.
    let comments = table.with_texts(|text| escape::line(text).into_owned());
    fill(LATEX, &ResultTable { columns: table.with_texts(escape::latex).columns, ..comments })
}

/// The template with the table's texts as they are.
fn fill(template: &str, table: &ResultTable) -> Result<String> {
    let columns: Vec<&TableColumn> = table.columns.iter().collect();
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment
        .render_str(
            template,
            context! {
                title => table.title,
                names => columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
                numbers => columns.iter().map(|column| column.is_number()).collect::<Vec<_>>(),
                rows => grid(&columns, table.rows()),
                notes => table.notes,
            },
        )
        .map_err(|error| Error::failure(format!("cannot render the table {}: {error}", table.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ResultTable {
        ResultTable {
            name: "example".into(),
            title: "An example".into(),
            columns: vec![
                TableColumn::text("variant", vec![Some("gc_a".into()), Some("50% & more".into())]),
                TableColumn::number("mAP", 3, vec![Some(0.12345), None]),
                TableColumn::count("AP of a very long class name", vec![Some(3), Some(12)]).detail(),
            ],
            notes: vec!["a note".into()],
            more_rows: 0,
        }
    }

    #[test]
    fn every_form_of_a_table() {
        insta::assert_snapshot!("markdown", markdown(&table()).unwrap());
        insta::assert_snapshot!("latex", latex(&table()).unwrap());
    }

    #[test]
    fn files_hold_all_digits_and_empty_stays_empty() {
        let folder = tempfile::tempdir().unwrap();
        write_files(&table(), folder.path()).unwrap();
        let csv = std::fs::read_to_string(folder.path().join("example.csv")).unwrap();
        assert_eq!(csv, "variant,mAP,AP of a very long class name\ngc_a,0.12345,3\n50% & more,,12\n");
    }

    #[test]
    fn a_foreign_name_stays_in_its_cell_in_every_form() {
        let names = ["=HYPERLINK(\"x\")", "a|b\n\\input{x}<img>", "-0.5"].map(|name| Some(name.to_string()));
        let table = ResultTable {
            title: "Of \u{1b}[2J\nx".into(),
            columns: vec![TableColumn::text("variant", names.to_vec())],
            notes: vec!["of x\n\\input{x}".into()],
            ..table()
        };
        let in_markdown = "## Of \\\\u001b[2J\\\\nx\n\n| variant |\n| --- |\n| =HYPERLINK(\"x\") |\n\
                           | a\\|b\\\\n\\\\input{x}\\<img> |\n| -0.5 |\n\n- of x\\\\n\\\\input{x}";
        assert_eq!(markdown(&table).unwrap().trim_end(), in_markdown);
        let in_latex = latex(&table).unwrap();
        assert!(in_latex.starts_with("% Of \\u001b[2J\\nx\n\\begin{tabular}"), "{in_latex}");
        assert!(in_latex.contains("a|b\\textbackslash{}n\\textbackslash{}input\\{x\\}<img> \\\\\n"), "{in_latex}");
        assert!(in_latex.trim_end().ends_with("\n% of x\\n\\input{x}"), "{in_latex}");
        let folder = tempfile::tempdir().unwrap();
        write_files(&table, folder.path()).unwrap();
        let in_csv = std::fs::read_to_string(folder.path().join("example.csv")).unwrap();
        assert_eq!(in_csv, "variant\n\"'=HYPERLINK(\"\"x\"\")\"\na|b\\n\\input{x}<img>\n-0.5\n");
    }
}
