//! `localize`: turns heat maps into boxes at one T_ROI (METHOD 5), on all cores, one sequence at a
//! time.

use rayon::prelude::*;
use surgcam_artifacts::boxes::{BoxRow, BoxWriter};
use surgcam_artifacts::heat_maps::{self, FrameHeat};
use surgcam_engine::error::Result;
use surgcam_frames::vision::regions::{BoxRule, boxes as boxes_of};
use surgcam_pipeline::kinds::LocalizeStage;

use super::{KindRun, Make};

impl Make for LocalizeStage {
    fn make(stage: &KindRun<Self>) -> Result<()> {
        let parameters = &stage.parameters;
        let folder = stage.path_of(stage.inputs.heat_maps)?;
        let sequences = heat_maps::sequences(&folder)?;
        let mut writer = BoxWriter::create(&stage.output(Self::BOXES))?;
        for (done, sequence) in sequences.iter().enumerate() {
            stage.progress(done, sequences.len(), "sequences")?;
            let frames = heat_maps::read_sequence(&folder, sequence)?;
            let mut rows: Vec<BoxRow> =
                frames.par_iter().flat_map_iter(|frame| frame_boxes(frame, parameters)).collect();
            rows.sort_by_key(|found| (found.row, found.class, found.scored.bounds));
            writer.add(&rows)?;
        }
        writer.finish()
    }
}

fn frame_boxes(frame: &FrameHeat, parameters: &LocalizeStage) -> Vec<BoxRow> {
    let [height, width] = parameters.image_size.map(|side| side as usize);
    let rule = BoxRule {
        roi_threshold: parameters.roi_threshold,
        minimum_area: parameters.minimum_area.into(),
    };
    let of_class = |(&class, map): (&usize, &surgcam_frames::vision::heat_map::HeatMap)| {
        let found = boxes_of(&map.resized(height, width), rule);
        found.into_iter().map(move |scored| BoxRow { row: frame.row, class, scored })
    };
    frame.present.iter().zip(&frame.maps).flat_map(of_class).collect()
}
