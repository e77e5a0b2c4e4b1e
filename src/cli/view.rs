//! `surgcam view`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::ExperimentArguments;
use super::context::outcome;
use super::execution::{self, Manner};
use crate::report::results::Results;
use crate::report::view::{ClassBox, draw};
use crate::report::{exports, printer};
use surgcam_artifacts::boxes;
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::index::{Frame, read_frames};
use surgcam_frames::dataset::pack::Pack;
use surgcam_frames::vision::picture;
use surgcam_pipeline::goal::Goal;
use surgcam_pipeline::kinds::{HeatMapsStage, IndexStage, LocalizeStage, PackStage};
use surgcam_pipeline::planned::PlannedCell;
use surgcam_pipeline::recipe_key;
use surgcam_recipe::file::did_you_mean;
use surgcam_recipe::schema::ExtractionRecipe;

#[derive(clap::Args)]
pub struct Arguments {
    /// The frame, as in seq_1/frame067; the first validation frame if left out
    #[arg(long)]
    frame: Option<String>,
    /// The model; the matrix's first if left out
    #[arg(long)]
    model: Option<String>,
    /// The class of the heat map, by name or id; the present instrument with the highest logit if left out
    #[arg(long)]
    class: Option<String>,
    /// T_ROI, one of the matrix's; its first if left out
    #[arg(long, value_name = "T")]
    roi: Option<f64>,
    /// The PNG to write
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
    // One model and one T_ROI are shown: nothing else needs to run.
    let first_model = experiment.cells[0].model.clone();
    experiment.cells.retain(|cell| cell.model == first_model);
    let mut planned = context.plan_for(experiment, &BTreeSet::from([Goal::Boxes]))?;
    let execution = execution::execute(&context, &mut planned, &Manner::PART)?;
    outcome(&execution, &planned.built.plan)?;
    let cell = planned.built.cells.iter().find(|cell| cell.stages.localize.is_some()).ok_or_else(|| {
        Error::usage("no extraction of the experiment localises").hint("add ln-fe, l-fe or sl-fe to the matrix's `extraction`")
    })?;
    let results = Results::new(&planned.store, &execution.summary.known);
    show(arguments, cell, &results)
}

fn show(arguments: &Arguments, cell: &PlannedCell, results: &Results) -> Result<()> {
    let frames = read_frames(&exports::object(results, Some(cell.index), IndexStage::INDEX)?)?;
    let pack = Pack::open(&exports::object(results, Some(cell.pack), PackStage::PACK)?)?;
    let row = find_frame(&frames, arguments.frame.as_deref())?;
    let frame = &frames[row];
    let heat_folder = exports::object(results, cell.stages.heat_maps, HeatMapsStage::HEAT_MAPS)?;
    let sequence = heat_maps::read_sequence(&heat_folder, &frame.sequence)?;
    let heat = sequence
        .iter()
        .find(|heat| heat.row == row)
        .ok_or_else(|| Error::failure(format!("{}/{} was skipped: its picture cannot be read", frame.sequence, frame.name)))?;
    let class = find_class(cell, heat, arguments.class.as_deref())?;
    let [height, width] = cell.image_size;
    let map = class.and_then(|class| heat.present.iter().position(|&present| present == class));
    let map = map.map(|position| heat.maps[position].resized(height as usize, width as usize));
    let found = boxes::read(&exports::object(results, cell.stages.localize, LocalizeStage::BOXES)?)?;
    let predicted: Vec<ClassBox> =
        found.iter().filter(|found| found.row == row).map(|found| ClassBox { class: found.class, bounds: found.scored.bounds }).collect();
    let truth: Vec<ClassBox> = frame
        .boxes
        .iter()
        .flatten()
        .map(|labelled| ClassBox { class: labelled.class, bounds: labelled.bounds.scaled(frame.box_space, [width, height]) })
        .collect();
    let shown = draw(&picture::from_planes(pack.row(row), height, width), map.as_ref(), &predicted, &truth);
    exports::write_png(&shown, &arguments.out)?;
    let name = |class: &usize| cell.label_space.classes[*class].as_str();
    let of_class = match (class, &map) {
        (Some(class), Some(_)) => format!("heat map of {}", name(&class)),
        (Some(class), None) => format!("no heat map: {} is not present", name(&class)),
        _ => "no heat map: no class is present".into(),
    };
    printer::message(&format!(
        "{}: {}/{} by {}, {of_class}; present: {}; labelled: {}; {} predicted boxes (full lines), {} true ones (dashed)",
        arguments.out.display(),
        frame.sequence,
        frame.name,
        cell.model.name,
        heat.present.iter().map(name).collect::<Vec<_>>().join(", "),
        frame.labels.iter().map(name).collect::<Vec<_>>().join(", "),
        predicted.len(),
        truth.len()
    ));
    Ok(())
}

fn find_frame(frames: &[Frame], wanted: Option<&str>) -> Result<usize> {
    let full_name = |frame: &Frame| format!("{}/{}", frame.sequence, frame.name);
    let found = match wanted {
        Some(wanted) => frames.iter().position(|frame| full_name(frame) == wanted),
        None => frames.iter().position(|frame| frame.validation).or(Some(0)),
    };
    found.filter(|&row| row < frames.len()).ok_or_else(|| {
        let names: Vec<String> = frames.iter().map(full_name).collect();
        let wanted = wanted.unwrap_or_default();
        Error::usage(format!("the data have no frame `{wanted}`{}", did_you_mean(wanted, names.iter().map(String::as_str))))
    })
}

/// By name or id; else the present instrument with the highest logit, else the tissue.
fn find_class(cell: &PlannedCell, heat: &FrameHeat, wanted: Option<&str>) -> Result<Option<usize>> {
    let space = &cell.label_space;
    let Some(wanted) = wanted else {
        let instruments = heat.present.iter().copied().filter(|&class| class != space.tissue());
        let best = instruments.max_by(|&a, &b| heat.logits[a].total_cmp(&heat.logits[b]));
        return Ok(best.or(heat.present.first().copied()));
    };
    let by_id = wanted.parse().ok().filter(|&class: &usize| class < space.len());
    by_id.or_else(|| space.index_of(wanted)).map(Some).ok_or_else(|| {
        let suggestion = did_you_mean(wanted, space.classes.iter().map(String::as_str));
        Error::usage(format!("there is no class `{wanted}`{suggestion}")).hint(format!("the classes are {}", space.classes.join(", ")))
    })
}
