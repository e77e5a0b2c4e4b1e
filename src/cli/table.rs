//! `surgcam table`.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::ExperimentArguments;
use crate::report::latex_tables::latex;
use crate::report::paper_tables::{self, Extent};
use crate::report::result_table::{Cells, ResultTable, TableColumn};
use crate::report::{printer, selection, table_formats, terminal_table};
use surgcam_engine::error::{Error, Result};

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// All columns, with all digits of every number
    Csv,
    /// Like csv; each table by its name, with rows as lists
    Json,
    /// Main columns, with the best value of each in bold
    Md,
    /// Like md, for the LaTeX package booktabs
    Tex,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// Only this table
    #[arg(
        long,
        value_name = "NAME",
        value_parser = ["classification", "localization", "extraction"],
    )]
    table: Option<String>,
    /// Only these columns, in this order, as in variant,mode,FPS
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// Sort rows by this column, lowest first; with `-` before its name, highest first
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Option<String>,
    /// The format for other programs; if left out, a table for people
    #[arg(long)]
    format: Option<Format>,
    /// Show detail columns too, such as those of single classes
    #[arg(long)]
    all_columns: bool,
    /// Print the tables beside the main ones instead: differences, single sequences, single seeds
    #[arg(long)]
    details: bool,
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    let planned = context.plan_of_results(&arguments.asked.experiment)?;
    let folder = context.results_folder(&planned.experiment.name);
    let (source, known) = (planned.table_source(&folder), &planned.known);
    let tables = if arguments.details {
        source.with_details(known)?.1.tables
    } else {
        source.tables(known)?
    };
    print(arguments, &chosen(arguments, tables)?)?;
    if known.to_run() > 0 {
        printer::message(&format!(
            "{} of {} stages are not in the store yet; their values are shown as `-` \
             (surgcam run {})",
            known.to_run(),
            planned.built.plan.stages.len(),
            arguments.asked.experiment
        ));
    }
    Ok(())
}

fn chosen(arguments: &Arguments, mut tables: Vec<ResultTable>) -> Result<Vec<ResultTable>> {
    if let Some(name) = &arguments.table {
        let beside = format!("{name}-");
        tables.retain(|table| table.name == *name || table.name.starts_with(&beside));
        if tables.is_empty() && !arguments.details {
            return Err(Error::usage(format!(
                "the experiment does not ask for the table `{name}`"
            ))
            .hint("add it to `tables` under [experiment], or leave --table out"));
        }
    }
    // Rows may be sorted by a column that is not shown.
    if let Some(column) = &arguments.sort {
        tables = selection::sorted(tables, column)?;
    }
    if arguments.columns.is_empty() {
        Ok(tables)
    } else {
        selection::with_columns(tables, &arguments.columns)
    }
}

fn print(arguments: &Arguments, tables: &[ResultTable]) -> Result<()> {
    let extent = if arguments.all_columns { Extent::All } else { Extent::Main };
    let texts: Vec<String> = match arguments.format {
        None => {
            let width = printer::data_width();
            tables.iter().map(|table| terminal_table::draw_columns(table, width, extent)).collect()
        }
        Some(Format::Csv) => tables.iter().map(csv).collect::<Result<_>>()?,
        Some(Format::Json) => vec![as_json(tables)?],
        Some(Format::Md) => tables
            .iter()
            .map(|table| paper_tables::markdown(table, extent))
            .collect::<Result<_>>()?,
        Some(Format::Tex) => tables.iter().map(|table| latex(table, extent)).collect(),
    };
    let is_for_people = arguments.format.is_none();
    texts.iter().enumerate().try_for_each(|(index, text)| {
        // An empty line separates several tables in one stream.
        let before = if index > 0 && !is_for_people { "\n" } else { "" };
        let text = if is_for_people { text.as_str() } else { text.trim_end() };
        printer::lines(&format!("{before}{text}"))
    })
}

fn csv(table: &ResultTable) -> Result<String> {
    Ok(String::from_utf8_lossy(&table_formats::csv(table)?).into_owned())
}

fn as_json(tables: &[ResultTable]) -> Result<String> {
    let all: Map<String, Value> =
        tables.iter().map(|table| (table.name.clone(), table_as_json(table))).collect();
    serde_json::to_string_pretty(&all)
        .map_err(|error| Error::failure(format!("cannot print the tables: {error}")))
}

fn table_as_json(table: &ResultTable) -> Value {
    let table = table.with_deviation_columns();
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let rows: Vec<Vec<Value>> = (0..table.rows())
        .map(|row| table.columns.iter().map(|column| cell_as_json(column, row)).collect())
        .collect();
    json!({"title": table.title, "columns": names, "rows": rows, "notes": table.notes})
}

fn cell_as_json(column: &TableColumn, row: usize) -> Value {
    match &column.cells {
        Cells::Text(values) => json!(values[row]),
        Cells::Count(values) => json!(values[row]),
        Cells::Number(values, _) => json!(values[row]),
    }
}
