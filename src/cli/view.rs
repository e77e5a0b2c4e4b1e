//! `surgcam view`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::ExperimentArguments;
use super::context::outcome;
use super::execution::{self, Manner};
use crate::report::pictures::frame_view::frame_view;
use crate::report::results::Results;
use crate::report::{exports, printer};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_pipeline::goal::Goal;
use surgcam_pipeline::recipe_key;
use surgcam_recipe::schema::ExtractionRecipe;

#[derive(clap::Args)]
pub struct Arguments {
    /// The frame, as in seq_1/frame067; the first validation frame if left out
    #[arg(long)]
    frame: Option<String>,
    /// The model; the first of the matrix if left out
    #[arg(long)]
    model: Option<String>,
    /// The class of the heat map, by name or id; if left out, the present instrument with the
    /// highest logit
    #[arg(long)]
    class: Option<String>,
    /// T_ROI, one of the values in the matrix; the first one if left out
    #[arg(long, value_name = "T")]
    roi: Option<f64>,
    /// The PNG file to write
    #[arg(long, value_name = "FILE", default_value = "view.png")]
    out: PathBuf,
    #[command(flatten)]
    asked: ExperimentArguments,
}

pub fn execute(arguments: &Arguments) -> Result<()> {
    let mut asked = arguments.asked.clone();
    if let Some(threshold) = arguments.roi {
        let axis = recipe_key!(ExtractionRecipe, roi_threshold).axis();
        asked.overrides.set.push(format!("matrix.{axis}=[{threshold}]"));
    }
    let context = asked.context()?;
    let mut experiment = context.experiment(&asked.experiment)?;
    if let Some(model) = &arguments.model {
        let known: Vec<String> = experiment.cells.iter().map(|cell| cell.model.clone()).collect();
        experiment.cells.retain(|cell| cell.model == *model);
        if experiment.cells.is_empty() {
            let suggestion = did_you_mean(model, known.iter().map(String::as_str));
            return Err(Error::usage(format!("the experiment has no model `{model}`{suggestion}")));
        }
    }
    // One model and one T_ROI are shown, so no other cell needs to run.
    let first_model = experiment.cells[0].model.clone();
    experiment.cells.retain(|cell| cell.model == first_model);
    let mut planned = context.plan_for(experiment, &BTreeSet::from([Goal::Boxes]))?;
    let execution = execution::execute(&context, &mut planned, &Manner::PART)?;
    outcome(&execution, &planned.built.plan)?;
    let cell = planned.built.cells.iter().find(|cell| cell.stages.localize.is_some()).ok_or_else(
        || {
            Error::usage("no extraction of the experiment localises")
                .hint("add ln-fe, l-fe or sl-fe to `extraction` in the matrix")
        },
    )?;
    let results = Results::new(&planned.store, &execution.summary.known);
    let view = frame_view(cell, &results, arguments.frame.as_deref(), arguments.class.as_deref())?;
    exports::write_png(&view.picture, &arguments.out)?;
    printer::message(&format!("{}: {}", arguments.out.display(), view.description));
    Ok(())
}
