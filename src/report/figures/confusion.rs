//! Which interactions an interaction graph takes for which others.

use std::collections::HashSet;

use super::grid::Grid;
use super::{Figure, FigureKind, drawn_grid};
use crate::report::results::Results;
use surgcam_artifacts::interaction_predictions::{self, InteractionPrediction};
use surgcam_engine::error::Result;
use surgcam_engine::plan::Handle;
use surgcam_frames::dataset::annotations::INTERACTIONS;
use surgcam_pipeline::kinds::PredictInteractionsStage;
use surgcam_pipeline::planned::{Built, PlannedCell};

/// The confusion of the graph with the highest accuracy. Graphs of yardsticks and controls do not
/// compete. `None` if there is no such graph.
pub fn of_best_graph(built: &Built, results: &Results) -> Result<Option<Figure>> {
    let mut best: Option<(f64, Handle<PredictInteractionsStage>)> = None;
    let (mut known, mut graphs) = (HashSet::new(), 0);
    for cell in built.cells.iter().filter(|cell| competes(cell)) {
        let Some(stage) = cell.stages.predict_interactions else { continue };
        // Several cells may have the same graph. Without its predictions it could not be drawn.
        let is_first = known.insert(stage.id());
        if !is_first || results.unread(stage, PredictInteractionsStage::PREDICTIONS).is_none() {
            continue;
        }
        let Some(metrics) = results.metrics(cell.stages.interact)?.flatten() else { continue };
        graphs += 1;
        if best.is_none_or(|(accuracy, _)| metrics.accuracy > accuracy) {
            best = Some((metrics.accuracy, stage));
        }
    }
    let Some((_, stage)) = best else { return Ok(None) };
    let Some(path) = results.output(stage, PredictInteractionsStage::PREDICTIONS)? else {
        return Ok(None);
    };
    let predictions = interaction_predictions::read(&path)?;
    let name = built.plan.stage(stage.id()).subject();
    let note = format!(
        "Rows: what instruments do, with their number in the validation frames. Columns: what the \
         graph of {name} says, which has the highest accuracy of {graphs}. A cell is the share of \
         its row; a pair that never occurs has no cell."
    );
    grid(&predictions)
        .map(|grid| drawn_grid(FigureKind::InteractionConfusion, &grid, &note))
        .transpose()
}

fn competes(cell: &PlannedCell) -> bool {
    cell.extraction.as_ref().is_some_and(|extraction| !extraction.value.is_reference())
}

/// A row for each interaction that occurs, and a column for each that occurs or is said. `None`
/// without predictions.
fn grid(predictions: &[InteractionPrediction]) -> Option<Grid> {
    let mut counts = vec![vec![0usize; INTERACTIONS.len()]; INTERACTIONS.len()];
    for found in predictions {
        counts[found.right][found.answer()] += 1;
    }
    let total = |right: usize| counts[right].iter().sum::<usize>();
    let all = 0..INTERACTIONS.len();
    let rows: Vec<usize> = all.clone().filter(|&right| total(right) > 0).collect();
    let is_said = |answer: usize| rows.iter().any(|&right| counts[right][answer] > 0);
    let columns: Vec<usize> =
        all.filter(|&column| rows.contains(&column) || is_said(column)).collect();
    let share = |right: usize, answer: usize| {
        let count = counts[right][answer];
        (count > 0).then(|| count as f64 / total(right) as f64)
    };
    let of_row = |&right: &usize| columns.iter().map(|&answer| share(right, answer)).collect();
    (!rows.is_empty()).then(|| Grid {
        title: "Confusion of interactions: true (rows) and predicted (columns)".into(),
        rows: rows.iter().map(|&right| format!("{} ({})", words(right), total(right))).collect(),
        columns: columns.iter().map(|&answer| words(answer)).collect(),
        values: rows.iter().map(of_row).collect(),
    })
}

fn words(interaction: usize) -> String {
    INTERACTIONS[interaction].replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_share_of_the_instruments_that_do_what_its_row_says() {
        let prediction = |right: usize, answer: usize| InteractionPrediction {
            row: 0,
            class: 0,
            right,
            is_seen: true,
            scores: (0..INTERACTIONS.len())
                .map(|place| if place == answer { 1.0 } else { 0.0 })
                .collect(),
        };
        let predictions = [(1, 1), (1, 1), (1, 4), (1, 9), (9, 9)];
        let grid = grid(&predictions.map(|(right, answer)| prediction(right, answer))).unwrap();
        let [one, four, nine] = [1, 4, 9].map(words);
        assert_eq!(grid.rows, [format!("{one} (4)"), format!("{nine} (1)")]);
        assert_eq!(grid.columns, [one, four, nine]);
        assert_eq!(grid.values, [[Some(0.5), Some(0.25), Some(0.25)], [None, None, Some(1.0)]]);
        assert!(super::grid(&[]).is_none());
    }
}
