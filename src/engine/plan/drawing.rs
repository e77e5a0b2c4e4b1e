//! A plan as a picture: Mermaid and DOT for other programs, and SVG.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::status::Status;
use super::{Plan, StageId};
use crate::escape;

/// How a stage is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Cached,
    WillRun,
    Waits,
}

impl Look {
    fn of(status: &Status) -> Self {
        match status {
            Status::Cached { .. } => Look::Cached,
            Status::WillRun { .. } => Look::WillRun,
            Status::Waits { .. } => Look::Waits,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Look::Cached => "cached",
            Look::WillRun => "run",
            Look::Waits => "waits",
        }
    }

    /// Fill and line colours, readable in print and for the colour-blind.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Look::Cached => ("#dbeedb", "#2e7d32"),
            Look::WillRun => ("#fde3cf", "#c75b12"),
            Look::Waits => ("#eeeeee", "#757575"),
        }
    }
}

/// Pairs of stages of which the second needs the first. Pairs that follow from other pairs are left
/// out.
fn edges(plan: &Plan) -> Vec<(StageId, StageId)> {
    let mut behind: Vec<BTreeSet<StageId>> = Vec::with_capacity(plan.stages.len());
    let mut edges = Vec::new();
    for id in plan.ids() {
        let needed: BTreeSet<StageId> = plan.dependencies(id).collect();
        let indirect: BTreeSet<StageId> =
            needed.iter().flat_map(|needed| behind[needed.0].iter().copied()).collect();
        edges.extend(needed.difference(&indirect).map(|&needed| (needed, id)));
        behind.push(needed.union(&indirect).copied().collect());
    }
    edges
}

/// Joins lines of text. Writing to a string cannot fail.
macro_rules! line {
    ($text:expr, $($part:tt)*) => {
        let _ = writeln!($text, $($part)*);
    };
}

pub fn mermaid(plan: &Plan, statuses: &[Status]) -> String {
    let mut text = String::from("flowchart LR\n");
    for id in plan.ids() {
        let name = escape::line(&plan.stage(id).name).replace('"', "'");
        line!(text, "  s{}[\"{name}\"]:::{}", id.0, Look::of(&statuses[id.0]).name());
    }
    for (from, to) in edges(plan) {
        line!(text, "  s{} --> s{}", from.0, to.0);
    }
    for look in [Look::Cached, Look::WillRun, Look::Waits] {
        let (fill, stroke) = look.colours();
        line!(text, "  classDef {} fill:{fill},stroke:{stroke},color:#111", look.name());
    }
    text
}

pub fn dot(plan: &Plan, statuses: &[Status]) -> String {
    let mut text = String::from(
        "digraph plan {\n  rankdir=LR;\n  node [shape=box, style=filled, \
         fontname=\"sans-serif\"];\n",
    );
    for id in plan.ids() {
        let (fill, stroke) = Look::of(&statuses[id.0]).colours();
        let name = escape::line(&plan.stage(id).name).replace('\\', "\\\\").replace('"', "\\\"");
        line!(text, "  s{} [label=\"{name}\", fillcolor=\"{fill}\", color=\"{stroke}\"];", id.0);
    }
    for (from, to) in edges(plan) {
        line!(text, "  s{} -> s{};", from.0, to.0);
    }
    text.push_str("}\n");
    text
}

/// Sizes of the SVG, in its units.
const LETTER: f64 = 7.0;
const ROW: f64 = 34.0;
const BOX: f64 = 24.0;
const GAP: f64 = 70.0;
const MARGIN: f64 = 20.0;
const LEGEND: f64 = 30.0;

/// A stage's column is its distance from the beginning. Within a column, stages are near the stages
/// that they need.
pub fn svg(plan: &Plan, statuses: &[Status]) -> String {
    let columns = ordered_columns(plan);
    let width_of = |id: StageId| plan.stage(id).name.chars().count() as f64 * LETTER + 16.0;
    let mut left = vec![(0.0, 0.0); plan.stages.len()];
    let (mut x, mut tallest) = (MARGIN, 0);
    let mut sides = Vec::with_capacity(columns.len());
    for column in &columns {
        for (row, id) in column.iter().enumerate() {
            left[id.0] = (x, MARGIN + LEGEND + row as f64 * ROW);
        }
        let right = x + column.iter().map(|id| width_of(*id)).fold(0.0, f64::max);
        sides.push((x, right));
        x = right + GAP;
        tallest = tallest.max(column.len());
    }
    let (width, height) = (x - GAP + MARGIN, 2.0 * MARGIN + LEGEND + tallest as f64 * ROW);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut legend = MARGIN;
    for (look, meaning) in [
        (Look::Cached, "in the store"),
        (Look::WillRun, "will run"),
        (Look::Waits, "waits for an input"),
    ] {
        let (fill, stroke) = look.colours();
        line!(
            text,
            "<rect x=\"{legend:.0}\" y=\"{MARGIN:.0}\" width=\"14\" height=\"14\" rx=\"3\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>"
        );
        line!(text, "<text x=\"{:.0}\" y=\"{:.0}\">{meaning}</text>", legend + 20.0, MARGIN + 11.0);
        legend += 40.0 + meaning.len() as f64 * LETTER;
    }
    for (from, to) in edges(plan) {
        let start = (left[from.0].0 + width_of(from), left[from.0].1 + BOX / 2.0);
        let path = route(start, left[to.0], &sides);
        line!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"#9e9e9e\"/>");
    }
    for id in plan.ids() {
        let ((x, y), (fill, stroke)) = (left[id.0], Look::of(&statuses[id.0]).colours());
        let name = escape::xml(&plan.stage(id).name);
        line!(text, "<g><title>{name}: {}</title>", escape::xml(&statuses[id.0].to_string()));
        line!(
            text,
            "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{:.0}\" height=\"{BOX:.0}\" rx=\"5\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>",
            width_of(id)
        );
        line!(
            text,
            "<text x=\"{:.0}\" y=\"{:.0}\">{name}</text></g>",
            x + 8.0,
            y + BOX / 2.0 + 4.0
        );
    }
    text.push_str("</svg>\n");
    text
}

/// A line from a box's right side to the upper left corner of another, so that no box covers it:
/// straight to the end of its column, bent only between columns, and between two rows past the
/// columns on the way. `sides` are the left and right of each column.
fn route((x, mut y): (f64, f64), (left, top): (f64, f64), sides: &[(f64, f64)]) -> String {
    let between_rows = top - (ROW - BOX) / 2.0;
    let mut path = format!("M{x:.0} {y:.0}");
    for (&(_, right), &(next, _)) in
        sides.iter().zip(&sides[1..]).filter(|((_, right), (next, _))| x <= *right && *next <= left)
    {
        let next_y = if next == left { top + BOX / 2.0 } else { between_rows };
        let middle = (right + next) / 2.0;
        let _ = write!(
            path,
            " H{right:.0} C{middle:.0} {y:.0} {middle:.0} {next_y:.0} {next:.0} {next_y:.0}"
        );
        y = next_y;
    }
    path
}

/// The plan's levels, each ordered by the mean position of the stages that its stages need, so that
/// fewer lines cross.
fn ordered_columns(plan: &Plan) -> Vec<Vec<StageId>> {
    let mut place = vec![0.0_f64; plan.stages.len()];
    let mut columns = plan.levels();
    for column in &mut columns {
        let wanted = |id: &StageId| {
            let needed: Vec<f64> = plan.dependencies(*id).map(|needed| place[needed.0]).collect();
            if needed.is_empty() { 0.0 } else { needed.iter().sum::<f64>() / needed.len() as f64 }
        };
        column.sort_by(|a, b| wanted(a).total_cmp(&wanted(b)).then(a.cmp(b)));
        for (row, id) in column.iter().enumerate() {
            place[id.0] = row as f64;
        }
    }
    columns
}
