//! `surgcam view`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::ExperimentArguments;
use super::context::{Planned, outcome};
use super::execution::{self, Execution, Manner};
use crate::report::drawing::Format;
use crate::report::pictures::overlay::Overlay;
use crate::report::pictures::panel::Sheet;
use crate::report::pictures::scene::{Frames, class_of};
use crate::report::pictures::sheets::{SHEET_WIDTH, SheetKind, View};
use crate::report::printer;
use crate::report::results::Results;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::file::{Durability, write_with};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_pipeline::goal::Goal;
use surgcam_pipeline::planned::PlannedCell;
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
    /// The class of the heat map, by name or id, present or not; if left out, the present
    /// instrument with the highest logit
    #[arg(long)]
    class: Option<String>,
    /// T_ROI, one of the values in the matrix; the first one if left out
    #[arg(long, value_name = "T")]
    roi: Option<f64>,
    /// Several pictures on one sheet
    #[arg(long)]
    sheet: Option<SheetKind>,
    /// How heat and picture are put together
    #[arg(long, default_value = "even")]
    overlay: Overlay,
    /// The width of each picture in pixels; if left out, the frame's own, and on sheets 420
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=8192))]
    size: Option<u32>,
    /// The file to write: PNG, JPEG, SVG or PDF by its extension
    #[arg(long, visible_alias = "output", value_name = "FILE", default_value = "view.png")]
    out: PathBuf,
    #[command(flatten)]
    pub(super) asked: ExperimentArguments,
}

/// The thresholds that `--sheet thresholds` shows if the matrix has only one.
const THRESHOLDS: &str = "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]";

pub fn execute(arguments: &Arguments) -> Result<()> {
    let format = Format::of_path(&arguments.out, Format::Png)?;
    let mut asked = arguments.asked.clone();
    let threshold = recipe_key!(ExtractionRecipe, roi_threshold).axis();
    if let Some(value) = arguments.roi {
        asked.overrides.set.push(format!("matrix.{threshold}=[{value}]"));
    }
    let planned = plan(&asked, arguments)?;
    let extractions = planned.built.cells.iter().filter_map(|cell| cell.extraction.as_ref());
    let thresholds: BTreeSet<String> =
        extractions.map(|extraction| extraction.value.roi_threshold.to_string()).collect();
    if arguments.sheet == Some(SheetKind::Thresholds)
        && arguments.roi.is_none()
        && thresholds.len() < 2
    {
        asked.overrides.set.push(format!("matrix.{threshold}={THRESHOLDS}"));
    }
    let space = &first_localised(&planned)?.label_space;
    let class = arguments.class.as_deref().map(|name| class_of(space, name)).transpose()?;
    if arguments.sheet == Some(SheetKind::Classes) {
        asked.overrides.set.push(present(0..space.len()));
    }
    let sheet = match draw(&asked, arguments, class)? {
        Drawn::Sheet(sheet) => *sheet,
        // A class that is not present gets its heat map where it is taken to be.
        Drawn::NotPresent(class) => {
            asked.overrides.set.push(present(std::iter::once(class)));
            match draw(&asked, arguments, None)? {
                Drawn::Sheet(mut sheet) => {
                    sheet.title.push_str(" (taken to be present)");
                    *sheet
                }
                Drawn::NotPresent(_) => return Err(Error::failure("the class has no heat map")),
            }
        }
    };
    write(&sheet, format, arguments)
}

/// The override that takes these classes to be present in every frame.
fn present(classes: impl Iterator<Item = usize>) -> String {
    let ids: Vec<String> = classes.map(|class| class.to_string()).collect();
    format!("{}=[{}]", recipe_key!(ExtractionRecipe, present).axis(), ids.join(", "))
}

/// The plan for the boxes of one model.
fn plan(asked: &ExperimentArguments, arguments: &Arguments) -> Result<Planned> {
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
    // One model is shown, so no other cell needs to run.
    let first_model = experiment.cells[0].model.clone();
    experiment.cells.retain(|cell| cell.model == first_model);
    context.plan_for(experiment, &BTreeSet::from([Goal::Boxes]))
}

fn first_localised(planned: &Planned) -> Result<&PlannedCell> {
    planned.built.cells.iter().find(|cell| cell.stages.localize.is_some()).ok_or_else(|| {
        Error::usage("no extraction of the experiment localises")
            .hint("add ln-fe, l-fe or sl-fe to `extraction` in the matrix")
    })
}

enum Drawn {
    Sheet(Box<Sheet>),
    /// The class that was asked for is not present in the frame.
    NotPresent(usize),
}

/// Makes the stages that the pictures need, and puts the pictures together.
fn draw(asked: &ExperimentArguments, arguments: &Arguments, class: Option<usize>) -> Result<Drawn> {
    let context = asked.context()?;
    let mut planned = plan(asked, arguments)?;
    let execution = execution::execute(&context, &mut planned, &Manner::PART)?;
    outcome(&execution, &planned.built.plan)?;
    let Execution { summary, .. } = execution;
    let first = first_localised(&planned)?;
    // The first cell that localises leads; the others are shown on sheets.
    let others = planned.built.cells.iter().filter(|cell| !std::ptr::eq(*cell, first));
    let cells: Vec<&PlannedCell> = std::iter::once(first).chain(others).collect();
    let results = Results::new(&planned.store, &summary.known);
    let frames = Frames::open(first, &results, &planned.built.plan)?;
    let view =
        View { cells: &cells, results: &results, frames: &frames, overlay: arguments.overlay };
    if arguments.sheet == Some(SheetKind::Frames) {
        return Ok(Drawn::Sheet(Box::new(view.several(class)?)));
    }
    let scene = frames.scene(frames.find(arguments.frame.as_deref())?)?;
    if let Some(class) = class.filter(|class| !scene.heat.present.contains(class)) {
        return Ok(Drawn::NotPresent(class));
    }
    // Where only one class is taken to be present, it is the one that was asked for.
    let shown = class.or_else(|| scene.most_present());
    let sheet = match arguments.sheet {
        None | Some(SheetKind::Frames) => view.frame(&scene, shown)?,
        Some(SheetKind::Classes) => view.classes(&scene)?,
        Some(SheetKind::Thresholds) => view.thresholds(&scene, shown)?,
        Some(SheetKind::Modes) => view.modes(&scene)?,
    };
    Ok(Drawn::Sheet(Box::new(sheet)))
}

fn write(sheet: &Sheet, format: Format, arguments: &Arguments) -> Result<()> {
    let width = arguments.size.or(arguments.sheet.map(|_| SHEET_WIDTH));
    let file = sheet.draw(width)?.sheet_file(format)?;
    write_with(&arguments.out, &file, Durability::Remade)?;
    let captions: Vec<&str> = sheet.panels.iter().map(|panel| panel.caption.as_str()).collect();
    printer::message(&format!(
        "{}: {}; {}",
        arguments.out.display(),
        sheet.title,
        captions.join("; ")
    ));
    Ok(())
}
