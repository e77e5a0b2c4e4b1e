//! Tables as files: CSV, Parquet, Markdown, LaTeX.

use std::path::Path;

use polars::prelude::{CsvWriter, ParquetWriter, SerWriter};

use super::latex_tables::latex;
use super::layout::{ResultTable, TableColumn};
use super::paper_tables::{Extent, markdown};
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::escape;
use surgcam_engine::store::file::{Durability, write_with};

/// Whether all of a table's files are there.
pub fn has_files(table: &ResultTable, folder: &Path) -> bool {
    ["csv", "parquet", "md", "tex"]
        .iter()
        .all(|extension| folder.join(format!("{}.{extension}", table.name)).exists())
}

/// Writes NAME.csv, NAME.parquet, NAME.md and NAME.tex, each whole or not at all. Markdown and
/// LaTeX have the main columns, for people; the others have all of them. Parquet has every text as
/// it is, the others as [`escape`] makes it fit for them.
pub fn write_files(table: &ResultTable, folder: &Path) -> Result<()> {
    let path = |extension: &str| folder.join(format!("{}.{extension}", table.name));
    let write = |path: &Path, bytes: &[u8]| write_with(path, bytes, Durability::Remade);
    write(&path("csv"), &csv(table)?)?;
    let mut parquet = Vec::new();
    ParquetWriter::new(&mut parquet)
        .finish(&mut table.to_frame()?)
        .at_path("write", &path("parquet"))?;
    write(&path("parquet"), &parquet)?;
    write(&path("md"), markdown(table, Extent::Main)?.as_bytes())?;
    write(&path("tex"), latex(table, Extent::Main).as_bytes())
}

/// As CSV, every number with all its digits.
pub fn csv(table: &ResultTable) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let name = format!("{}.csv", table.name);
    CsvWriter::new(&mut text)
        .finish(&mut table.with_texts(escape::csv).to_frame()?)
        .at_path("write", Path::new(&name))?;
    Ok(text)
}

/// Its cells as text, row by row.
pub fn grid(columns: &[&TableColumn], rows: usize) -> Vec<Vec<String>> {
    (0..rows).map(|row| columns.iter().map(|column| column.shown(row)).collect()).collect()
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
                TableColumn::count("AP of a very long class name", vec![Some(3), Some(12)])
                    .detail(),
            ],
            notes: vec!["a note".into()],
            more_rows: 0,
        }
    }

    #[test]
    fn files_hold_all_digits_and_empty_stays_empty() {
        let folder = tempfile::tempdir().unwrap();
        write_files(&table(), folder.path()).unwrap();
        let csv = std::fs::read_to_string(folder.path().join("example.csv")).unwrap();
        assert_eq!(
            csv,
            "variant,mAP,AP of a very long class name\ngc_a,0.12345,3\n50% & more,,12\n"
        );
    }

    #[test]
    fn a_foreign_name_stays_in_its_cell() {
        let names = ["=HYPERLINK(\"x\")", "a|b\n\\input{x}<img>", "-0.5"]
            .map(|name| Some(name.to_string()));
        let table =
            ResultTable { columns: vec![TableColumn::text("variant", names.to_vec())], ..table() };
        let folder = tempfile::tempdir().unwrap();
        write_files(&table, folder.path()).unwrap();
        let in_csv = std::fs::read_to_string(folder.path().join("example.csv")).unwrap();
        assert_eq!(in_csv, "variant\n\"'=HYPERLINK(\"\"x\"\")\"\na|b\\n\\input{x}<img>\n-0.5\n");
    }
}
