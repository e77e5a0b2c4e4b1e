//! Where results come from: recipes with the origin of each value, stages with their digests, the
//! machine and the versions, and what was left out.

use serde::Serialize;
use serde_json::Value;

use crate::report::result_table::{ResultTable, TableColumn};
use surgcam_engine::escape;
use surgcam_engine::protocol::{Hello, Part as CudaPart};
use surgcam_engine::store::runs::{PlanSnapshot, Run, SnapshotStage};
use surgcam_frames::dataset::index::SkippedFrame;

/// The most recipes that the page shows. A sweep may have more, which are in run.json.
const MOST_RECIPES: usize = 200;
/// The most lines of a list of what was left out.
const MOST_LINES: usize = 50;

#[derive(Serialize)]
pub struct Recipe {
    name: String,
    lines: Vec<RecipeLine>,
}

#[derive(Serialize)]
struct RecipeLine {
    key: String,
    value: String,
    origin: String,
}

/// The resolved recipes that the page shows, and how many more there are.
pub fn recipes(snapshot: &PlanSnapshot) -> (Vec<Recipe>, usize) {
    let left_out = snapshot.recipes.len().saturating_sub(MOST_RECIPES);
    (snapshot.recipes.iter().take(MOST_RECIPES).map(recipe).collect(), left_out)
}

fn recipe(recipe: &Value) -> Recipe {
    let text = |key: &str| recipe[key].as_str().unwrap_or_default();
    let values =
        recipe["values"].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let of_value = |(key, value): (&String, &Value)| RecipeLine {
        key: line(key),
        value: line(&value.to_string()),
        origin: line(recipe["origins"][key.as_str()].as_str().unwrap_or("built-in")),
    };
    Recipe {
        name: line(&format!("[{}.{}]", text("section"), text("name"))),
        lines: values.map(of_value).collect(),
    }
}

/// Every stage, as a table.
pub fn stages(snapshot: &PlanSnapshot) -> ResultTable {
    let text = |value: &dyn Fn(&SnapshotStage) -> Option<String>| -> Vec<Option<String>> {
        snapshot.stages.iter().map(value).collect()
    };
    let outputs = |stage: &SnapshotStage| {
        let listed =
            stage.outputs.iter().map(|(name, digest)| format!("{name} {}", digest.short()));
        (!stage.outputs.is_empty()).then(|| listed.collect::<Vec<_>>().join(", "))
    };
    ResultTable {
        name: "stages".into(),
        title: "Stages".into(),
        columns: vec![
            TableColumn::text("stage", text(&|stage| Some(stage.name.clone()))),
            TableColumn::text("kind", text(&|stage| Some(stage.kind.clone()))),
            TableColumn::text("key", text(&|stage| stage.key.map(|key| key.short()))),
            TableColumn::number(
                "seconds",
                1,
                snapshot.stages.iter().map(|stage| stage.seconds).collect(),
            ),
            TableColumn::text("digests", text(&outputs)),
        ],
        ..Default::default()
    }
}

#[derive(Serialize)]
pub struct Fact {
    name: &'static str,
    value: String,
}

/// Versions, the machine, and the run that was the last one.
pub fn facts(run: Option<&Run>, hello: Option<&Hello>) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name, value: String| facts.push(Fact { name, value: line(&value) });
    add("surgcam", env!("CARGO_PKG_VERSION").into());
    if let Some(run) = run {
        add("run", format!("{}, {}", run.id, run.state.name()));
        add("command", run.command_line());
        add("started", format!("{} on {}", run.started, run.host));
        add("took", format!("{:.1} s", run.seconds));
        add(
            "stages",
            format!(
                "{} run, {} from the store, {} failed",
                run.executed.len(),
                run.cached,
                run.failures()
            ),
        );
        add("plan", run.plan.to_string());
    }
    if let Some(hello) = hello {
        add(
            "device",
            format!("{} ({}), {} threads", hello.device, hello.device_name, hello.threads),
        );
        add("libtorch", hello.libtorch.clone());
        if let Some(CudaPart::Found(driver)) = hello.cuda.as_ref().map(|cuda| &cuda.driver) {
            add("NVIDIA driver", driver.clone());
        }
    }
    facts
}

/// A list of what was left out.
#[derive(Serialize)]
pub struct LeftOut {
    what: &'static str,
    count: usize,
    lines: Vec<String>,
}

/// `None` where it is empty.
pub fn left_out(what: &'static str, frames: &[SkippedFrame]) -> Option<LeftOut> {
    let lines = frames.iter().map(|frame| format!("{}: {}", frame.place, frame.problem));
    listed(what, frames.len(), lines)
}

pub fn failed_stages(run: &Run) -> Option<LeftOut> {
    let lines = run.failed.iter().map(|failed| format!("{}: {}", failed.stage, failed.problem));
    listed("Stages that failed or wait for one that did", run.failed.len(), lines)
}

fn listed(
    what: &'static str,
    count: usize,
    lines: impl Iterator<Item = String>,
) -> Option<LeftOut> {
    let mut lines: Vec<String> = lines.take(MOST_LINES).map(|text| line(&text)).collect();
    if count > MOST_LINES {
        lines.push(format!("and {} more", count - MOST_LINES));
    }
    (count > 0).then_some(LeftOut { what, count, lines })
}

/// A text of others on one line, without characters that act on a terminal, in case somebody prints
/// the page there.
pub fn line(text: &str) -> String {
    escape::line(text).into_owned()
}
