//! results/NAME/run.json: what ran, from what, on what.

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::results::Results;
use crate::error::Result;
use crate::pipeline::build::Built;
use crate::protocol::Hello;
use crate::recipe::experiment::Experiment;
use crate::recipe::library::Resolved;
use crate::runner::Summary;
use crate::store::{Store, write_json};

/// When a run began, and the name it got from that.
pub struct RunStart {
    pub id: String,
    pub started: String,
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
}

pub struct RunRecord<'a> {
    pub start: &'a RunStart,
    pub experiment: &'a Experiment,
    pub built: &'a Built,
    pub summary: &'a Summary,
    pub results: &'a Results<'a>,
    pub hello: Option<&'a Hello>,
}

impl RunRecord<'_> {
    pub fn write(&self, folder: &Path) -> Result<()> {
        let plan = &self.built.plan;
        let executed: Vec<Value> = self
            .summary
            .executed
            .iter()
            .map(|done| {
                let stage = plan.stage(done.id);
                json!({"stage": stage.name, "kind": stage.kind, "key": done.key, "seconds": done.seconds})
            })
            .collect();
        let failed: Vec<Value> =
            self.summary.failed.iter().map(|(id, error)| json!({"stage": plan.stage(*id).name, "problem": error.to_string()})).collect();
        let record = json!({
            "format": 1,
            "experiment": self.experiment.name,
            "run": self.start.id,
            "started": self.start.started,
            "seconds": self.start.begun.elapsed().as_secs_f64(),
            "interrupted": self.summary.interrupted,
            "stages": {
                "executed": self.summary.executed.len(),
                "cached": self.summary.cached.len(),
                "failed": self.summary.failed.len() + self.summary.blocked.len(),
            },
            "executed": executed,
            "failed": failed,
            "skipped_frames": self.results.skipped_frames(self.built)?.len(),
            "surgcam": env!("CARGO_PKG_VERSION"),
            "machine": self.hello,
            "experiment_recipe": self.experiment.recipe,
            "cells": self.cells(),
            "records": self.records(self.results.store),
        });
        write_json(&folder.join("run.json"), &record)
    }

    /// Every cell with its resolved recipes.
    fn cells(&self) -> Vec<Value> {
        self.built
            .cells
            .iter()
            .map(|cell| {
                let stage_name = |id: Option<crate::plan::StageId>| id.map(|id| self.built.plan.stage(id).name.clone());
                json!({
                    "model": resolved(&cell.model),
                    "extraction": cell.extraction.as_ref().map(resolved),
                    "label_space": cell.label_space,
                    "assignment": cell.cell.assignment,
                    "stages": {
                        "checkpoint": stage_name(Some(cell.checkpoint)),
                        "evaluate": stage_name(cell.stages.evaluate),
                        "localize": stage_name(cell.stages.localize),
                        "score": stage_name(cell.stages.score),
                        "extract": stage_name(cell.stages.extract),
                        "probe": stage_name(cell.stages.probe),
                        "measure": stage_name(cell.stages.measure),
                    },
                })
            })
            .collect()
    }

    /// The record of every finished stage: parameters, digests of inputs and outputs, machine, duration.
    fn records(&self, store: &Store) -> Vec<Value> {
        let plan = &self.built.plan;
        plan.ids()
            .filter_map(|id| {
                let record = store.record(plan.stage(id).kind, self.summary.keys.get(&id)?)?;
                serde_json::to_value(record).ok()
            })
            .collect()
    }
}

fn resolved<T: Serialize>(recipe: &Resolved<T>) -> Value {
    json!({"name": recipe.name, "values": recipe.value, "origins": recipe.origins})
}
