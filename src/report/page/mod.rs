//! `report.html`: one file with everything that an experiment found. It needs no network and
//! nothing beside it; what it shows of results are the tables' own numbers.

mod background;
mod data;
mod gallery;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::comparison::Comparison;
use super::figures::{self, Figure};
use super::layout::ResultTable;
use super::results::Results;
use super::run_record;
use super::table_files::TableSource;
use background::{LeftOut, line};
use gallery::{GalleryPicture, GallerySource};
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::plan::drawing;
use surgcam_engine::plan::status::{self, Known};
use surgcam_engine::protocol::Hello;
use surgcam_engine::runner::journal;
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::file::{Durability, write_with};
use surgcam_engine::store::runs::{PlanSnapshot, Run, Scope};
use surgcam_pipeline::planned::Built;
use surgcam_recipe::experiment::Experiment;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const FILE: &str = "report.html";

/// A larger graph is for other programs.
const MOST_STAGES_DRAWN: usize = 200;
/// Runs that are looked through for the last one of this experiment that made stages.
const MOST_RUNS_READ: usize = 100;
/// The beginning of the page, in which it says what it was written from.
const HEAD: u64 = 1024;

/// What the page is made from.
pub struct PageSource<'a> {
    pub tables: TableSource<'a>,
    pub known: &'a Known,
    pub hello: Option<&'a Hello>,
    /// The digest that the plan with its results goes by.
    pub plan: Digest,
}

impl PageSource<'_> {
    fn path(&self) -> PathBuf {
        self.tables.folder.join(FILE)
    }

    /// As long as this is the same, so is the page, but for runs that found nothing to do.
    fn written_from(&self) -> String {
        let page = Digest::of_bytes([TEMPLATE, STYLE, SCRIPT].concat().as_bytes());
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("{} {version} {page} {:?}", self.plan, self.tables.machine);
        Digest::of_bytes(text.as_bytes()).to_string()
    }

    /// Whether the page is there and tells of this very plan and its results.
    pub fn is_written(&self) -> bool {
        let mut head = Vec::new();
        let read = File::open(self.path()).and_then(|file| file.take(HEAD).read_to_end(&mut head));
        read.is_ok() && String::from_utf8_lossy(&head).contains(&self.written_from())
    }

    /// Writes the page, and its figures as files beside it; gives the page's path.
    pub fn write(&self) -> Result<PathBuf> {
        let TableSource { experiment, built, store, .. } = self.tables;
        let tables = self.tables.tables(self.known)?;
        let results = Results::new(store, self.known);
        let (last, working) = last_runs(store, &experiment.name);
        let yardsticks = yardsticks(built);
        let comparison = Comparison::of(&tables, &yardsticks);
        let drawn = self.drawn(&tables, comparison.as_ref(), working.as_ref())?;
        figures::write(&drawn.all(), &self.tables.folder.join("figures"))?;
        let snapshot: PlanSnapshot =
            serde_json::from_slice(&run_record::snapshot(experiment, built, self.known)?)
                .at_path("understand the plan of", &experiment.path)?;
        let (recipes, more_recipes) = background::recipes(&snapshot);
        // Without pictures the page still tells the rest.
        let (gallery, gallery_note) = match (GallerySource { built, store, known: self.known })
            .pictures()
        {
            Ok(pictures) => (pictures, gallery_note()),
            Err(error) => (Vec::new(), line(&format!("The pictures could not be read: {error}"))),
        };
        let page = Page {
            written_from: self.written_from(),
            title: line(&experiment.name),
            description: line(&experiment.recipe.description),
            asked: asked(experiment, built),
            answer: answer(&tables, comparison.as_ref()),
            warnings: warnings(built, self.known, last.as_ref()),
            tables: tables.iter().map(TableHead::of).collect(),
            data: data::as_json(&[tables.as_slice(), &[background::stages(&snapshot)]].concat())?,
            figures: drawn.results.iter().map(Drawn::of).collect::<Result<_>>()?,
            training: drawn.training.iter().map(Drawn::of).collect::<Result<_>>()?,
            timeline: drawn.timeline.iter().map(Drawn::of).collect::<Result<_>>()?,
            gallery,
            gallery_note,
            stages: built.plan.stages.len(),
            graph: graph(experiment, built, store, self.known),
            facts: background::facts(last.as_ref(), self.hello),
            left_out: left_out(built, &results, last.as_ref())?,
            recipes,
            more_recipes,
        };
        let path = self.path();
        write_with(&path, render(&page)?.as_bytes(), Durability::Remade)?;
        Ok(path)
    }

    /// The figures that the page shows, without writing anything.
    pub fn figures(&self) -> Result<Vec<Figure>> {
        let TableSource { experiment, built, store, .. } = self.tables;
        let tables = self.tables.tables(self.known)?;
        let (_, working) = last_runs(store, &experiment.name);
        let comparison = Comparison::of(&tables, &yardsticks(built));
        let drawn = self.drawn(&tables, comparison.as_ref(), working.as_ref())?;
        Ok(drawn.results.into_iter().chain(drawn.training).chain(drawn.timeline).collect())
    }

    fn drawn(
        &self,
        tables: &[ResultTable],
        comparison: Option<&Comparison>,
        working: Option<&Run>,
    ) -> Result<DrawnFigures> {
        let TableSource { built, store, .. } = self.tables;
        let results = figures::of_results(tables, comparison)?;
        // The rest of the page does not depend on these.
        let training = figures::curves(&built.plan, &Results::new(store, self.known))
            .unwrap_or_else(|error| {
                tracing::warn!("the training curves cannot be drawn: {error}");
                Vec::new()
            });
        let timeline = working.and_then(|run| {
            timeline_of(store, run).unwrap_or_else(|error| {
                tracing::warn!("the timeline cannot be drawn: {error}");
                None
            })
        });
        Ok(DrawnFigures { results, training, timeline })
    }
}

/// The figures, by where they stand in the page.
struct DrawnFigures {
    results: Vec<Figure>,
    training: Vec<Figure>,
    timeline: Option<Figure>,
}

impl DrawnFigures {
    fn all(&self) -> Vec<&Figure> {
        self.results.iter().chain(&self.training).chain(&self.timeline).collect()
    }
}

/// All that the template asks for. Texts are escaped there; SVG and JSON are as safe as their
/// makers leave them.
#[derive(Serialize)]
struct Page {
    written_from: String,
    title: String,
    description: String,
    asked: String,
    answer: Vec<String>,
    warnings: Vec<String>,
    tables: Vec<TableHead>,
    data: String,
    figures: Vec<Drawn>,
    training: Vec<Drawn>,
    timeline: Vec<Drawn>,
    gallery: Vec<GalleryPicture>,
    gallery_note: String,
    stages: usize,
    graph: String,
    facts: Vec<background::Fact>,
    left_out: Vec<LeftOut>,
    recipes: Vec<background::Recipe>,
    more_recipes: usize,
}

/// What stands around a table that the script fills in.
#[derive(Serialize)]
struct TableHead {
    name: String,
    title: String,
    notes: Vec<String>,
}

impl TableHead {
    fn of(table: &ResultTable) -> Self {
        let notes = table.notes.iter().map(|note| line(note)).collect();
        TableHead { name: table.name.clone(), title: line(&table.title), notes }
    }
}

#[derive(Serialize)]
struct Drawn {
    svg: String,
    caption: String,
}

impl Drawn {
    fn of(figure: &Figure) -> Result<Self> {
        Ok(Drawn { svg: figure.svg()?, caption: line(&figure.caption) })
    }
}

fn render(page: &Page) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .render_str(
            TEMPLATE,
            context! { css => STYLE, js => SCRIPT, ..minijinja::Value::from_serialize(page) },
        )
        .map_err(|error| Error::failure(format!("cannot render the report: {error}")))
}

/// The last run of all of the experiment, and the last one that made stages.
fn last_runs(store: &Store, experiment: &str) -> (Option<Run>, Option<Run>) {
    let is_meant = |run: &Run| run.experiment == experiment && run.scope() == Scope::Whole;
    let (mut last, mut working) = (None, None);
    for run in store.runs().filter_map(Result::ok).filter(is_meant).take(MOST_RUNS_READ) {
        if last.is_none() {
            last = Some(run.clone());
        }
        if !run.executed.is_empty() || !run.failed.is_empty() {
            working = Some(run);
            break;
        }
    }
    (last, working)
}

fn timeline_of(store: &Store, run: &Run) -> Result<Option<Figure>> {
    figures::timeline(run, &journal::read(&store.root().join("runs").join(&run.id))?)
}

/// Ways of extraction that do not compete: they look at the truth, at the whole frame, or at what
/// belongs to another frame.
fn yardsticks(built: &Built) -> BTreeSet<String> {
    let (mut yardsticks, mut competing) = (BTreeSet::new(), BTreeSet::new());
    for extraction in built.cells.iter().filter_map(|cell| cell.extraction.as_ref()) {
        let is_yardstick = extraction.value.mode.is_yardstick() || extraction.value.shuffled;
        let names = if is_yardstick { &mut yardsticks } else { &mut competing };
        names.insert(extraction.name.clone());
    }
    // A recipe whose mode is swept may be both, and then competes.
    yardsticks.difference(&competing).cloned().collect()
}

fn asked(experiment: &Experiment, built: &Built) -> String {
    let models: BTreeSet<&String> = built.cells.iter().map(|cell| &cell.cell.model).collect();
    let extractions: BTreeSet<&String> =
        built.cells.iter().filter_map(|cell| cell.cell.extraction.as_ref()).collect();
    let tables: Vec<&str> = experiment.recipe.tables.iter().map(|table| table.name()).collect();
    let listed = |names: BTreeSet<&String>| {
        line(&names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    };
    let extractions = if extractions.is_empty() {
        String::new()
    } else {
        format!("; extraction: {}", listed(extractions))
    };
    format!(
        "Asked for: {} of {} cells. Models: {}{extractions}.",
        tables.join(", "),
        built.cells.len(),
        listed(models)
    )
}

fn answer(tables: &[ResultTable], comparison: Option<&Comparison>) -> Vec<String> {
    let Some(comparison) = comparison else { return vec!["Nothing is measured yet.".into()] };
    let frames = |table: &ResultTable| {
        let column = table.column("frames")?;
        (0..column.len()).filter_map(|row| column.number_at(row)).reduce(f64::max)
    };
    let validation_frames = frames(comparison.table)
        .or_else(|| tables.iter().filter_map(frames).reduce(f64::max))
        .map(|frames| frames as usize);
    comparison.sentences(validation_frames).iter().map(|sentence| line(sentence)).collect()
}

fn warnings(built: &Built, known: &Known, last: Option<&Run>) -> Vec<String> {
    let to_run = known.to_run();
    let absent = (to_run > 0).then(|| {
        format!(
            "{to_run} of {} stages are not in the store; what they would give is absent.",
            built.plan.stages.len()
        )
    });
    let failures = last.map_or(0, Run::failures);
    let failed = (failures > 0)
        .then(|| format!("{failures} stages failed in the last run; they are listed below."));
    absent.into_iter().chain(failed).collect()
}

fn gallery_note() -> String {
    "Left: the heat map of the present instrument with the highest logit. Right: predicted boxes in full lines, true ones dashed. \
     L-FE and LN-FE share the boxes of a model and T_ROI; SL-FE takes the hot cells of the heat map itself."
        .into()
}

/// Empty where it would be too large.
fn graph(experiment: &Experiment, built: &Built, store: &Store, known: &Known) -> String {
    if built.plan.stages.len() > MOST_STAGES_DRAWN {
        return String::new();
    }
    let statuses = status::explain(&built.plan, known, &EarlierRuns::of(store, &experiment.name));
    drawing::svg(&built.plan, &statuses)
}

fn left_out(built: &Built, results: &Results, last: Option<&Run>) -> Result<Vec<LeftOut>> {
    let found = [
        last.and_then(background::failed_stages),
        background::left_out("Frames that were skipped", &results.skipped_frames(built)?),
        background::left_out(
            "Captions and interactions that were skipped",
            &results.skipped_annotations(built)?,
        ),
        background::left_out("Boxes that were cut or taken once", &results.mended_boxes(built)?),
    ];
    Ok(found.into_iter().flatten().collect())
}

/// Opens a page in the browser that the desktop names.
pub fn open(path: &Path) -> Result<()> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = std::process::Command::new(program);
    command.arg(path).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let hint = |error: Error| error.hint(format!("open {} in a browser yourself", path.display()));
    let status = command
        .status()
        .map_err(|error| hint(Error::failure(format!("cannot start {program}: {error}"))))?;
    if status.success() {
        Ok(())
    } else {
        Err(hint(Error::failure(format!("{program} could not open the report: {status}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::TableColumn;
    use super::*;

    fn page(tables: &[ResultTable], title: &str) -> String {
        let page = Page {
            written_from: "sha256:0".into(),
            title: line(title),
            description: String::new(),
            asked: String::new(),
            answer: answer(tables, Comparison::of(tables, &BTreeSet::new()).as_ref()),
            warnings: Vec::new(),
            tables: tables.iter().map(TableHead::of).collect(),
            data: data::as_json(tables).unwrap(),
            figures: Vec::new(),
            training: Vec::new(),
            timeline: Vec::new(),
            gallery: Vec::new(),
            gallery_note: gallery_note(),
            stages: 3,
            graph: String::new(),
            facts: background::facts(None, None),
            left_out: Vec::new(),
            recipes: Vec::new(),
            more_recipes: 0,
        };
        render(&page).unwrap()
    }

    fn table(rows: usize) -> ResultTable {
        ResultTable {
            name: "extraction".into(),
            title: "Extraction <&|$\\>\n\u{1b}[2J".into(),
            columns: vec![
                TableColumn::text(
                    "variant",
                    (0..rows)
                        .map(|row| Some(format!("<img src=x onerror=alert({row})>")))
                        .collect(),
                ),
                TableColumn::number(
                    "probe mAP",
                    3,
                    (0..rows).map(|row| Some(row as f64 / 7.0)).collect(),
                ),
            ],
            notes: vec!["<script>alert(1)</script>".into()],
            more_rows: 0,
        }
    }

    #[test]
    fn names_are_text_in_the_page_and_it_asks_for_nothing_from_elsewhere() {
        let html = page(&[table(3)], "<b>& $x$</b>\u{1b}[2J");
        for foreign in ["<img src=x", "<script>alert", "<b>", "\u{1b}"] {
            assert!(!html.contains(foreign), "{foreign:?}");
        }
        assert!(
            html.contains("&lt;b&gt;&amp; $x$&lt;&#x2f;b&gt;\\u001b[2J"),
            "the title is shown as text"
        );
        assert!(
            html.contains("function sortBy")
                && html.contains("prefers-color-scheme: dark")
                && html.contains("@media print")
        );
        assert!(!html.contains("http:") && !html.contains("https:"), "nothing is loaded");
    }

    #[test]
    fn numbers_in_the_page_are_those_of_the_csv() {
        let table = table(3);
        let html = page(std::slice::from_ref(&table), "a");
        let begin = html.find("id=\"tables\">").unwrap() + "id=\"tables\">".len();
        let json = &html[begin..begin + html[begin..].find("</script>").unwrap()];
        let data: serde_json::Value = serde_json::from_str(json).unwrap();
        let in_page: Vec<f64> = data[0]["columns"][1]["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect();
        let csv = String::from_utf8(super::super::render::csv(&table).unwrap()).unwrap();
        let in_csv: Vec<f64> = csv
            .lines()
            .skip(1)
            .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(in_page, in_csv);
        assert_eq!(in_page, [0.0, 1.0 / 7.0, 2.0 / 7.0]);
    }

    #[test]
    fn ten_thousand_rows_are_data_and_not_elements() {
        let html = page(&[table(10_000)], "a");
        assert!(html.matches("<tr").count() < 10 && html.len() < 3_000_000, "{} bytes", html.len());
    }
}
