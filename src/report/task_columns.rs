//! The columns of the extraction table about captions and interactions: how good they are, and how
//! fast they are made.

use rayon::prelude::*;

use super::result_table::TableColumn;
use super::results::Results;
use super::tables::speed_columns::timing;
use surgcam_engine::error::Result;
use surgcam_engine::plan::Handle;
use surgcam_engine::plan::kind::HasMetrics;
use surgcam_frames::dataset::annotations::INTERACTIONS;
use surgcam_frames::metrics::{CaptionMetrics, InteractionMetrics, OneInteraction, Speed};
use surgcam_pipeline::planned::{CellStages, PlannedCell};

/// Columns, and notes about them.
#[derive(Default)]
pub struct TaskColumns {
    pub columns: Vec<TableColumn>,
    pub notes: Vec<String>,
}

/// The columns of captions, of interactions, and of the speed from a frame to both. Columns of a
/// head are there if any cell has this head.
pub fn of(cells: &[&PlannedCell], results: &Results) -> Result<TaskColumns> {
    let mut tasks = TaskColumns::default();
    if cells.iter().any(|cell| cell.stages.caption.is_some()) {
        tasks.add_captions(cells, results)?;
    }
    if cells.iter().any(|cell| cell.stages.interact.is_some()) {
        tasks.add_interactions(cells, results)?;
    }
    if cells.iter().any(|cell| cell.stages.measure_tasks.is_some()) {
        let speed_of =
            |cell: &&PlannedCell| results.metrics(cell.stages.measure_tasks).map(Option::flatten);
        let speeds: Vec<Option<Speed>> = cells.par_iter().map(speed_of).collect::<Result<_>>()?;
        let per_second = speeds
            .iter()
            .map(|speed| speed.as_ref().map(|speed| speed.frames_per_second))
            .collect();
        tasks.columns.push(TableColumn::number("FPS tasks", 1, per_second));
        tasks.notes.push(
            "FPS tasks: from packed pixels to caption (beam search) and interaction graph".into(),
        );
        let (column, note) = timing("tasks timed", &speeds).unzip();
        tasks.columns.extend(column);
        tasks.notes.extend(note);
    }
    Ok(tasks)
}

impl TaskColumns {
    /// Each cell's metrics. Adds a note if a finished stage found no such annotations in the data.
    fn of_annotated<K: HasMetrics<Metrics = Option<M>>, M: Send>(
        &mut self,
        what: &str,
        cells: &[&PlannedCell],
        results: &Results,
        stage: fn(&CellStages) -> Option<Handle<K>>,
    ) -> Result<Vec<Option<M>>> {
        let of_cell = |cell: &&PlannedCell| results.metrics(stage(&cell.stages));
        let metrics: Vec<Option<Option<M>>> =
            cells.par_iter().map(of_cell).collect::<Result<_>>()?;
        if metrics.iter().any(|metrics| matches!(metrics, Some(None))) {
            self.notes
                .push(format!("{what}: empty where the train or the validation frames have none"));
        }
        Ok(metrics.into_iter().map(Option::flatten).collect())
    }

    fn add_captions(&mut self, cells: &[&PlannedCell], results: &Results) -> Result<()> {
        let metrics: Vec<Option<CaptionMetrics>> =
            self.of_annotated("captions", cells, results, |stages| stages.caption)?;
        let number = |value: &dyn Fn(&CaptionMetrics) -> f64| {
            metrics.iter().map(|metrics| metrics.as_ref().map(value)).collect()
        };
        for order in 1..=4 {
            let column = TableColumn::number(
                format!("BLEU-{order}"),
                3,
                number(&|metrics| metrics.scores.bleu[order - 1]),
            );
            self.columns.push(if order < 4 { column.detail() } else { column });
        }
        self.columns.push(TableColumn::number(
            "METEOR",
            3,
            number(&|metrics| metrics.scores.meteor),
        ));
        self.columns.push(TableColumn::number(
            "ROUGE-L",
            3,
            number(&|metrics| metrics.scores.rouge_l),
        ));
        self.columns.push(TableColumn::number("CIDEr", 3, number(&|metrics| metrics.scores.cider)));
        if let Some(most) = metrics.iter().flatten().map(|metrics| metrics.captions).max() {
            self.notes.push(format!(
                "captions: of {most} validation frames, from that of their last kind of epochs \
                 with the best CIDEr; METEOR by exact and stem matches"
            ));
        }
        Ok(())
    }

    fn add_interactions(&mut self, cells: &[&PlannedCell], results: &Results) -> Result<()> {
        let metrics: Vec<Option<InteractionMetrics>> =
            self.of_annotated("interactions", cells, results, |stages| stages.interact)?;
        let number = |value: fn(&InteractionMetrics) -> f64| {
            metrics.iter().map(|metrics| metrics.as_ref().map(value)).collect()
        };
        self.columns.push(TableColumn::number(
            "interaction accuracy",
            3,
            number(|metrics| metrics.accuracy),
        ));
        self.columns.push(TableColumn::number(
            "interaction mAP",
            3,
            number(|metrics| metrics.mean_average_precision),
        ));
        self.columns.push(TableColumn::number(
            "interaction recall",
            3,
            number(|metrics| metrics.recall),
        ));
        self.columns.extend(per_interaction("AP", &metrics, |one| one.average_precision));
        self.columns.extend(per_interaction("recall", &metrics, |one| one.recall));
        let missed = |metrics: &InteractionMetrics| {
            metrics.without_region as f64 / metrics.edges.max(1) as f64
        };
        self.columns.push(TableColumn::number("missed instruments", 3, number(missed)).detail());
        if let Some(most) = metrics.iter().flatten().map(|metrics| metrics.edges).max() {
            self.notes.push(format!(
                "interactions: of {most} annotated instruments in the validation frames, \
                 from the epoch with the best mAP on them; one that no region shows counts, too; \
                 mAP over 13 interactions (absent ones 0), recall over those that occur"
            ));
        }
        Ok(())
    }
}

/// A detail column for each interaction that is annotated in any row, named by it.
fn per_interaction(
    prefix: &str,
    metrics: &[Option<InteractionMetrics>],
    value: fn(&OneInteraction) -> Option<f64>,
) -> Vec<TableColumn> {
    let of = |name: &str, metrics: &Option<InteractionMetrics>| {
        metrics.as_ref()?.per_interaction.iter().find(|one| one.interaction == name).and_then(value)
    };
    let columns = INTERACTIONS
        .iter()
        .map(|name| (name, metrics.iter().map(|metrics| of(name, metrics)).collect::<Vec<_>>()));
    let annotated = columns.filter(|(_, values)| values.iter().any(Option::is_some));
    annotated
        .map(|(name, values)| TableColumn::number(format!("{prefix} {name}"), 3, values).detail())
        .collect()
}
