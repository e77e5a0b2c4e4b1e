//! `report.html`: one file with everything that an experiment found. It needs no network and no
//! other file. All results in it are the numbers of the tables.

mod browser;
mod gallery;
mod origins;
mod summary;
mod table_json;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use super::comparison::{Comparison, yardsticks};
use super::figures::{self, Figure};
use super::result_table::ResultTable;
use super::results::Results;
use super::run_record;
use super::table_files::{AllTables, TableSource};
pub use browser::open;
use gallery::{GalleryFrame, GallerySource};
use origins::{LeftOut, line};
use summary::{answer, asked, warnings};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::drawing;
use surgcam_engine::plan::status::{self, Known};
use surgcam_engine::protocol::Hello;
use surgcam_engine::runner::journal;
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::earlier_runs::EarlierRuns;
use surgcam_engine::store::file::{Durability, write_with};
use surgcam_engine::store::runs::{Run, Scope};
use surgcam_pipeline::planned::Built;
use surgcam_recipe::experiment::Experiment;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const FILE: &str = "report.html";

/// The most stages of a graph that the page draws.
const MOST_STAGES_DRAWN: usize = 200;
/// The most runs that are read to find the last run of this experiment that made stages.
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

    /// A digest of what the page is made from. While it stays the same, the page does, too, apart
    /// from what it tells of the last run.
    fn written_from(&self) -> String {
        let page = Digest::of_bytes([TEMPLATE, STYLE, SCRIPT].concat().as_bytes());
        let version = env!("CARGO_PKG_VERSION");
        let text = format!("{} {version} {page} {:?}", self.plan, self.tables.machine);
        Digest::of_bytes(text.as_bytes()).to_string()
    }

    /// Whether the page exists and was written from this plan and its results.
    pub fn is_written(&self) -> bool {
        let mut head = Vec::new();
        let read = File::open(self.path()).and_then(|file| file.take(HEAD).read_to_end(&mut head));
        read.is_ok() && String::from_utf8_lossy(&head).contains(&self.written_from())
    }

    /// Writes the page, and its figures as files beside it. `made`: the tables, if they were just
    /// made. Returns the path of the page.
    pub fn write(&self, made: Option<AllTables>) -> Result<PathBuf> {
        let TableSource { experiment, built, store, .. } = self.tables;
        let (tables, details) = match made {
            Some(made) => made,
            None => self.tables.with_details(self.known)?,
        };
        let results = Results::new(store, self.known);
        let (last, working) = last_runs(store, &experiment.name);
        let yardsticks = yardsticks(built);
        let comparison = Comparison::of(&tables, &yardsticks);
        let drawn = self.drawn(&tables, comparison.as_ref(), working.as_ref())?;
        figures::write(&drawn.all(), &self.tables.folder.join("figures"))?;
        let snapshot = run_record::plan_snapshot(experiment, built, self.known)?;
        let (recipes, more_recipes) = origins::recipes(&snapshot);
        // Without pictures the page still tells the rest.
        let (gallery, gallery_note) = match (GallerySource { built, store, known: self.known })
            .frames()
        {
            Ok(frames) => (frames, gallery_note()),
            Err(error) => (Vec::new(), line(&format!("The pictures could not be read: {error}"))),
        };
        let stages = [origins::stages(&snapshot)];
        let in_page = [tables.as_slice(), details.tables.as_slice(), &stages].concat();
        let page = Page {
            written_from: self.written_from(),
            title: line(&experiment.name),
            description: line(&experiment.recipe.description),
            asked: asked(experiment, built),
            answer: answer(&tables, comparison.as_ref(), details.differences.as_ref()),
            warnings: warnings(built, self.known, last.as_ref()),
            tables: tables.iter().map(TableHead::of).collect(),
            details: details.tables.iter().map(TableHead::of).collect(),
            data: table_json::as_json(&in_page)?,
            figures: drawn.results.iter().map(Drawn::of).collect::<Result<_>>()?,
            training: drawn.training.iter().map(Drawn::of).collect::<Result<_>>()?,
            timeline: drawn.timeline.iter().map(Drawn::of).collect::<Result<_>>()?,
            gallery,
            gallery_note,
            stages: built.plan.stages.len(),
            graph: graph(experiment, built, store, self.known),
            facts: origins::facts(last.as_ref(), self.hello),
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
        let mut results = figures::of_results(tables, comparison)?;
        let stored = Results::new(store, self.known);
        // The rest of the page does not depend on these.
        results.extend(figures::of_best_graph(built, &stored).unwrap_or_else(|error| {
            tracing::warn!("the confusion of interactions cannot be drawn: {error}");
            None
        }));
        results.sort_by_key(|figure| figure.kind);
        let training = figures::curves(&built.plan, &stored).unwrap_or_else(|error| {
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

/// The values of the template. The template escapes texts. SVG and JSON are put in as they are, so
/// they must be safe before.
#[derive(Serialize)]
struct Page {
    written_from: String,
    title: String,
    description: String,
    asked: String,
    answer: Vec<String>,
    warnings: Vec<String>,
    tables: Vec<TableHead>,
    details: Vec<TableHead>,
    data: String,
    figures: Vec<Drawn>,
    training: Vec<Drawn>,
    timeline: Vec<Drawn>,
    gallery: Vec<GalleryFrame>,
    gallery_note: String,
    stages: usize,
    graph: String,
    facts: Vec<origins::Fact>,
    left_out: Vec<LeftOut>,
    recipes: Vec<origins::Recipe>,
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
    figures::timeline(run, &journal::read(&store.run_folder(&run.id))?)
}

fn gallery_note() -> String {
    "From the left: the heat map of the present instrument with the highest logit; predicted \
     boxes in full lines, which L-FE and LN-FE share, and true ones dashed; and, if the experiment \
     has SL-FE, the hot cells that it reads. Below, if there are such heads: the caption and the \
     interactions that somebody wrote, and those that each head says; a wrong interaction is \
     struck through."
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
    let found = results.left_out(built)?;
    let lists = [
        last.and_then(origins::failed_stages),
        origins::left_out("Frames that were skipped", &found.skipped),
        origins::left_out(
            "Captions and interactions that were skipped",
            &found.skipped_annotations,
        ),
        origins::left_out("Boxes that were cut or taken once", &found.corrected_boxes),
    ];
    Ok(lists.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
