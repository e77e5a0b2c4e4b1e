//! Records of a run: its entry in the store's history, and results/NAME/run.json.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::results::Results;
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::machine::host;
use surgcam_engine::plan::status::Known;
use surgcam_engine::protocol::Hello;
use surgcam_engine::runner::Summary;
use surgcam_engine::store::Store;
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::file::{Durability, write_with};
use surgcam_engine::store::runs::{
    self, ExecutedStage, FailedStage, PlanSnapshot, Run, RunState, Scope, SnapshotStage,
};
use surgcam_pipeline::planned::{Built, PlannedCell};
use surgcam_recipe::experiment::Experiment;
use surgcam_recipe::library::Resolved;

/// When a run began, and the name it got from that.
pub struct RunStart {
    pub id: String,
    started: String,
    begun: std::time::Instant,
}

impl RunStart {
    pub fn now() -> Self {
        let now = chrono::Utc::now();
        RunStart {
            id: format!("{}-{}", now.format("%Y%m%dT%H%M%S%3f"), std::process::id()),
            started: now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            begun: std::time::Instant::now(),
        }
    }

    /// The start of a run that began earlier, maybe on another machine.
    pub fn of(run: &Run) -> Self {
        let ago = chrono::DateTime::parse_from_rfc3339(&run.started)
            .ok()
            .and_then(|started| (chrono::Utc::now() - started.to_utc()).to_std().ok())
            .unwrap_or_default();
        let now = std::time::Instant::now();
        RunStart {
            id: run.id.clone(),
            started: run.started.clone(),
            // A run may have begun before this machine was started.
            begun: now.checked_sub(ago).unwrap_or(now),
        }
    }

    /// The run while it goes on.
    pub fn running(&self, experiment: &str, scope: Scope, plan: Digest) -> Run {
        Run {
            format: runs::FORMAT,
            id: self.id.clone(),
            experiment: experiment.to_string(),
            command: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            scope: Some(scope),
            started: self.started.clone(),
            seconds: 0.0,
            state: RunState::Running,
            plan,
            executed: Vec::new(),
            cached: 0,
            failed: Vec::new(),
            surgcam: env!("CARGO_PKG_VERSION").into(),
            host: host(),
        }
    }

    /// The run when it is over.
    pub fn ended(
        &self,
        experiment: &str,
        scope: Scope,
        plan: Digest,
        built: &Built,
        summary: &Summary,
    ) -> Run {
        let stage = |id: surgcam_engine::plan::StageId| built.plan.stage(id);
        let failed = summary.failed.iter().map(|(id, error)| FailedStage {
            stage: stage(*id).name.clone(),
            problem: error.to_string(),
            blocked: false,
        });
        let blocked = summary.blocked.iter().map(|id| FailedStage {
            stage: stage(*id).name.clone(),
            problem: "a stage that it needs failed".into(),
            blocked: true,
        });
        Run {
            seconds: self.begun.elapsed().as_secs_f64(),
            state: match summary {
                Summary { interrupted: true, .. } => RunState::Interrupted,
                Summary { failed, .. } if !failed.is_empty() => RunState::Failed,
                _ => RunState::Done,
            },
            executed: summary
                .executed
                .iter()
                .map(|done| ExecutedStage {
                    stage: stage(done.id).name.clone(),
                    kind: stage(done.id).kind.to_string(),
                    key: done.key,
                    seconds: done.seconds,
                    peak_memory: done.peak_memory,
                })
                .collect(),
            cached: summary.cached.len(),
            failed: failed.chain(blocked).collect(),
            ..self.running(experiment, scope, plan)
        }
    }
}

/// The recipes of all cells. Cells share recipes, and each recipe is listed once.
#[derive(Default)]
struct Recipes {
    values: Vec<Value>,
    places: HashMap<usize, usize>,
}

impl Recipes {
    /// The place of a recipe in the list. Cells share recipes by pointer.
    fn place<T: Serialize>(&mut self, section: &str, recipe: &Arc<Resolved<T>>) -> usize {
        *self.places.entry(Arc::as_ptr(recipe).cast::<()>() as usize).or_insert_with(|| {
            self.values.push(json!({
                "section": section,
                "name": recipe.name,
                "values": recipe.value,
                "origins": recipe.origins,
            }));
            self.values.len() - 1
        })
    }

    /// The places of the data recipes that a cell's model learns from and is validated on. The
    /// parts of a mix are among them.
    fn data_places(&mut self, experiment: &Experiment, cell: &PlannedCell) -> Result<Vec<usize>> {
        let model = &cell.model.value;
        let mut places = Vec::new();
        for name in std::iter::once(&model.data).chain(&model.validation) {
            let data = experiment.data(&cell.cell, name)?;
            for part in &data.value.parts {
                places.push(self.place("data", &experiment.data(&cell.cell, part)?));
            }
            places.push(self.place("data", &data));
        }
        Ok(places)
    }
}

/// A number that is raised when snapshots have more in them than before, so that an older snapshot
/// does not count as a newer one.
const SNAPSHOT_TELLS: u8 = 3;

/// The digest of a plan with its results. It covers everything that [`plan_snapshot`] depends on,
/// but the snapshot need not be made for it.
pub fn plan_digest(experiment: &Experiment, built: &Built, known: &Known) -> Result<Digest> {
    let mut text =
        serde_json::to_vec(&experiment.recipe).at_path("write the plan of", &experiment.path)?;
    text.push(SNAPSHOT_TELLS);
    text.extend(experiment.layers_text().into_bytes());
    for id in built.plan.ids() {
        text.extend(built.plan.stage(id).name.as_bytes());
        text.extend(known.key(id).iter().flat_map(|key| key.0.bytes()));
        if let Some(record) = known.record(id) {
            text.extend(record.seconds.to_le_bytes());
            text.extend(record.outputs.values().flat_map(|output| output.digest.bytes()));
        }
    }
    Ok(Digest::of_bytes(&text))
}

/// The plan in the form in which the history keeps it.
pub fn plan_snapshot(
    experiment: &Experiment,
    built: &Built,
    known: &Known,
) -> Result<PlanSnapshot> {
    let plan = &built.plan;
    let mut recipes = Recipes::default();
    let cells = built
        .cells
        .iter()
        .map(|cell| {
            let mut stages: serde_json::Map<String, Value> = cell
                .stages
                .by_kind()
                .map(|(kind, id)| (kind.to_string(), json!(id.map(|id| id.0))))
                .collect();
            let heads = experiment.heads(&cell.cell)?;
            let extraction = cell.extraction.as_ref();
            stages.insert("checkpoint".into(), json!(cell.checkpoint.id().0));
            Ok(json!({
                "assignment": cell.cell.assignment,
                "model": recipes.place("model", &cell.model),
                "extraction": extraction.map(|found| recipes.place("extraction", found)),
                "data": recipes.data_places(experiment, cell)?,
                "heads": heads
                    .values()
                    .map(|head| recipes.place("head", head))
                    .collect::<Vec<_>>(),
                "label_space": cell.label_space,
                "stages": stages,
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    let stages = plan.ids().map(|id| SnapshotStage {
        name: plan.stage(id).name.clone(),
        kind: plan.stage(id).kind.to_string(),
        key: known.key(id),
        seconds: known.record(id).map(|record| record.seconds),
        outputs: known
            .outputs(id)
            .map(|outputs| {
                outputs.iter().map(|(name, output)| (name.to_string(), output.digest)).collect()
            })
            .unwrap_or_default(),
    });
    Ok(PlanSnapshot {
        format: runs::FORMAT,
        experiment: json!(experiment.recipe),
        recipes: recipes.values,
        cells,
        stages: stages.collect(),
    })
}

/// Writes run.json: docs/contract.md names the fields that scripts may rely on. Its last field is
/// the plan: resolved recipes with origins, cells, and every stage with its key, digests and
/// duration.
pub fn write(
    folder: &Path,
    run: &Run,
    store: &Store,
    results: &Results,
    built: &Built,
    hello: Option<&Hello>,
) -> Result<()> {
    #[derive(Serialize)]
    struct Counts {
        executed: usize,
        cached: usize,
        failed: usize,
    }
    #[derive(Serialize)]
    struct RunFile<'a> {
        format: u32,
        experiment: &'a str,
        run: &'a str,
        state: RunState,
        started: &'a str,
        seconds: f64,
        stages: Counts,
        executed: &'a [ExecutedStage],
        failed: &'a [FailedStage],
        skipped_frames: usize,
        surgcam: &'a str,
        host: &'a str,
        machine: Option<&'a Hello>,
    }
    let path = folder.join("run.json");
    let file = RunFile {
        format: 2,
        experiment: &run.experiment,
        run: &run.id,
        state: run.state,
        started: &run.started,
        seconds: run.seconds,
        stages: Counts { executed: run.executed.len(), cached: run.cached, failed: run.failures() },
        executed: &run.executed,
        failed: &run.failed,
        skipped_frames: results.left_out(built)?.skipped.len(),
        surgcam: &run.surgcam,
        host: &run.host,
        machine: hello,
    };
    let mut text = serde_json::to_vec(&file).at_path("write", &path)?;
    // The plan is JSON already and may be long: it is put in as it is, before the closing brace.
    text.pop();
    text.extend(b",\"plan\":");
    text.extend(store.plan_text(&run.plan)?);
    text.push(b'}');
    write_with(&path, &text, Durability::Remade)
}
