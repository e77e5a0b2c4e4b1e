//! Tables for readmes, as Markdown. They have the main columns, or all if these are asked for.
//! Columns are in groups, and the best value of each column is bold.

use minijinja::{Environment, context};

use super::column_groups::{ColumnGroup, best_rows, groups};
use super::result_table::{ResultTable, TableColumn};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::escape;

/// Which of a table's columns are put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Main,
    All,
}

impl Extent {
    pub fn includes(self, column: &TableColumn) -> bool {
        self == Extent::All || !column.is_detail
    }
}

const MARKDOWN: &str = "\
## {{ title }}

| {{ names | join(' | ') }} |
|{% for number in numbers %}{{ ' ---: |' if number else ' --- |' }}{% endfor %}
{% for row in rows %}| {{ row | join(' | ') }} |
{% endfor %}
{% for note in notes %}- {{ note }}
{% endfor %}";

pub fn markdown(table: &ResultTable, extent: Extent) -> Result<String> {
    let chosen = Chosen::of(table, extent);
    let mut names = chosen.texts(|column| escape::markdown(&column.name));
    if chosen.has_several_groups() {
        // One line is all that a header has there.
        for (name, group) in
            names.iter_mut().zip(&chosen.groups).filter(|(_, group)| **group != ColumnGroup::Row)
        {
            *name = format!("{}: {name}", group.name());
        }
    }
    let notes = chosen.notes(table, escape::markdown);
    let cell = |column: &TableColumn, row: usize, is_best: bool| {
        let text = escape::markdown(&column.shown(row));
        if is_best { format!("**{text}**") } else { text }
    };
    let rows = chosen.rows(table, cell);
    let title = escape::markdown(&table.title);
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let numbers: Vec<bool> = chosen.columns.iter().map(|column| column.is_number()).collect();
    environment
        .render_str(MARKDOWN, context! { title, names, numbers, rows, notes })
        .map_err(|error| Error::failure(format!("cannot render a table: {error}")))
}

/// The columns that are put out, each with its group.
struct Chosen<'a> {
    columns: Vec<&'a TableColumn>,
    groups: Vec<ColumnGroup>,
    hidden: usize,
}

impl<'a> Chosen<'a> {
    fn of(table: &'a ResultTable, extent: Extent) -> Self {
        let grouped =
            table.columns.iter().zip(groups(table)).filter(|(column, _)| extent.includes(column));
        let (columns, groups): (Vec<&TableColumn>, Vec<ColumnGroup>) = grouped.unzip();
        Chosen { hidden: table.columns.len() - columns.len(), columns, groups }
    }

    fn has_several_groups(&self) -> bool {
        let measured = || self.groups.iter().filter(|group| **group != ColumnGroup::Row);
        measured().zip(measured().skip(1)).any(|(one, next)| one != next)
    }

    fn texts(&self, text: impl Fn(&TableColumn) -> String) -> Vec<String> {
        self.columns.iter().map(|column| text(column)).collect()
    }

    fn rows(
        &self,
        table: &ResultTable,
        cell: impl Fn(&TableColumn, usize, bool) -> String,
    ) -> Vec<Vec<String>> {
        let best: Vec<Vec<usize>> =
            self.columns.iter().map(|column| best_rows(table, column)).collect();
        let of_row = |row: usize| {
            let cells = self.columns.iter().zip(&best);
            cells.map(|(column, best)| cell(column, row, best.contains(&row))).collect()
        };
        (0..table.rows()).map(of_row).collect()
    }

    fn notes(&self, table: &ResultTable, escaped: impl Fn(&str) -> String) -> Vec<String> {
        let hidden = (self.hidden > 0)
            .then(|| format!("{} more columns in {}.csv", self.hidden, table.name));
        table.notes.iter().chain(&hidden).map(|note| escaped(note)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table with columns of every kind and names with characters that mean something.
    pub fn table() -> ResultTable {
        ResultTable {
            name: "extraction".into(),
            title: "An example".into(),
            columns: vec![
                TableColumn::text(
                    "variant",
                    vec![Some("gc_a".into()), Some("50% & <b>|x|".into())],
                ),
                TableColumn::count("pool", vec![Some(512), Some(32)]),
                TableColumn::number("FPS", 1, vec![Some(7.0), Some(12.25)]),
                TableColumn::number("p95 ms", 1, vec![Some(200.0), Some(90.0)]),
                TableColumn::number("probe mAP", 3, vec![Some(0.75), None]),
                TableColumn::number("AP grasping", 3, vec![Some(0.5), Some(0.25)]).detail(),
            ],
            notes: vec!["a note".into()],
            ..Default::default()
        }
    }

    #[test]
    fn markdown_has_groups_before_names_and_all_columns_where_they_are_asked_for() {
        let expected = "\
## An example

| variant | pool | speed: FPS | speed: p95 ms | probe: probe mAP | interactions: AP grasping |
| --- | ---: | ---: | ---: | ---: | ---: |
| gc_a | 512 | 7.0 | 200.0 | 0.750 | **0.500** |
| 50% \\& \\<b>\\|x\\| | 32 | **12.2** | **90.0** | - | 0.250 |

- a note";
        assert_eq!(markdown(&table(), Extent::All).unwrap().trim_end(), expected);
    }

    #[test]
    fn means_over_seeds_have_their_deviations_behind_them() {
        let mean = TableColumn::number("mAP", 2, vec![Some(0.871), Some(0.5)]);
        let columns = vec![
            TableColumn::text("variant", vec![Some("gc-a".into()), Some("gc-b".into())]),
            mean.with_deviations(vec![Some(0.019), None]),
        ];
        let table = ResultTable { columns, notes: vec![], ..table() };
        let in_markdown = markdown(&table, Extent::Main).unwrap();
        assert!(in_markdown.contains("| gc-a | **0.87 ± 0.02** |\n| gc-b | 0.50 |"));
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
        let in_markdown = "## Of \\\\u001b\\[2J\\\\nx\n\n| variant |\n| --- |\n\
                           | =HYPERLINK(\"x\") |\n\
                           | a\\|b\\\\n\\\\input{x}\\<img> |\n| -0.5 |\n\n- of x\\\\n\\\\input{x}";
        assert_eq!(markdown(&table, Extent::Main).unwrap().trim_end(), in_markdown);
    }
}
