//! The yardstick of a perfect detector: LN-FE on the annotated boxes. Nothing of the frame's own
//! forward pass is needed.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::settings::ExtractionSettings;

use super::{ExtractionMode, FrameInput, given_boxes};
use crate::regions::{FoundRegions, FrameSpace};

pub struct GroundTruthBoxes;

impl ExtractionMode for GroundTruthBoxes {
    fn needs_forward_pass(&self) -> bool {
        false
    }

    fn can_have_regions(&self, frame: &Frame) -> bool {
        frame.boxes.as_ref().is_some_and(|boxes| !boxes.is_empty())
    }

    fn find_regions(
        &self,
        input: &FrameInput,
        space: FrameSpace,
        _settings: &ExtractionSettings,
    ) -> Result<Arc<FoundRegions>> {
        let [height, width] = space.image_size;
        let frame = input.frame;
        Ok(given_boxes::regions(space, |class| {
            let labelled = frame.boxes.iter().flatten().filter(|labelled| labelled.class == class);
            let in_frame =
                labelled.map(|labelled| labelled.bounds.scaled(frame.box_space, [width, height]));
            in_frame.map(|bounds| (bounds, 1.0)).collect()
        }))
    }
}
