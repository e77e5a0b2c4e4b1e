//! Tables as files: CSV, Parquet, Markdown, LaTeX.

use std::path::Path;

use polars::prelude::{CsvWriter, ParquetWriter, SerWriter};

use super::latex_tables::latex;
use super::paper_tables::{Extent, markdown};
use super::result_table::{ResultTable, TableColumn};
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::escape;
use surgcam_engine::store::file::{Durability, remove_if_there, write_with};

/// The forms of a table.
const EXTENSIONS: [&str; 4] = ["csv", "parquet", "md", "tex"];

/// Whether all files of the table with this name are there.
pub fn has_files(name: &str, folder: &Path) -> bool {
    EXTENSIONS.iter().all(|extension| folder.join(format!("{name}.{extension}")).exists())
}

/// Removes the files of a table that is not made any more.
pub fn remove_files(name: &str, folder: &Path) -> Result<()> {
    EXTENSIONS
        .iter()
        .try_for_each(|extension| remove_if_there(&folder.join(format!("{name}.{extension}"))))
}

/// Writes NAME.csv, NAME.parquet, NAME.md and NAME.tex, each completely or not at all. CSV and
/// Parquet have all columns. Markdown and LaTeX are for people and have the main columns. Texts are
/// written to Parquet as they are; for the other forms they go through [`escape`].
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

/// The table as CSV. Numbers have all their digits.
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
            ..Default::default()
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
    fn a_mean_over_seeds_has_a_column_with_its_deviations_beside_it() {
        let mean = TableColumn::number("mAP", 3, vec![Some(0.5), Some(0.25)]);
        let columns = vec![
            mean.with_deviations(vec![Some(0.125), None]),
            TableColumn::number("FPS", 1, vec![Some(7.0), None]),
        ];
        let text = csv(&ResultTable { columns, ..table() }).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "mAP,mAP sd,FPS\n0.5,0.125,7.0\n0.25,,\n");
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
