//! `heat-score`: compares heat maps with the ground truth of the validation frames (METHOD 7), and
//! with that of another frame as the control. It uses all cores, for one sequence at a time.

use std::collections::HashMap;

use rayon::prelude::*;
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::Result;
use surgcam_frames::metrics::HeatScoreMetrics;
use surgcam_frames::vision::heat_in_boxes::{HeatInBoxes, heat_in_boxes, heat_localization};
use surgcam_frames::vision::localization_metrics::other_frame;
use surgcam_pipeline::kinds::HeatScoreStage;

use super::ground_truth::GroundTruth;
use super::{KindRun, Make};

impl Make for HeatScoreStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let truth = GroundTruth::read(
            stage,
            stage.inputs.index,
            stage.inputs.pack,
            parameters.image_size,
            parameters.classes,
        )?;
        let places: HashMap<usize, usize> =
            truth.frames.iter().enumerate().map(|(place, frame)| (frame.row, place)).collect();
        let folder = stage.path_of(stage.inputs.heat_maps)?;
        let sequences = heat_maps::sequences(&folder)?;
        let mut own: Vec<Vec<HeatInBoxes>> = vec![Vec::new(); parameters.classes];
        let mut control = own.clone();
        for (done, sequence) in sequences.iter().enumerate() {
            stage.progress(done, sequences.len(), "sequences")?;
            let frames = heat_maps::read_sequence(&folder, sequence)?;
            let scored = |frame: &FrameHeat| match places.get(&frame.row) {
                Some(&place) => of_frame(frame, place, &truth, parameters.image_size),
                None => Vec::new(),
            };
            let found: Vec<ClassHeat> = frames.par_iter().flat_map_iter(scored).collect();
            for found in found {
                own[found.class].extend(found.own);
                control[found.class].extend(found.control);
            }
        }
        stage.write_metrics(&HeatScoreMetrics {
            validation_frames: truth.validation_frames,
            scored_frames: truth.frames.len(),
            heat: heat_localization(&own),
            control: heat_localization(&control),
        })
    }
}

/// The heat of a class in one frame.
struct ClassHeat {
    class: usize,
    /// In the frame's own true boxes; none where it has no such box.
    own: Option<HeatInBoxes>,
    /// In those of another frame.
    control: Option<HeatInBoxes>,
}

/// The present classes that can be annotated, of the frame at `place` among the frames with ground
/// truth.
fn of_frame(
    frame: &FrameHeat,
    place: usize,
    truth: &GroundTruth,
    image_size: [u32; 2],
) -> Vec<ClassHeat> {
    let [height, width] = image_size.map(|side| side as usize);
    let other = &truth.frames[other_frame(place, truth.frames.len())];
    let present = frame
        .present
        .iter()
        .zip(&frame.maps)
        .filter(|(class, _)| truth.classes.annotated.contains(class));
    present
        .filter_map(|(&class, map)| {
            let (own, control) =
                (truth.frames[place].by_class.get(class)?, other.by_class.get(class)?);
            if own.is_empty() && control.is_empty() {
                return None;
            }
            let heat = map.resized(height, width);
            Some(ClassHeat {
                class,
                own: heat_in_boxes(&heat, own),
                control: heat_in_boxes(&heat, control),
            })
        })
        .collect()
}
