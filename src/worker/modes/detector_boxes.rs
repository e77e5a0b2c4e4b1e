//! The conventional pipeline: LN-FE on boxes that another program's detector found. Nothing of the
//! frame's own forward pass is needed.

use std::sync::Arc;

use surgcam_engine::error::Result;
use surgcam_frames::dataset::index::Frame;
use surgcam_pipeline::settings::ExtractionSettings;

use super::{ExtractionMode, FrameInput, given_boxes};
use crate::regions::{FoundRegions, FrameSpace};

pub struct DetectorBoxes;

impl ExtractionMode for DetectorBoxes {
    fn needs_forward_pass(&self) -> bool {
        false
    }

    fn can_have_regions(&self, frame: &Frame) -> bool {
        !frame.detected.is_empty()
    }

    fn find_regions(
        &self,
        input: &FrameInput,
        space: FrameSpace,
        _settings: &ExtractionSettings,
    ) -> Result<Arc<FoundRegions>> {
        Ok(given_boxes::regions(space, |class| {
            let detected = input.frame.detected.iter().filter(|detected| detected.class == class);
            detected.map(|detected| (detected.scored.bounds, detected.scored.confidence)).collect()
        }))
    }
}
