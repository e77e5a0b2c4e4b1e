//! One frame of an experiment as a picture: chosen, read from the store, drawn and described.

use image::RgbImage;

use super::{draw, map_of_class, predicted_boxes, true_boxes};
use crate::report::exports::object;
use crate::report::results::Results;
use surgcam_artifacts::boxes;
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::suggestion::did_you_mean;
use surgcam_frames::dataset::index::{Frame, read_frames};
use surgcam_frames::dataset::pack::Pack;
use surgcam_frames::vision::picture;
use surgcam_pipeline::kinds::{HeatMapsStage, IndexStage, LocalizeStage, PackStage};
use surgcam_pipeline::planned::PlannedCell;

pub struct FrameView {
    pub picture: RgbImage,
    /// What the picture shows, in words.
    pub description: String,
}

/// Draws a frame with what a model found in it. `frame` is SEQUENCE/NAME, by default the first
/// validation frame. `class` is a name or an id, by default the present instrument with the highest
/// logit, or the tissue where no instrument is present.
pub fn frame_view(
    cell: &PlannedCell,
    results: &Results,
    frame: Option<&str>,
    class: Option<&str>,
) -> Result<FrameView> {
    let frames = read_frames(&object(results, Some(cell.index), IndexStage::INDEX)?)?;
    let pack = Pack::open(&object(results, Some(cell.pack), PackStage::PACK)?)?;
    let row = find_frame(&frames, frame)?;
    let frame = &frames[row];
    let heat_folder = object(results, cell.stages.heat_maps, HeatMapsStage::HEAT_MAPS)?;
    let sequence = heat_maps::read_sequence(&heat_folder, &frame.sequence)?;
    let heat = sequence.iter().find(|heat| heat.row == row).ok_or_else(|| {
        Error::failure(format!(
            "{}/{} was skipped: its picture cannot be read",
            frame.sequence, frame.name
        ))
    })?;
    let class = find_class(cell, heat, class)?;
    let [height, width] = cell.image_size;
    let map = class.and_then(|class| map_of_class(heat, class, cell.image_size));
    let found = boxes::read(&object(results, cell.stages.localize, LocalizeStage::BOXES)?)?;
    let predicted = predicted_boxes(&found, row);
    let truth = true_boxes(frame, cell.image_size);
    let picture =
        draw(&picture::from_planes(pack.row(row), height, width), map.as_ref(), &predicted, &truth);
    let name = |class: &usize| cell.label_space.classes[*class].as_str();
    let of_class = match (class, &map) {
        (Some(class), Some(_)) => format!("heat map of {}", name(&class)),
        (Some(class), None) => format!("no heat map: {} is not present", name(&class)),
        _ => "no heat map: no class is present".into(),
    };
    let description = format!(
        "{}/{} by {}, {of_class}; present: {}; labelled: {}; \
         {} predicted boxes (full lines), {} true ones (dashed)",
        frame.sequence,
        frame.name,
        cell.model.name,
        heat.present.iter().map(name).collect::<Vec<_>>().join(", "),
        frame.labels.iter().map(name).collect::<Vec<_>>().join(", "),
        predicted.len(),
        truth.len()
    );
    Ok(FrameView { picture, description })
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
        Error::usage(format!(
            "the data have no frame `{wanted}`{}",
            did_you_mean(wanted, names.iter().map(String::as_str))
        ))
    })
}

/// The class of the heat map; `None` where no class is wanted and none is present.
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
        Error::usage(format!("there is no class `{wanted}`{suggestion}"))
            .hint(format!("the classes are {}", space.classes.join(", ")))
    })
}
