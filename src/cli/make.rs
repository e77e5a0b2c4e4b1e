//! `surgcam make`: some stages of an experiment and no others, for programs that decide themselves
//! what is made where and when.

use std::collections::BTreeSet;

use clap_complete::ArgValueCompleter;

use super::context::{Planned, outcome};
use super::execution::{self, Manner};
use super::{ExperimentArguments, candidates};
use crate::report::event_lines::EventLines;
use crate::report::printer;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::plan::StageId;
use surgcam_engine::quote::shortened;
use surgcam_engine::runner::choice::Choice;
use surgcam_engine::runner::events::{Event, Reporter};
use surgcam_engine::store::key::StageKey;
use surgcam_engine::suggestion::did_you_mean;

#[derive(clap::Args)]
pub struct Arguments {
    /// Print what happens to the stages as JSON lines, in the form of a run's journal
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) asked: ExperimentArguments,
    /// The names of stages, as `surgcam plan` lists them, or at least 8 digits of their keys
    #[arg(required = true, value_name = "STAGE", add = ArgValueCompleter::new(candidates::stages))]
    stages: Vec<String>,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let context = arguments.asked.context()?;
    let mut planned = context.plan(&arguments.asked.experiment)?;
    let mut stages = BTreeSet::new();
    for text in &arguments.stages {
        stages.extend(meant(&planned, text)?);
    }
    let choice = Choice::new(&planned.built.plan, &planned.known, stages)?;
    let lines = EventLines::default();
    let event_lines = arguments.json.then_some(&lines);
    tell_cached(&planned, &choice, event_lines);
    let manner = Manner { only: Some(&choice), event_lines, ..Manner::PART };
    let execution = execution::execute(&context, &mut planned, &manner)?;
    outcome(&execution, &planned.built.plan)?;
    lines.outcome()
}

/// The stages of this name, or those of the key that begins so. Several stages may have one name or
/// turn out to have one key.
fn meant(planned: &Planned, text: &str) -> Result<Vec<StageId>> {
    let plan = &planned.built.plan;
    let named: Vec<StageId> = plan.ids().filter(|id| plan.stage(*id).name == text).collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let begins = |id: &StageId, digits: &str| {
        planned.known.key(*id).is_some_and(|key| key.hex().starts_with(digits))
    };
    let found: Vec<StageId> = digits_of_a_key(text)
        .map_or_else(Vec::new, |digits| plan.ids().filter(|id| begins(id, digits)).collect());
    let keys: BTreeSet<StageKey> = found.iter().filter_map(|id| planned.known.key(*id)).collect();
    match keys.len() {
        1 => Ok(found),
        0 => {
            let suggestion =
                did_you_mean(text, plan.stages.iter().map(|stage| stage.name.as_str()));
            let what = format!(
                "{} has no stage `{}`{suggestion}",
                planned.experiment.name,
                shortened(text)
            );
            Err(Error::usage(what).hint(
                "`surgcam plan` lists the stages; \
                 the key of a stage is known once its inputs are in the store",
            ))
        }
        several => Err(Error::usage(format!("the keys of {several} stages begin with `{text}`"))
            .hint("give more digits of the key")),
    }
}

/// Fewer digits could be those of another stage by chance.
const FEWEST_DIGITS: usize = 8;

/// The digits that a key may begin with. The events and `surgcam plan --json` write `sha256:`
/// before them.
fn digits_of_a_key(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits.len() >= FEWEST_DIGITS && is_hex).then_some(digits)
}

/// Tells which of the chosen stages are in the store already, and are not made again.
fn tell_cached(planned: &Planned, choice: &Choice, event_lines: Option<&EventLines>) {
    let plan = &planned.built.plan;
    for id in choice.stages().filter(|id| planned.known.is_made(*id)) {
        match (event_lines, planned.known.key(id)) {
            (Some(mut lines), Some(key)) => lines.event(plan, &Event::Cached { id, key }),
            _ => printer::message(&format!("cached  {}", plan.stage(id).name)),
        }
    }
}
